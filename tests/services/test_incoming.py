"""A long list on SQLite: done beside the lock, it is stored as it would be under it, and never over another's work."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from planner.errors import InvalidInput
from planner.offers.change_guard import AllowedChanges
from planner.readers.own_csv import template
from planner.readers.registry import get_source
from planner.services import incoming
from planner.services.gpu_names import map_gpu_name
from planner.services.import_report import ImportPreview
from planner.services.incoming import Incoming, Wish, bring_in
from planner.services.price_imports import AppliedImport
from planner.store import scratch
from planner.store.engine import Engine, Sessions, make_engine, session_factory
from planner.store.migrate import upgrade

TABLES = ("offers", "prices", "price_imports", "price_import_rows", "gpu_aliases")
HEADER = template().splitlines()[0]


def price_list(num_rows: int, day: str, cents: int = 100, gpu: str = "H100 SXM", vcpus: str = "8") -> bytes:
    """Rows of the project's own form; every tenth states no price and so is rejected."""
    rows = [
        f"aws,r{number % 7},,m{number},on_demand,USD,{gpu},,1,{vcpus},,yes,"
        f"{'' if number % 10 == 9 else f'{(cents + number) / 100:.2f}'},{day},{day},our list,,,,,,,,"
        for number in range(num_rows)
    ]
    return "\n".join([HEADER, *rows, ""]).encode()


def bring(sessions: Sessions, content: bytes, now: datetime, wish: Wish | None = None) -> Any:
    return bring_in(sessions, Incoming(get_source("own"), io.BytesIO(content), "list.csv"), wish or Wish(), now)


def stored(sessions: Sessions) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the price tables, less the ids that hold random bits."""
    with sessions() as session:
        found = {}
        for table in TABLES:
            rows = session.execute(text(f"SELECT * FROM {table}")).mappings().all()  # noqa: S608 - our tables
            found[table] = [
                tuple(value for name, value in row.items() if name not in ("import_id", "of_import_id"))
                if table != "price_imports"
                else tuple(value for name, value in row.items() if name not in ("id", "of_import_id"))
                for row in rows
            ]
        return found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Sessions, Sessions]]:
    """Two empty databases in SQLite."""
    engines = []
    for name in ("beside", "under"):
        url = f"sqlite:///{tmp_path / name}.sqlite3"
        upgrade(url)
        engines.append(make_engine(url))
    yield session_factory(engines[0]), session_factory(engines[1])
    for engine in engines:
        engine.dispose()


def test_beside_the_lock_and_under_it_the_same_is_stored(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, under = two
    lists = [
        (price_list(50, "2026-01-01"), Wish()),
        (price_list(60, "2026-02-01", cents=105), Wish()),
        (price_list(60, "2026-03-01", cents=900, vcpus="16"), Wish()),  # held, and described anew
        (price_list(40, "2026-03-01", cents=900), Wish(AllowedChanges.ALL)),
        (price_list(60, "2026-02-01", cents=105), Wish()),  # known to the last detail
    ]
    for number, (content, wish) in enumerate(lists):
        moment = now + timedelta(hours=number)
        monkeypatch.setattr(incoming, "LARGE", 10)
        first = bring(beside, content, moment, wish)
        monkeypatch.setattr(incoming, "LARGE", 10**9)
        second = bring(under, content, moment, wish)
        assert (first.recorded_at, first.preview) == (second.recorded_at, second.preview)
    assert stored(beside) == stored(under)
    with beside.begin() as session:
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_a_preview_beside_the_lock_says_the_same_and_stores_nothing(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, _ = two
    bring(sessions, price_list(50, "2026-01-01"), now)
    before = stored(sessions)
    content = price_list(60, "2026-02-01", cents=300)
    direct = bring(sessions, content, now, Wish(dry_run=True))
    monkeypatch.setattr(incoming, "LARGE", 10)
    found = bring(sessions, content, now, Wish(dry_run=True))
    assert isinstance(found, ImportPreview)
    assert found == direct
    assert stored(sessions) == before


def test_what_another_wrote_meanwhile_is_compared_with_too(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copy and its taking over, another import states the same prices: they are not stored twice."""
    sessions, _ = two
    content = price_list(50, "2026-01-01")
    real, tries = scratch.Copy.added, []

    def added(copy: scratch.Copy) -> scratch.Added:
        if not tries:
            with monkeypatch.context() as patched:
                patched.setattr(incoming, "LARGE", 10**9)
                bring(sessions, content, now)
        tries.append(copy)
        return real(copy)

    monkeypatch.setattr(incoming, "LARGE", 10)
    monkeypatch.setattr(scratch.Copy, "added", added)
    found = bring(sessions, content, now + timedelta(hours=1))
    assert len(tries) == 2
    assert (found.preview.counts.num_new, found.preview.counts.num_unchanged) == (0, 45)
    assert len(stored(sessions)["prices"]) == 45


def test_a_name_that_is_mapped_meanwhile_counts(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, _ = two
    real, tries = scratch.Copy.added, []

    def added(copy: scratch.Copy) -> scratch.Added:
        if not tries:
            with sessions.begin() as session:
                map_gpu_name(session, "Strange Card", "", "A100-80GB-SXM", now)
        tries.append(copy)
        return real(copy)

    monkeypatch.setattr(incoming, "LARGE", 10)
    monkeypatch.setattr(scratch.Copy, "added", added)
    found = bring(sessions, price_list(50, "2026-01-01", gpu="Strange Card"), now)
    assert (len(tries), found.preview.counts.num_unmapped) == (2, 0)


def test_where_others_never_stop_writing_it_is_done_under_the_lock_at_last(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, _ = two
    monkeypatch.setattr(incoming, "LARGE", 10)
    monkeypatch.setattr(scratch.Added, "take_over", lambda *_: False)
    found = bring(sessions, price_list(50, "2026-01-01"), now)
    assert isinstance(found, AppliedImport)
    assert len(stored(sessions)["prices"]) == 45


def test_a_file_that_breaks_off_stores_nothing(
    two: tuple[Sessions, Sessions], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, _ = two
    monkeypatch.setattr(incoming, "LARGE", 10)
    with pytest.raises(InvalidInput, match="nothing of it was stored"):
        bring(sessions, price_list(50, "2026-01-01") + b'"aws,', now)
    assert {table: len(rows) for table, rows in stored(sessions).items()} == dict.fromkeys(TABLES, 0)


def test_others_write_while_a_long_list_is_compared(two: tuple[Sessions, Sessions], now: datetime) -> None:
    """Whoever renews a lease waits a small part of what the import takes, not all of it."""
    sessions, _ = two
    content = price_list(8_000, "2026-01-01")
    waits: list[tuple[float, float]] = []  # from, to
    done = Event()

    def renew() -> None:
        while not done.is_set():
            began = time.monotonic()
            with sessions.begin() as session:
                session.execute(text("UPDATE leases SET fence = fence"))
            waits.append((began, time.monotonic()))
            done.wait(0.01)

    thread = Thread(target=renew)
    thread.start()
    began = time.monotonic()
    try:
        bring(sessions, content, now)
        ended = time.monotonic()
    finally:
        done.set()
        thread.join(120)
    during = sorted(end - start for start, end in waits if began <= start and end <= ended)
    assert len(during) > 5
    assert during[-2] < (ended - began) / 2, "the longest may have met a machine that stood still"


def test_postgresql_needs_no_copy(engine: Engine) -> None:
    assert scratch.is_needed(session_factory(engine)) is (engine.dialect.name == "sqlite")
