"""The plain bytes of a file that may be compressed, in bounded memory, and the fault that ends its reading."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import BinaryIO

MOST_BYTES = 8 * 2**30  # unpacked; the largest list known, AWS's of all regions, has about 5 GB
MOST_RATIO = 200  # price lists shrink to a twentieth or so; a thousandth is a bomb
_RATIO_COUNTS_FROM = 16 * 2**20
_GZIP = b"\x1f\x8b"
_OTHERS = {b"PK\x03\x04": "a ZIP archive", b"PAR1": "a Parquet file", b"\x28\xb5\x2f\xfd": "a Zstandard archive"}
_CHUNK = 64 * 1024


class FileFault(ValueError):
    """What makes a whole file unusable, and at which row it shows."""

    def __init__(self, row: int | str, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def unpacked(stream: BinaryIO) -> BinaryIO:
    """The stream's plain bytes, gzip undone. Raises FileFault (now or while reading) for what cannot be used."""
    start = _first_bytes(stream, 4)
    if not start:
        raise FileFault(1, "the file is empty")
    if kind := _OTHERS.get(start):
        raise FileFault(1, f"the file is {kind}; unpack it, or export CSV or JSON")
    plain = _Inflated(start, stream) if start.startswith(_GZIP) else _Prefixed(start, stream)
    return io.BufferedReader(plain, _CHUNK)


def _first_bytes(stream: BinaryIO, number: int) -> bytes:
    found = b""
    while len(found) < number and (more := stream.read(number - len(found))):
        found += more
    return found


class _Chunked(io.RawIOBase):
    """A raw stream over a function that gives the next chunk, b"" at the end."""

    def __init__(self, next_chunk: Callable[[], bytes]) -> None:
        self._next_chunk = next_chunk
        self._left = b""
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._left:
            self._left = self._next_chunk()
            self._num_bytes += len(self._left)
            if self._num_bytes > MOST_BYTES:
                raise FileFault(1, f"the file holds more than {MOST_BYTES // 2**30} GiB")
        view = memoryview(buffer)  # type: ignore[arg-type]  # what BufferedReader gives
        taken = self._left[: len(view)]
        view[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


class _Prefixed(_Chunked):
    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        chunks = iter((start,))
        super().__init__(lambda: next(chunks, b"") or stream.read(_CHUNK))


class _Inflated(_Chunked):
    """gzip, several members too; refuses what is cut off or grows beyond reason."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        super().__init__(self._inflate)
        self._stream = stream
        self._packed = start
        self._num_packed = len(start)
        self._num_plain = 0
        self._engine = zlib.decompressobj(wbits=31)

    def _inflate(self) -> bytes:
        while True:
            if not self._packed:
                self._packed = self._stream.read(_CHUNK)
                self._num_packed += len(self._packed)
            if self._engine.eof:
                if not self._packed.strip(b"\0"):
                    return b""
                self._engine = zlib.decompressobj(wbits=31)
            if not self._packed:
                raise FileFault(1, "the compressed file is cut off before its end")
            try:
                plain = self._engine.decompress(self._packed, _CHUNK)
            except zlib.error:
                raise FileFault(1, "the compressed file is damaged") from None
            self._packed = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
            self._num_plain += len(plain)
            if self._num_plain > max(_RATIO_COUNTS_FROM, self._num_packed * MOST_RATIO):
                raise FileFault(1, f"the compressed file grows to more than {MOST_RATIO} times its size")
            if plain:
                return plain
