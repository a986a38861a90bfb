"""What one client may ask of the queue of solves: so many plans, and so many seconds of searching."""

from __future__ import annotations

from planner.errors import Conflict
from planner.store import plans as store
from planner.store.engine import Session

MOST_WAITING = 20  # plans that wait or are being solved, of all clients together
MOST_WAITING_OF_ONE = 8  # of one client, so that none fills the queue
MOST_SECONDS_OF_ONE = 7200.0  # of searching that one client's waiting plans may ask for together


def check_queue(session: Session, client: str, seconds: float) -> None:
    """Refuse, by the limit's name, what would fill the queue of solves."""
    waiting = store.waiting_by_client(session)
    everybody = sum(number for number, _ in waiting.values())
    mine, asked = waiting.get(client, (0, 0.0))
    if mine >= MOST_WAITING_OF_ONE:
        raise Conflict(
            f"MOST_WAITING_OF_ONE: {mine} plans of this client ({client}) wait to be solved, the most of one client; "
            "cancel one or wait"
        )
    if asked + seconds > MOST_SECONDS_OF_ONE and mine:
        raise Conflict(
            f"MOST_SECONDS_OF_ONE: the plans of this client ({client}) that wait may take {asked:,.0f} s; with this "
            f"one it would be more than {MOST_SECONDS_OF_ONE:,.0f} s; take a shorter time_limit, cancel one or wait"
        )
    if everybody >= MOST_WAITING:
        raise Conflict(f"MOST_WAITING: {everybody} plans wait to be solved already; cancel one or wait")
