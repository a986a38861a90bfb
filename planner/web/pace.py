"""How often somebody may ask: so many requests at once, and then so many a minute."""

from __future__ import annotations

import math
from datetime import datetime
from threading import Lock


class Pace:
    """A bucket of requests for each name, refilled evenly. Full ones are forgotten, so memory stays small."""

    def __init__(self, per_minute: float, at_once: int) -> None:
        self.per_second = per_minute / 60
        self.at_once = float(at_once)
        self._left: dict[str, tuple[float, datetime]] = {}
        self._lock = Lock()

    def wait_seconds(self, name: str, now: datetime) -> int:
        """0 where the request may be answered, which is counted; else the whole seconds until the next one may."""
        with self._lock:
            left = self._at(name, now)
            if left < 1:
                return math.ceil((1 - left) / self.per_second)
            self._forget_full(now)
            self._left[name] = (left - 1, now)
            return 0

    def _at(self, name: str, now: datetime) -> float:
        left, then = self._left.get(name, (self.at_once, now))
        return min(self.at_once, left + max(0.0, (now - then).total_seconds()) * self.per_second)

    def _forget_full(self, now: datetime) -> None:
        for name in [name for name in self._left if self._at(name, now) >= self.at_once]:
            del self._left[name]
