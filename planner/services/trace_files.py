"""A trace file as text: plain or gzip, within a bound, in UTF-8."""

from __future__ import annotations

import gzip
import io
import zlib

from planner.errors import InvalidInput
from planner.services.requests.sizing import MAX_TRACE_CHARACTERS

GZIP = b"\x1f\x8b"


def trace_text(data: bytes, field: str = "trace") -> str:
    """The text of a trace file. Raises InvalidInput for an empty one, a broken one, and one that is too long."""
    if not data:
        raise InvalidInput.of(field, "is empty")
    if data.startswith(GZIP):
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(MAX_TRACE_CHARACTERS + 1)
        except (OSError, EOFError, zlib.error):
            raise InvalidInput.of(field, "is a gzip file that is broken") from None
    if len(data) > MAX_TRACE_CHARACTERS:
        raise InvalidInput.of(field, f"is longer than {MAX_TRACE_CHARACTERS // 2**20} MiB once unpacked")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput.of(field, "is not UTF-8 text") from None
