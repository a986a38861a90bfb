"""The request's session: opened on first use, committed once after a successful write, rolled back otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar, cast

from flask import Flask, Response, current_app, g, request

from planner.errors import DatabaseOutOfDate, Unavailable
from planner.store.engine import Session, Sessions, check_schema, make_engine, reader_factory, session_factory

Answer = TypeVar("Answer")
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WITHOUT_DATABASE = frozenset({"static", "api.health_live", "api.health_ready", "api.openapi", "pages.api_guide"})


class Database:
    """The app's engine, its clock, and whether the schema was found to be ours."""

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        self.engine = make_engine(url)
        self.clock = clock
        self._reader = reader_factory(self.engine)
        self._writer = session_factory(self.engine)
        self._schema_checked = False

    def attach(self, app: Flask) -> None:
        app.extensions["planner"] = self
        app.before_request(self._refuse_other_schema)
        app.after_request(self._commit)
        app.teardown_request(self._close)

    def check(self) -> None:
        """Raise Unavailable unless the database answers and has our schema."""
        check_schema(self.engine)

    def open(self) -> Session:
        """A new session: one that only reads, unless the request is a write."""
        return self._writer() if request.method in WRITING else self._reader()

    def reader(self) -> Session:
        """A new session that only reads."""
        return self._reader()

    @property
    def sessions(self) -> Sessions:
        """For work in transactions of its own, beside that of the request."""
        return self._writer

    def _refuse_other_schema(self) -> None:
        if self._schema_checked or request.endpoint is None or request.endpoint in WITHOUT_DATABASE:
            return
        self.check()
        self._schema_checked = True

    def _commit(self, response: Response) -> Response:
        if "session" in g and request.method in WRITING and response.status_code < 400:
            g.session.commit()
        return response

    def _close(self, _error: BaseException | None) -> None:
        if "session" in g:
            g.pop("session").close()


def _database() -> Database:
    return cast(Database, current_app.extensions["planner"])


def session() -> Session:
    """The session of this request."""
    if "session" not in g:
        g.session = _database().open()
    return cast(Session, g.session)


def read_once(look: Callable[[Session], Answer]) -> Answer:
    """What `look` finds in a session of its own that only reads, beside that of the request."""
    with _database().reader() as found:
        return look(found)


def sessions() -> Sessions:
    """For a use case that makes its own transactions; the request's own session must not have written by then."""
    return _database().sessions


def now() -> datetime:
    """The moment of this request, the same however often it is asked."""
    if "now" not in g:
        g.now = _database().clock()
    return cast(datetime, g.now)


def is_ready() -> tuple[bool, str]:
    """Whether the database can be used, and if not, why."""
    try:
        _database().check()
    except (Unavailable, DatabaseOutOfDate) as error:
        return False, str(error)
    return True, ""
