"""Transactions that clash are tried again, with bounds; whatever else goes wrong is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from planner.store.again import MOST_TRIES, in_transaction, is_clash
from planner.store.engine import Engine, Session, make_engine, session_factory

ROW = "INSERT INTO leases (name, fence, expires_at) VALUES (:name, 0, '2026-01-01T00:00:00+00:00')"
STEP = text("UPDATE leases SET fence = fence + 1 WHERE name = :name")


def with_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        for name in ("a", "b"):
            connection.execute(text(ROW), {"name": name})


def fences(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [int(fence) for (fence,) in connection.execute(text("SELECT fence FROM leases ORDER BY name"))]


@pytest.mark.fault(19)
def test_two_transactions_that_lock_each_other_out_both_get_through(postgres_url: str) -> None:
    """The database ends one of a real deadlock; that one is tried again after the other is through."""
    engine = make_engine(postgres_url)
    with_rows(engine)
    sessions = session_factory(engine)
    meeting, tries = threading.Barrier(2), []

    def locks(first: str, second: str) -> Callable[[Session], None]:
        def act(session: Session) -> None:
            tries.append(first)
            session.execute(STEP, {"name": first})
            if len(tries) <= 2:
                meeting.wait()  # each holds its first row and wants the other's
            session.execute(STEP, {"name": second})

        return act

    threads = [
        threading.Thread(target=in_transaction, args=(sessions, locks(*names), Random(seed)))  # noqa: S311
        for seed, names in enumerate((("a", "b"), ("b", "a")))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fences(engine) == [2, 2]
    assert len(tries) == 3
    engine.dispose()


@pytest.mark.fault(19)
def test_a_serialisation_failure_that_never_ends_is_given_up_after_some_tries(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with_rows(engine)
    pauses: list[float] = []

    def act(session: Session) -> None:
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        session.execute(text("SELECT 1 FROM leases"))
        with engine.begin() as other:
            other.execute(STEP, {"name": "a"})
        session.execute(STEP, {"name": "a"})

    with pytest.raises(DBAPIError) as failure:
        in_transaction(session_factory(engine), act, Random(1), pauses.append)  # noqa: S311
    assert is_clash(failure.value)
    assert len(pauses) == MOST_TRIES - 1
    assert all(later > earlier for earlier, later in pairwise(pauses))
    assert sum(pauses) < 1
    assert fences(engine) == [MOST_TRIES, 0]
    engine.dispose()


def test_what_is_no_clash_is_not_tried_again(engine: Engine) -> None:
    with_rows(engine)
    tries: list[int] = []

    def act(session: Session) -> None:
        tries.append(1)
        session.execute(text(ROW), {"name": "a"})

    with pytest.raises(IntegrityError):
        in_transaction(session_factory(engine), act)
    assert len(tries) == 1
