"""The application: one Flask app for the pages and the REST API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined

from planner.settings import Settings
from planner.web import api, errors, pages, security
from planner.web.assets import Assets
from planner.web.database import Database
from planner.web.formats import FILTERS
from planner.web.glossary import BASES
from planner.web.tokens import Gate
from planner.web.uploads import Uploads

MAX_BODY_BYTES = 256 * 1024
MAX_FORM_FIELDS = 500

csrf = CSRFProtect()


def utc_now() -> datetime:
    """This moment; the one place where the web looks at a clock."""
    return datetime.now(UTC)


def create_app(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Flask:
    """The app over the settings' database. On an out-of-date schema it answers with how to mend it."""
    settings = settings.with_secret()
    app = Flask("planner.web", static_folder=None)
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        MAX_FORM_PARTS=MAX_FORM_FIELDS,
        SESSION_COOKIE_NAME="planner",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,  # security.py asks for it where a cookie would be believed
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals["fmt"] = FILTERS
    app.jinja_env.globals["bases"] = BASES
    csrf.init_app(app)
    Uploads(settings.home / "uploads").attach(app)  # first, so that larger bodies may be read where files are sent
    Assets.of_package().attach(app)
    security.attach(app, csrf, settings.server_name)
    Database(settings.database_url, clock).attach(app)
    Gate().attach(app)  # after the database, in which tokens are looked up
    errors.attach(app)
    api.attach(app)
    pages.attach(app)
    return app
