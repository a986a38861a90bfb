"""JSON from elsewhere, one member at a time: a list of gigabytes is read with the memory of its largest member."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

from planner.feeds.unpack import FileFault

LONGEST_VALUE = 16 * 2**20  # characters of one member
_CHUNK = 256 * 1024
_BLANKS = " \t\r\n"
Path = tuple[str, ...]


class Number(str):
    """A number as it is written, so that no digit is lost; NaN and Infinity too, for the fields to refuse."""

    __slots__ = ()


class Member(NamedTuple):
    """One member of a container: the container's path, the key (or position), and the value."""

    path: Path
    key: str
    value: Any


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number)


def members(stream: BinaryIO, containers: Collection[Path]) -> Iterator[Member]:
    """The members of the objects and arrays at the given paths, in the order of the file.

    Containers on the way to a wanted one are entered; the members at the top that are none come whole, with the
    path (). Several documents after each other (pages) are read as one. Raises FileFault for what is no JSON.
    """
    text = _Text(stream)
    wanted = frozenset(containers)
    on_the_way = frozenset(path[:length] for path in wanted for length in range(len(path)))
    while text.peek():
        yield from _walk(text, (), wanted, on_the_way)


def _walk(text: _Text, path: Path, wanted: Collection[Path], on_the_way: Collection[Path]) -> Iterator[Member]:
    """The members below one container, whose opening bracket is next."""
    opening = text.peek()
    if opening not in ("{", "["):
        raise FileFault(text.place(), f"{_named(path)} is no object or list")
    if path not in wanted and opening == "[":
        raise FileFault(text.place(), f"{_named(path)} is a list, not an object")
    text.take(opening)
    closing = "}" if opening == "{" else "]"
    position = 0
    while text.peek() != closing:
        if position:
            text.take(",")
        key = str(position)
        if opening == "{":
            key = text.key()
            text.take(":")
        below = (*path, key)
        if path not in wanted and (below in on_the_way or below in wanted):
            yield from _walk(text, below, wanted, on_the_way)
        else:
            value = text.value()
            if path in wanted or not path:
                yield Member(path, key, value)
        position += 1
    text.take(closing)


def _named(path: Path) -> str:
    return f"the member {'.'.join(path)!r}" if path else "the document"


class _Text:
    """The decoded text that is left, as much of it as is needed at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._num_done = 0
        self._is_end = False

    def place(self) -> str:
        return f"character {self._num_done + self._at + 1:,}"

    def peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANKS:
                    return self._text[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def take(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise FileFault(self.place(), self._wrong(f"{character!r} is missing", found))
        self._at += 1

    def key(self) -> str:
        if self.peek() != '"':
            raise FileFault(self.place(), self._wrong("a name is missing", self.peek()))
        key = self.value()
        return str(key)

    def value(self) -> Any:
        """The next whole value."""
        if not self.peek():
            raise FileFault(self.place(), "the file ends in the middle")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST_VALUE:
                    raise FileFault(self.place(), f"one value has more than {LONGEST_VALUE:,} characters") from None
                if not self._fill():
                    at = f"character {self._num_done + error.pos + 1:,}"
                    raise FileFault(at, f"this is not JSON, or it is cut off ({error.msg})") from None
                continue
            except RecursionError:
                raise FileFault(self.place(), "the values are nested too deeply") from None
            if end == len(self._text) and self._fill():  # a number may go on in the next chunk
                continue
            self._at = end
            return value

    def _wrong(self, expected: str, found: str) -> str:
        if not found:
            return "the file ends in the middle"
        if found == "<":
            return "this is a web page (perhaps an error message), not a price list"
        return f"this is not JSON: {expected}, there is {found!r}"

    def _fill(self) -> bool:
        """Read on; False at the end. Reads as much again as is held, so that a long value is tried seldom."""
        if self._is_end:
            return False
        chunk = self._stream.read(max(_CHUNK, len(self._text) - self._at))
        self._is_end = not chunk
        try:
            more = self._decoder.decode(chunk, final=self._is_end)
        except UnicodeDecodeError:
            raise FileFault(self.place(), "the file is not UTF-8") from None
        self._num_done += self._at
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more) or not self._is_end
