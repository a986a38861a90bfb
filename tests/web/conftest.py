"""An app over a filled SQLite database, and a client that fills in CSRF tokens when it is told to."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from planner.web.app import create_app
from tests.builders import NOW
from tests.web.world import World, build


@pytest.fixture(scope="session")
def filled_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """A filled database to copy from, and the ids in it."""
    path = tmp_path_factory.mktemp("filled") / "planner.sqlite3"
    shutil.copyfile(sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    with session_factory(engine).begin() as session:
        world = build(session)
    engine.dispose()  # the last connection to close brings the write-ahead log home
    return path, world


@pytest.fixture
def world(filled_template: tuple[Path, World]) -> World:
    return filled_template[1]


@pytest.fixture
def filled_settings(filled_template: tuple[Path, World], tmp_path: Path) -> Settings:
    """Settings over a filled database of this test's own."""
    path = tmp_path / "filled.sqlite3"
    shutil.copyfile(filled_template[0], path)
    return Settings(home=tmp_path, database_url=f"sqlite:///{path}", secret_key="a key for tests only")


def app_over(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings, clock=lambda: NOW)
    yield app
    app.extensions["planner"].engine.dispose()


@pytest.fixture
def app(filled_settings: Settings) -> Iterator[Flask]:
    """The app over the filled database, its clock standing still."""
    yield from app_over(filled_settings)


@pytest.fixture
def empty_app(settings: Settings) -> Iterator[Flask]:
    """The app over a migrated database with nothing in it."""
    yield from app_over(settings)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


Send = Callable[..., TestResponse]


@pytest.fixture
def send(client: FlaskClient) -> Send:
    """Post a form the way a browser does: with the token of a page that was loaded before."""

    def post(address: str, fields: dict[str, Any] | None = None, page: str = "/schedules/new") -> TestResponse:
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
        assert token is not None
        return client.post(address, data={"csrf_token": token[1], **(fields or {})})

    return post


@pytest.fixture
def count_rows(app: Flask) -> Callable[[], dict[str, int]]:
    """How many rows each table has, to show that a refused request wrote nothing."""
    engine = app.extensions["planner"].engine

    def count() -> dict[str, int]:
        with engine.execution_options(readonly=True).connect() as connection:
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
            return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in names}  # noqa: S608

    return count


def problem_of(response: TestResponse) -> dict[str, Any]:
    """The problem document of a refused API request."""
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = json.loads(response.data)
    assert found["status"] == response.status_code
    return found
