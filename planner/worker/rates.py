"""Bringing exchange rates in from the network, by a command or by the clock: fetched whole before a transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from tempfile import TemporaryFile

import structlog

from planner.errors import PlannerError
from planner.feeds.fetch import FetchSettings
from planner.feeds.rates import RateFeed, get_rate_feed
from planner.offers.change_guard import AllowedChanges
from planner.services.fx import RatesImport, import_rate_file
from planner.services.price_sources import PriceSourceView, record_failure, record_refresh
from planner.store.engine import Sessions

__all__ = ["get_rate_feed", "import_network_rates", "refresh_rates"]

log = structlog.get_logger()

_CHUNK = 1 << 20


def import_network_rates(
    sessions: Sessions,
    feed: RateFeed,
    now: datetime,
    settings: FetchSettings | None = None,
    *,
    allow_large_changes: bool = False,
) -> RatesImport:
    """Fetch a source and keep its rates. Raises FetchError as fetched, and InvalidInput for an unusable file."""
    with TemporaryFile() as whole:
        for page in feed.pages(settings or FetchSettings()):
            while chunk := page.read(_CHUNK):
                whole.write(chunk)
        whole.seek(0)
        with sessions.begin() as session:
            return import_rate_file(session, whole, now, allow_large_changes=allow_large_changes)


def refresh_rates(
    sessions: Sessions,
    source: PriceSourceView,
    now: datetime,
    settings: FetchSettings | None = None,
    find: Callable[[str], RateFeed] = get_rate_feed,
) -> None:
    """Read a source that is due. One that fails says so, and keeps its last good rates with their days."""
    allowed = source.allowed_changes is AllowedChanges.ALL
    try:
        found = import_network_rates(sessions, find(source.name), now, settings, allow_large_changes=allowed)
    except PlannerError as error:
        with sessions.begin() as session:
            record_failure(session, source.name, str(error), now)
        log.warning("rates.source_failed", source=source.name, error=str(error))
        return
    num_rows = found.num_added + found.num_known + found.num_held + found.num_refused
    with sessions.begin() as session:
        record_refresh(session, source.name, None, num_rows, now)
    log.info("rates.refreshed", source=source.name, added=found.num_added, held=found.num_held)
