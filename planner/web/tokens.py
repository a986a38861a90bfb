"""Who asks from another computer: a token, as Bearer or as the password of Basic, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import structlog
from flask import Flask, g, request
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from planner.services.requests.tokens import Scope
from planner.services.tokens import TokenView, find_token, note_use
from planner.store.engine import OperationalError
from planner.web.api.layer import Operation
from planner.web.api.resources import api
from planner.web.database import WRITING, now, read_once, sessions
from planner.web.pace import Pace
from planner.web.security import is_api, is_local

LONGEST_SECRET = 200
PER_MINUTE, AT_ONCE = 240, 60  # requests of one token
FAILED_PER_MINUTE, FAILED_AT_ONCE = 20, 20  # requests with a token that is none, of everybody together
# What a token needs for the operations of each tag: to read, and to write. None: any token will do.
SCOPES: Mapping[str, tuple[Scope | None, Scope]] = {
    "health": (None, Scope.ADMIN),
    "gpus": (None, Scope.ADMIN),
    "prices": (Scope.READ_COSTS, Scope.ADMIN),
    "price sources": (Scope.READ_COSTS, Scope.ADMIN),
    "price imports": (Scope.READ_COSTS, Scope.ADMIN),
    "assets": (Scope.READ_COSTS, Scope.ADMIN),
    "exchange rates": (Scope.READ_COSTS, Scope.ADMIN),
    "price books": (Scope.ADMIN, Scope.ADMIN),  # a request says its role itself, so only who may see all may ask
    "estimates": (Scope.READ_COSTS, Scope.WRITE_PLANS),
    "costs": (Scope.READ_COSTS, Scope.ADMIN),
    "budgets": (Scope.READ_COSTS, Scope.WRITE_PLANS),
    "closings": (Scope.READ_COSTS, Scope.ADMIN),  # a month is closed for good
    "ledger": (Scope.READ_COSTS, Scope.WRITE_PLANS),
    "plans": (Scope.READ_COSTS, Scope.WRITE_PLANS),
    "odata": (None, Scope.ADMIN),  # each entity set is held to a scope of its own
    "devices": (Scope.READ_INVENTORY, Scope.ADMIN),
    "calibrations": (Scope.READ_INVENTORY, Scope.ADMIN),
    "schedules": (Scope.READ_INVENTORY, Scope.ADMIN),
}
log = structlog.get_logger()


class Gate:
    """Checks the token of each request that has one or needs one, and how often it asks."""

    def __init__(self) -> None:
        self.operations = {f"api.{operation.name}": operation for operation in api.operations}
        self.pace = Pace(PER_MINUTE, AT_ONCE)
        self.failures = Pace(FAILED_PER_MINUTE, FAILED_AT_ONCE)

    def attach(self, app: Flask) -> None:
        app.extensions["planner_gate"] = self
        app.before_request(self.check)

    def check(self) -> None:
        """Refuse what needs a token and has none that will do. This machine needs none, but one it sends must do."""
        given = "Authorization" in request.headers
        if is_local() and not (given and is_api()):
            return
        if not is_api():
            raise Forbidden("The pages answer the machine that they run on only; under this name there is /api/v1.")
        token = self._token() if given else None
        if token is None:
            self._refuse()
        if wait := self.pace.wait_seconds(token.id, now()):
            raise TooManyRequests(f"This token may ask again in {wait} s.", retry_after=wait)
        _hold_to_scope(token, self.operations.get(request.endpoint or ""))
        _note_use(token)
        g.token = token

    def _token(self) -> TokenView | None:
        secret = _secret()
        if not secret or len(secret) > LONGEST_SECRET:
            return None
        return read_once(lambda reader: find_token(reader, secret, now()))

    def _refuse(self) -> NoReturn:
        log.warning("access refused", reason="no token that counts", method=request.method, path=request.path)
        if wait := self.failures.wait_seconds("", now()):
            raise TooManyRequests(f"Too many requests without a token that counts; wait {wait} s.", retry_after=wait)
        raise Unauthorized(
            "A token is needed: send it as Authorization: Bearer, or as the password of Basic. "
            "`planner tokens add` on the machine of the service makes one; they expire."
        )


def _secret() -> str:
    sent = request.authorization
    if sent is None:
        return ""
    if sent.type == "bearer":
        return sent.token or ""
    return (sent.password or "") if sent.type == "basic" else ""


def _hold_to_scope(token: TokenView, operation: Operation | None) -> None:
    if operation is None:  # the OpenAPI document, or nothing at all
        return
    needed = SCOPES[operation.tag][request.method in WRITING]
    if needed is not None and not token.allows(needed):
        log.warning("access refused", reason=f"lacks {needed}", token=token.prefix, method=request.method)
        raise Forbidden(f"This token may not do that: it needs the scope {needed.value}.")


def _note_use(token: TokenView) -> None:
    """Remember the use, in a transaction of its own; where the database cannot be written to, it can still be read."""
    if not token.use_is_news(now()):
        return
    try:
        with sessions().begin() as session:
            note_use(session, token, now())
    except OperationalError as error:
        log.warning("use of a token not noted", token=token.prefix, fault=str(error.orig))
