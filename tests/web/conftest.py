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


class Place:
    """A folder of settings whose database is copied anew for each test, and one app over it for all of them: to bind
    its routes and to read its templates takes longer than most tests."""

    def __init__(self, folder: Path) -> None:
        path = folder / "planner.sqlite3"
        self.settings = Settings(home=folder, database_url=f"sqlite:///{path}", secret_key="a key for tests only")
        self._database = path
        self._app: Flask | None = None

    @property
    def app(self) -> Flask:
        if self._app is None:
            self._app = create_app(self.settings, clock=lambda: NOW)
        return self._app

    def begin(self, template: Path) -> None:
        """Leave nothing of an earlier test in the folder but a copy of that database."""
        self.close()
        shutil.rmtree(self.settings.home)
        self.settings.home.mkdir()
        shutil.copyfile(template, self._database)

    def close(self) -> None:
        """Close the app's connections; it opens new ones when it is asked again."""
        if self._app is not None:
            self._app.extensions["planner"].engine.dispose()


@pytest.fixture(scope="session")
def filled_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("filled-home"))


@pytest.fixture(scope="session")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("empty-home"))


@pytest.fixture
def filled_settings(filled_place: Place, filled_template: tuple[Path, World]) -> Iterator[Settings]:
    """Settings over a filled database of this test's own."""
    filled_place.begin(filled_template[0])
    yield filled_place.settings
    filled_place.close()


@pytest.fixture
def app(filled_place: Place, filled_settings: Settings) -> Flask:
    """The app over the filled database, its clock standing still."""
    return filled_place.app


@pytest.fixture
def empty_app(empty_place: Place, sqlite_template: Path) -> Iterator[Flask]:
    """The app over a migrated database with nothing in it."""
    empty_place.begin(sqlite_template)
    yield empty_place.app
    empty_place.close()


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
