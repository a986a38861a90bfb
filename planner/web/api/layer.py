"""The thin layer between Flask and the API's views: it reads and refuses requests and shapes answers.

A view takes its path values, its validated `query` and `body`, and returns views of the services (dataclasses) or a
Response. What the layer knows of each operation is what the OpenAPI document is drawn from, so the two cannot differ.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, request, url_for
from pydantic import BaseModel
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from planner.errors import FieldProblem, InvalidInput, NotFound, Stale
from planner.services.documents import document
from planner.services.requests import parse
from planner.version import code_version
from planner.web.api.once import once
from planner.web.exports import Table, csv_response
from planner.web.workbooks import CONTENT_TYPE as WORKBOOK
from planner.web.workbooks import workbook_response

View = Callable[..., Any]
MAX_PATH_TEXT = 200
MARK = "bom"  # the parameter by which a table is asked for with a byte order mark
FORMS = (("csv", "text/csv", str, "CSV"), ("xlsx", WORKBOOK, bytes, "an Excel workbook"))  # that a table can be had in
UPLOAD_TYPES = ("text/csv", "application/json", "application/gzip", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address: what it takes and what it answers with."""

    method: str
    path: str  # as Flask writes it
    name: str
    summary: str
    description: str
    tag: str
    view: View
    answers: Any  # a type that pydantic can describe; str for text
    status: int = 200
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    content_type: str = "application/json"
    problems: tuple[int, ...] = ()
    location: bool = False  # answers with a Location header
    upload: bool = False  # the body is a file, which the view reads
    also: int | None = None  # another status that the same answer may have
    revision: Callable[..., int] | None = None  # of what is at this address: ETags begin with it
    slash: bool = False  # the address may also end with a slash, as people write the root of a feed

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key counts."""
        return self.method == "POST" and not self.upload

    @property
    def is_table(self) -> bool:
        """Whether it answers with CSV, which may begin with a byte order mark for a spreadsheet."""
        return self.content_type == "text/csv"

    @property
    def takes_match(self) -> bool:
        """Whether If-Match counts."""
        return self.revision is not None and self.method in ("PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with a status of its own, and where what was made can be found."""

    value: Any
    status: int
    location: str | None = None


@dataclass
class Api:
    """All operations, in the order in which they are described."""

    operations: list[Operation] = field(default_factory=list)

    def operation(self, method: str, path: str, *, tag: str, answers: Any, **more: Any) -> Callable[[View], View]:
        """Register a view. Its docstring's first line is the summary, the rest the description."""

        def register(view: View) -> View:
            summary, _, rest = (view.__doc__ or "").strip().partition("\n")
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    name=view.__name__,
                    summary=summary.rstrip("."),
                    description=" ".join(rest.split()),
                    tag=tag,
                    view=view,
                    answers=answers,
                    **more,
                )
            )
            return view

        return register

    def get(self, path: str, **more: Any) -> Callable[[View], View]:
        return self.operation("GET", path, **more)

    def table(self, path: str, **more: Any) -> Callable[[View], View]:
        """Register a view NAME_table that gives a Table: at `path`.csv as NAME_csv, at `path`.xlsx as NAME_xlsx.

        The view's docstring says "as CSV", for which the second says "as an Excel workbook".
        """

        def register(view: View) -> View:
            about = view.__doc__ or ""
            for ending, content_type, answers, words in FORMS:
                twin = _named(view, f"{view.__name__.removesuffix('_table')}_{ending}", about.replace("CSV", words))
                self.get(f"{path}.{ending}", answers=answers, content_type=content_type, **more)(twin)
            return view

        return register

    def post(self, path: str, **more: Any) -> Callable[[View], View]:
        return self.operation("POST", path, **more)

    def put(self, path: str, **more: Any) -> Callable[[View], View]:
        return self.operation("PUT", path, **more)

    def delete(self, path: str, **more: Any) -> Callable[[View], View]:
        return self.operation("DELETE", path, **more)

    def attach(self, blueprint: Blueprint) -> None:
        for found in self.operations:
            strict = not found.slash
            blueprint.add_url_rule(
                found.path, found.name, _handler(found), methods=[found.method], strict_slashes=strict
            )


def _named(view: View, name: str, about: str) -> View:
    def twin(**arguments: Any) -> Any:
        return view(**arguments)

    twin.__name__, twin.__doc__ = name, about
    return twin


def _handler(operation: Operation) -> View:
    def handle(**path: Any) -> Response:
        _check_path(path)
        if operation.takes_key:
            return once(operation.name, lambda: answer(path))
        return answer(path)

    def answer(path: dict[str, Any]) -> Response:
        if operation.takes_match:
            _check_match(operation, path)
        arguments: dict[str, Any] = dict(path)
        given = query_values()
        with_mark = operation.is_table and _wants_mark(given)
        if operation.query is not None:
            arguments["query"] = parse(operation.query, given)
        elif given:
            raise InvalidInput([FieldProblem(name, "is not a parameter of this address") for name in given])
        if operation.body is not None:
            arguments["body"] = parse(operation.body, json_body())
        if operation.upload and request.mimetype not in UPLOAD_TYPES:
            raise UnsupportedMediaType
        found = operation.view(**arguments)
        return _response(operation, found, path, with_mark)

    handle.__name__ = operation.name
    return handle


