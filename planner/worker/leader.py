"""Leadership: of all workers on one database exactly one acts on the schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from planner.store import leases
from planner.store.engine import Session
from planner.worker.identity import Identity

LEASE = "scheduler"


@dataclass
class Leadership:
    """This worker's share in it: the lease it holds, or None while another one leads."""

    identity: Identity
    term: timedelta = timedelta(seconds=30)
    lease: leases.Lease | None = None

    def hold(self, session: Session) -> bool:
        """Renew the lease, or take it if it is free; whether this worker leads now."""
        if self.lease is not None:
            self.lease = leases.renew(session, self.lease, self.term)
        if self.lease is None:
            self.lease = leases.claim(session, LEASE, self.identity.worker_id, self.identity.boot_id, self.term)
        return self.lease is not None

    def is_current(self, session: Session) -> bool:
        """Whether this worker still leads, as the database sees it; the lease's row is locked until the commit."""
        return self.lease is not None and leases.is_current(session, LEASE, self.lease.fence)

    def give_up(self, session: Session) -> None:
        """Let another worker lead at once."""
        if self.lease is not None:
            leases.release(session, self.lease)
            self.lease = None
