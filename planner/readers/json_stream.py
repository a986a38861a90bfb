"""JSON from elsewhere, one member at a time: a list of gigabytes is read with the memory of its largest member."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from planner.readers.unpack import FileFault

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


def members(stream: BinaryIO, needed: Collection[Path], optional: Collection[Path] = ()) -> Iterator[Member]:
    """The members of the objects and arrays at the given paths, in the order of the file.

    Containers on the way to a wanted one are entered; the members at the top that are none come whole, with the
    path (). Several documents after each other (pages) are read as one. Raises FileFault for what is no JSON or
    lacks one of the needed containers.
    """
    text = _Text(stream)
    wanted = frozenset((*needed, *optional))
    on_the_way = frozenset(path[:length] for path in wanted for length in range(len(path)))
    if not text.peek():
        raise FileFault("document", "the file is empty")
    while text.peek():
        walk = _Walk(text, wanted, on_the_way)
        yield from walk.below(())
        if missing := [path for path in needed if path not in walk.entered]:
            raise FileFault("document", f"there is no {_named(missing[0])}")


@dataclass
class _Walk:
    """Through one document; `entered` are the containers that were there."""

    text: _Text
    wanted: Collection[Path]
    on_the_way: Collection[Path]
    entered: set[Path] = field(default_factory=set)

    def below(self, path: Path) -> Iterator[Member]:
        """The members below one container, whose opening bracket is next."""
        closing = self._open(path)
        position = 0
        while self.text.peek() != closing:
            if position:
                self.text.take(",")
            key = str(position)
            if closing == "}":
                key = self.text.key()
                self.text.take(":")
            inner = (*path, key)
            if path not in self.wanted and (inner in self.on_the_way or inner in self.wanted):
                yield from self.below(inner)
            else:
                value = self.text.value()
                if path in self.wanted or not path:
                    yield Member(path, key, value)
            position += 1
        self.text.take(closing)

    def _open(self, path: Path) -> str:
        """Enter the container; the bracket that will close it."""
        opening = self.text.peek()
        allowed = "{[" if path in self.wanted else "{"
        if not opening or opening not in allowed:
            kind = "object or list" if path in self.wanted else "object"
            raise FileFault(self.text.place(), self.text.wrong(f"{_named(path)} is no {kind}", opening))
        self.text.take(opening)
        self.entered.add(path)
        return "}" if opening == "{" else "]"


def _named(path: Path) -> str:
    return f"member {'.'.join(path)!r}" if path else "the document"


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
            raise FileFault(
                self.place(), self.wrong(f"this is not JSON: {found!r} stands where {character!r} should", found)
            )
        self._at += 1

    def key(self) -> str:
        if self.peek() != '"':
            raise FileFault(self.place(), self.wrong("this is not JSON: a member has no name", self.peek()))
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

    def wrong(self, sentence: str, found: str) -> str:
        """The sentence, or a better one where the file ends or is a web page."""
        if not found:
            return "the file ends in the middle"
        if found == "<":
            return "this is a web page (perhaps an error message), not a price list"
        return sentence

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
