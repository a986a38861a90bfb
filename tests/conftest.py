"""Fixtures that every test may use: a fixed `now`, settings, and a migrated database on SQLite and PostgreSQL."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from sqlalchemy import event

from planner.calibration.draw import fit_samples
from planner.calibration.fit import Fit
from planner.calibration.sample import BenchFailure, Sample
from planner.hardware.gpu import Gpu
from planner.services import fits
from planner.settings import Settings
from planner.store.engine import Engine, Session, make_engine, session_factory
from planner.store.migrate import upgrade
from tests.postgres import database_url, postgres_server, run_sql

TEMPLATE = "planner_template"
# Few tests that take long each. They begin first, so that no worker is left alone with one of them at the end.
LONG = {"browser", "worker", "gpu", "test_first_run.py", "test_openapi.py"}
_numbers = count()

# The same examples each time, so that a change is judged by what it does; `make explore` looks for new ones.
# How long an example takes says how busy the machine is, and nothing of what it shows.
UNHURRIED: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("repeatable", derandomize=True, **UNHURRIED)
hypothesis.settings.register_profile("exploring", max_examples=300, **UNHURRIED)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, each in its own order."""
    here = Path(__file__).parent
    items.sort(key=lambda item: LONG.isdisjoint(item.path.relative_to(here).parts))


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command sets the log up for its process; a test that ran one leaves it to the next test as it was."""
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


@pytest.fixture(scope="session", autouse=True)
def each_fit_drawn_once() -> Iterator[None]:
    """Many tests store runs of the same samples; the fit of a *quick* one takes a third of a second to draw."""
    known: dict[str, Fit] = {}

    def drawn(
        samples: Iterable[Sample],
        gpu: Gpu,
        telemetry_power: Mapping[str, float] | None = None,
        failures: Iterable[BenchFailure] = (),
    ) -> Fit:
        given = list(samples), gpu, telemetry_power, list(failures)
        key = repr(given)
        if key not in known:
            known[key] = fit_samples(*given)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "fit_samples", drawn)
        yield


@pytest.fixture
def now() -> datetime:
    """A Saturday morning in November."""
    return datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy from."""
    path = tmp_path_factory.mktemp("template") / "planner.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A running PostgreSQL with a migrated template database; its URL."""
    with postgres_server() as url:
        run_sql(url, f"CREATE DATABASE {TEMPLATE}")
        upgrade(database_url(url, TEMPLATE))
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    path = tmp_path / "planner.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own."""
    name = f"planner_{next(_numbers)}"
    run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield database_url(postgres, name)
    run_sql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The test runs once on each kind of database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def engine(any_url: str) -> Iterator[Engine]:
    """An engine on a migrated database, once on SQLite and once on PostgreSQL."""
    found = make_engine(any_url)
    yield found
    found.dispose()


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine on a migrated SQLite database, where the kind of database does not matter."""
    found = make_engine(sqlite_url)
    yield found
    found.dispose()


@pytest.fixture(scope="session")
def shared_sqlite(sqlite_template: Path) -> Iterator[Engine]:
    """An engine on a migrated SQLite database in which nothing is ever committed."""
    path = sqlite_template.with_name("shared.sqlite3")
    shutil.copyfile(sqlite_template, path)
    found = make_engine(f"sqlite:///{path}")
    yield found
    found.dispose()


@pytest.fixture(scope="session")
def shared_postgresql(postgres: str) -> Iterator[Engine]:
    """Likewise on PostgreSQL, where to make a database takes longer than most tests."""
    run_sql(postgres, f"CREATE DATABASE planner_shared TEMPLATE {TEMPLATE}")
    found = make_engine(database_url(postgres, "planner_shared"))
    yield found
    found.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session on each kind of database, rolled back at the end. A test that commits starts from `engine` instead."""
    with session_factory(request.getfixturevalue(f"shared_{request.param}"))() as found:
        event.listen(found, "before_commit", _refuse_commit)
        yield found


def _refuse_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        raise AssertionError("this database is shared by tests: one that commits takes the fixture `engine`")


@pytest.fixture
def sqlite_session(sqlite_engine: Engine) -> Iterator[Session]:
    """A session on SQLite."""
    with session_factory(sqlite_engine)() as found:
        yield found


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """Settings over a migrated SQLite database in a folder of this test's own."""
    return Settings(home=tmp_path, database_url=sqlite_url, secret_key="a key for tests only")
