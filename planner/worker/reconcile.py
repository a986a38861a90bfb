"""Which scheduler entries to add and remove so that they are the ones the schedules want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

Wanted = Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Change:
    """Entries to take away and to add (schedule id → due time, UTC); a moved one is in both."""

    remove: tuple[str, ...]
    add: Wanted


def reconcile(wanted: Wanted, scheduled: Wanted) -> Change:
    """The difference between what should be scheduled and what is."""
    remove = tuple(name for name, due_at in scheduled.items() if wanted.get(name) != due_at)
    add = {name: due_at for name, due_at in wanted.items() if scheduled.get(name) != due_at}
    return Change(remove, add)
