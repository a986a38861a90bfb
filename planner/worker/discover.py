"""Ask this machine's drivers what is attached and record it."""

from __future__ import annotations

from datetime import datetime

from planner.gpu.discovery import discover
from planner.inventory.device import Discovery
from planner.services.devices import record_discovery
from planner.store.engine import Sessions


def discover_here(sessions: Sessions, now: datetime) -> Discovery:
    """What is attached to this machine now; the database follows it. No transaction is open while drivers are asked."""
    found = discover()
    with sessions.begin() as session:
        record_discovery(session, found, now)
    return found
