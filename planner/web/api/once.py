"""A POST that is sent twice: with an Idempotency-Key it does its work once and is answered the same both times."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from flask import Response, request

from planner.errors import InvalidInput
from planner.services.idempotency import HEADER, GivenAnswer, earlier_answer, keep_answer
from planner.web.clients import current_token
from planner.web.database import now, read_once, session

KEY = re.compile(r"[!-~]{1,200}")
KEPT_HEADERS = ("Location", "Content-Type", "ETag")
REPLAYED = "Idempotency-Replayed"


def once(name: str, perform: Callable[[], Response]) -> Response:
    """The answer that this request was given before, else that of `perform`, kept where it is no refusal."""
    key = request.headers.get(HEADER)
    if key is None:
        return perform()
    if not KEY.fullmatch(key):
        raise InvalidInput.of(HEADER, "must be 1 to 200 visible ASCII characters")
    fingerprint = _fingerprint()
    earlier = read_once(lambda reader: earlier_answer(reader, key, fingerprint, now()))
    if earlier is not None:
        return Response(earlier.body, earlier.status, {**earlier.headers, REPLAYED: "true"})
    response = perform()
    if response.status_code < 400:
        headers = {field: response.headers[field] for field in KEPT_HEADERS if field in response.headers}
        answer = GivenAnswer(response.status_code, headers, response.get_data(as_text=True))
        keep_answer(session(), key, name, fingerprint, answer, now())
    return response


def _fingerprint() -> str:
    """What makes two requests the same: who asks, method, address with its query, and body."""
    token = current_token()
    told = f"{token.id if token else ''}{request.method} {request.full_path}\n".encode() + request.get_data()
    return hashlib.sha256(told).hexdigest()
