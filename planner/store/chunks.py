"""Rows a few hundred at a time: far below any database's limit of parameters of one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
ROWS = 500


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of at most ROWS, none of them empty."""
    iterator = iter(items)
    while chunk := list(islice(iterator, ROWS)):
        yield chunk
