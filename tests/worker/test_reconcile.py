"""Which entries come and go so that the scheduler wants what the schedules want."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from planner.worker.reconcile import reconcile

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ENTRIES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([NOON, LATER]))


def test_a_new_schedule_is_added_and_a_gone_one_removed() -> None:
    change = reconcile({"new": NOON}, {"gone": NOON})
    assert (change.remove, change.add) == (("gone",), {"new": NOON})


def test_a_moved_due_time_replaces_its_entry() -> None:
    change = reconcile({"moved": LATER}, {"moved": NOON})
    assert (change.remove, change.add) == (("moved",), {"moved": LATER})


def test_an_entry_that_is_right_is_left_alone() -> None:
    change = reconcile({"same": NOON}, {"same": NOON})
    assert (change.remove, change.add) == ((), {})


@given(ENTRIES, ENTRIES)
def test_applying_the_change_gives_what_is_wanted(wanted: dict[str, datetime], scheduled: dict[str, datetime]) -> None:
    change = reconcile(wanted, scheduled)
    left = {name: due_at for name, due_at in scheduled.items() if name not in change.remove}
    assert not set(left) & set(change.add)
    assert {**left, **change.add} == wanted
