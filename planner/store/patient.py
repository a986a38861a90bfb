"""A connection to PostgreSQL whose patience ends: one that gets no answer in time is closed and says so.

TCP alone notices a host that is gone (keepalives do), but not a proxy or a server that takes what is sent and says
nothing. Without an end to waiting, a thread would hang there for ever.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError
from psycopg import errors as _errors

ANSWER_SECONDS = 120.0  # that one statement may take; imports and reports of ours stay far below
# A peer that is gone is noticed within half a minute: asked after 10 s of silence, every 5 s, three times.
KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class PatientConnection(Connection[Any]):
    """Raises OperationalError, and is closed, where an answer takes longer than `answer_seconds`."""

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except _errors._WaitTimeout:
            self.pgconn.finish()
            raise OperationalError(f"the database did not answer within {self.answer_seconds:g} s") from None


def patient(answer_seconds: float) -> type[PatientConnection]:
    """The kind of connection that waits for so long."""
    return type("PatientConnection", (PatientConnection,), {"answer_seconds": answer_seconds})
