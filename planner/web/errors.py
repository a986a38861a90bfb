"""Errors as a page or as problem+json (RFC 9457), with the same sentence on both."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, TooManyRequests

from planner.errors import InvalidInput, PlannerError
from planner.services.documents import document
from planner.store.engine import OperationalError, PoolExhausted
from planner.web.security import is_api

PROBLEM_TYPE = "application/problem+json"
GUIDE = "/api#"
TITLES = {
    "invalid-input": "The request cannot be used as it stands",
    "not-found": "There is nothing here",
    "missing-rate": "No exchange rate is known",
    "conflict": "The change clashes with what is there now",
    "stale": "It has changed since you read it",
    "unauthorized": "A token is needed",
    "forbidden": "That is not yours to do",
    "misdirected-request": "Asked under another name than its own",
    "too-many-requests": "Too many requests in a short time",
    "unavailable": "Not available at the moment",
    "database-out-of-date": "The database has another schema",
    "error": "A fault of ours",
}
SENTENCES = {
    400: "The request cannot be read.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    415: "Send the body as application/json; files of prices as CSV, JSON or gzip.",
    500: "Something went wrong that is not your fault; the log of the service says what.",
}

RETRY_SECONDS = 5
CHALLENGE = 'Basic realm="GPU Planner", charset="UTF-8"'
log = structlog.get_logger()


def attach(app: Flask) -> None:
    app.register_error_handler(PlannerError, planner_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(PoolExhausted, _database_error)
    app.register_error_handler(HTTPException, http_error)


def planner_error(error: PlannerError) -> Response:
    """What a user can act on: its own sentence, and each field with what would be right."""
    problems = document(error.problems) if isinstance(error, InvalidInput) else []
    return _answer(error.status, error.slug, TITLES[error.slug], str(error), problems)


def http_error(error: HTTPException) -> Response:
    """What Flask itself refuses, and faults of ours. Our own descriptions are kept, werkzeug's replaced."""
    status = error.code or 500
    if isinstance(error, InternalServerError):
        if isinstance(error.original_exception, OperationalError | PoolExhausted):  # at the commit
            return _database_error(error.original_exception)
        log.error("request failed", method=request.method, path=request.path, fault=repr(error.original_exception))
    given = error.description if error.description != type(error).description else None
    phrase = HTTPStatus(status).phrase
    slug = "not-found" if status == 404 else "error" if status >= 500 else phrase.lower().replace(" ", "-")
    response = _answer(status, slug, TITLES.get(slug, phrase), given or _sentence(status, phrase), [])
    if status == 405:
        response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or [])
    if status == 401:
        response.headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, TooManyRequests) and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _database_error(error: OperationalError | PoolExhausted) -> Response:
    """The database went away in mid-request, or has no connection to spare: nothing of the request was stored."""
    cause = error.orig if isinstance(error, OperationalError) else error
    log.error("database away", method=request.method, path=request.path, fault=str(cause))
    sentence = "The database went away or is too busy; what was not answered was not stored. Ask again in a moment."
    if _is_full(cause):
        sentence = "The disk of the database is full: nothing of this was stored. What is there can still be read."
    response = _answer(503, "unavailable", TITLES["unavailable"], sentence, [])
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _is_full(cause: BaseException | None) -> bool:
    """Whether the database could not write for want of space: SQLite's words, PostgreSQL's code."""
    return getattr(cause, "sqlstate", None) == "53100" or "disk is full" in str(cause)


def _sentence(status: int, phrase: str) -> str:
    if status == 413:
        limit = "allowed" if request.max_content_length is None else in_binary(request.max_content_length)
        return f"The request is larger than the {limit} that are read."
    return SENTENCES.get(status, f"{phrase}.")


def in_binary(num_bytes: int) -> str:
    """ "256 KiB", "1 GiB"."""
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if num_bytes >= 2**power:
            return f"{num_bytes / 2**power:.4g} {name}"
    return f"{num_bytes} bytes"


def _csrf_error(_error: CSRFError) -> Response:
    detail = "This form is out of date or did not come from this service. Load the page again and send it once more."
    return _answer(400, "bad-request", "The form was not accepted", detail, [])


def _answer(status: int, slug: str, title: str, detail: str, problems: list[dict[str, Any]]) -> Response:
    if is_api():
        return problem(status, slug, title, detail, problems)
    page = render_template("error.html", status=status, title=title, detail=detail, problems=problems)
    return make_response(page, status)


def problem(status: int, slug: str, title: str, detail: str, problems: list[dict[str, Any]] | None = None) -> Response:
    """The answer as RFC 9457 wants it; `errors` only where fields are named."""
    body: dict[str, Any] = {"type": GUIDE + slug, "title": title, "status": status, "detail": detail}
    if problems:
        body["errors"] = problems
    return Response(json.dumps(body, ensure_ascii=False), status, content_type=PROBLEM_TYPE)