def query_values() -> dict[str, str]:
    """The query parameters, each given once. Raises InvalidInput for repeated ones and for text that is no text."""
    values = request.args.to_dict(flat=False)
    problems = [
        FieldProblem(name, f"is given {len(several)} times; give it once")
        for name, several in values.items()
        if len(several) > 1
    ]
    problems += _unreadable(values)
    if problems:
        raise InvalidInput(problems)
    return {name: several[0] for name, several in values.items()}


def json_body() -> dict[str, Any]:
    """The body as a JSON object. Raises 415 for another type, 400 for what is not JSON, InvalidInput for no object."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        return json_object(request.get_data())
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object that these bytes are. Raises ValueError for what is not JSON, InvalidInput for no object."""
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise InvalidInput.of("request", "must be a JSON object")
    if problems := _unreadable(value):
        raise InvalidInput(problems)
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unreadable(values: Mapping[str, Any]) -> list[FieldProblem]:
    """Text that no database keeps: NUL characters and halves of surrogate pairs."""
    return [
        FieldProblem(name if is_text(name) else "request", "holds a character that is no text")
        for name, value in values.items()
        if not is_text(name) or not _all_text(value)
    ]


def _all_text(value: Any) -> bool:
    if isinstance(value, str):
        return is_text(value)
    if isinstance(value, list):
        return all(_all_text(item) for item in value)
    if isinstance(value, dict):
        return all(is_text(name) and _all_text(item) for name, item in value.items())
    return True


def is_text(value: str) -> bool:
    """Whether every character can be stored: no NUL, no lone surrogate."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _wants_mark(given: dict[str, str]) -> bool:
    """Whether the answer is to begin with a byte order mark; takes the parameter out of the others."""
    value = given.pop(MARK, "false")
    if value not in ("true", "false"):
        raise InvalidInput.of(MARK, f"must be true or false, not {value[:40]!r}")
    return value == "true"


def _marked(table: Response) -> Response:
    table.set_data(codecs.BOM_UTF8 + table.get_data())
    return table


def link_next(response: Response, after: Any) -> Response:
    """Name the address of the next page in a Link header (RFC 8288), where there is one."""
    if after is not None and request.endpoint is not None:
        address = url_for(request.endpoint, **{**(request.view_args or {}), **request.args.to_dict(), "after": after})
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


def _about() -> dict[str, str]:
    """What a workbook says of itself."""
    return {
        "made by": f"GPU Planner {code_version()}",
        "asked for": request.full_path.rstrip("?"),
        "unknown": "An empty cell is unknown, never 0; unknown_reason says why. Leave such rows out of sums.",
        "units": "Times are UTC. Seconds, bytes, joules; money in the currency of its row.",
        "digits": "A spreadsheet keeps 15 digits; the CSV of the same address keeps all.",
    }


def _check_path(path: Mapping[str, Any]) -> None:
    for value in path.values():
        if isinstance(value, str) and (len(value) > MAX_PATH_TEXT or not is_text(value)):
            raise NotFound("There is nothing at this address.")


def _check_match(operation: Operation, path: Mapping[str, Any]) -> None:
    """Raises Stale where the ETag in If-Match is of an earlier revision than what is there."""
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*" or operation.revision is None:
        return
    now_there = operation.revision(**path)
    tags = [tag.strip().strip('"') for tag in given.split(",")]
    if not any(tag.partition("-")[0] == str(now_there) for tag in tags):
        raise Stale(f"it is at revision {now_there} now: somebody has changed it since; read it again and then decide")


def _response(operation: Operation, found: Any, path: Mapping[str, Any], with_mark: bool) -> Response:
    if isinstance(found, Response):
        response = found
    elif isinstance(found, Table):
        response = csv_response(found) if operation.is_table else workbook_response(found, _about())
        link_next(_marked(response) if with_mark else response, found.next_after)
    elif operation.status == 204:
        response = Response(status=204)
    else:
        headers, status = {}, operation.status
        if isinstance(found, Answered):
            found, status, location = found.value, found.status, found.location
            if location is not None:
                headers["Location"] = location
        elif operation.location:
            found, headers["Location"] = found
        body = json.dumps(document(found), ensure_ascii=False, allow_nan=False)
        response = Response(body, status, headers, content_type=operation.content_type)
        link_next(response, getattr(found, "next_after", None))
    if request.method in ("GET", "HEAD") and response.status_code == 200:
        tag = hashlib.sha256(response.get_data()).hexdigest()[:32]
        response.set_etag(tag if operation.revision is None else f"{operation.revision(**path)}-{tag}")
        response.headers["Cache-Control"] = "private, no-cache"
        response.make_conditional(request)
    return response
