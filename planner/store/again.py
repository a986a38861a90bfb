"""Transactions that are tried again where the database gave one of two that clash the way: bounded, with jitter."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

Answer = TypeVar("Answer")

MOST_TRIES = 5
FIRST_PAUSE_SECONDS = 0.05
CLASHES = frozenset({"40001", "40P01", "55P03"})  # serialisation failure, deadlock, lock not to be had (PostgreSQL)


def in_transaction(
    sessions: sessionmaker[Session],
    act: Callable[[Session], Answer],
    random: Random | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """What `act` answers in a transaction of its own, which is tried up to MOST_TRIES times where it clashed.

    `act` may be called again after its work was rolled back, so it must do nothing but by its session. Between two
    tries lies a pause that doubles, of which a random part is waited for, so that two who clash do not do so again.
    """
    random = random or Random()  # noqa: S311 - a pause, no secret
    for number in range(MOST_TRIES):
        try:
            with sessions.begin() as session:
                return act(session)
        except DBAPIError as error:
            if not is_clash(error) or number == MOST_TRIES - 1:
                raise
            sleep(random.uniform(0.5, 1.0) * FIRST_PAUSE_SECONDS * 2**number)
    raise AssertionError("every try answers or raises")


def is_clash(error: DBAPIError) -> bool:
    """Whether the database ended a transaction only because another one was in its way."""
    return getattr(error.orig, "sqlstate", None) in CLASHES or "database is locked" in str(error.orig)
