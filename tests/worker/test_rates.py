"""Exchange rates come in from a real server on this machine that replays what the central bank publishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from planner.errors import InvalidInput
from planner.feeds.fetch import AnswerRefused, FetchError, FetchPlan, FetchSettings, Request
from planner.feeds.rates import RATE_FEEDS, RateFeed, get_rate_feed
from planner.offers.currency import MissingRate
from planner.services.fx import convert_amount, list_rates
from planner.services.held_rates import num_waiting_rates
from planner.services.price_sources import get_price_source, set_price_source
from planner.services.requests.fx import RateQuery
from planner.services.requests.imports import PriceSourceRequest
from planner.store.engine import Engine, Sessions, session_factory
from planner.worker.prices import refresh_due_sources
from planner.worker.rates import import_network_rates
from tests.readers.test_ecb_rates import ecb

SETTINGS = FetchSettings(allow_loopback=True, attempts=1)
DAY = date(2026, 11, 20)


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return session_factory(engine)


class Bank:
    """A server that answers every path with `body`."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.content_type = "text/xml"
        self.length: int | None = None
        bank = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(bank.status)
                self.send_header("Content-Type", bank.content_type)
                self.send_header("Content-Length", str(len(bank.body) if bank.length is None else bank.length))
                self.end_headers()
                self.wfile.write(bank.body)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def feed(self, name: str = "ecb-rates") -> RateFeed:
        plan = FetchPlan(Request(f"http://127.0.0.1:{self.server.server_port}/rates.xml"), frozenset({"127.0.0.1"}))
        return replace(get_rate_feed(name), plan=plan)


@pytest.fixture
def bank() -> Iterator[Bank]:
    found = Bank()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_rates_of_a_day_come_in_with_their_source_and_twice_is_once(
    sessions: Sessions, bank: Bank, now: datetime
) -> None:
    bank.body = ecb({"2026-11-20": {"USD": "1.0838", "JPY": "163.45"}})
    found = import_network_rates(sessions, bank.feed(), now, SETTINGS)
    assert (found.num_added, found.num_refused, found.num_held) == (2, 0, 0)
    again = import_network_rates(sessions, bank.feed(), now + timedelta(hours=1), SETTINGS)
    assert (again.num_added, again.num_known) == (0, 2)
    with sessions() as session:
        assert convert_amount(session, Decimal(2), "EUR", "USD", DAY, now).amount == Decimal("2.1676")
        (first, *_) = list_rates(session, RateQuery())
        assert first.rate.source.startswith("European Central Bank")
        with pytest.raises(MissingRate):
            convert_amount(session, Decimal(1), "EUR", "CHF", DAY, now)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"body": ecb({"2026-11-20": {"USD": "1.08"}})[:-40]}, InvalidInput),
        ({"body": b"<html><body>Sorry</body></html>"}, InvalidInput),
        ({"body": b"<html>", "content_type": "text/html"}, AnswerRefused),
        ({"body": b""}, InvalidInput),
        ({"body": b"away", "status": 503}, FetchError),
        ({"body": b"gone", "status": 404}, AnswerRefused),
        ({"body": b"<?xml version='1.0'?>", "length": 5000}, FetchError),
    ],
)
def test_an_answer_that_cannot_be_used_leaves_the_last_good_rates(
    sessions: Sessions, bank: Bank, now: datetime, change: dict[str, object], error: type[Exception]
) -> None:
    bank.body = ecb({"2026-11-19": {"USD": "1.08"}})
    import_network_rates(sessions, bank.feed(), now, SETTINGS)
    for name, value in change.items():
        setattr(bank, name, value)
    with pytest.raises(error):
        import_network_rates(sessions, bank.feed(), now + timedelta(hours=1), SETTINGS)
    with sessions() as session:
        assert len(list_rates(session, RateQuery())) == 1
        assert convert_amount(session, Decimal(1), "EUR", "USD", DAY, now).rate_date == date(2026, 11, 19)


def test_a_slip_at_the_bank_waits_for_a_person(sessions: Sessions, bank: Bank, now: datetime) -> None:
    bank.body = ecb({"2026-11-19": {"USD": "1.08"}})
    import_network_rates(sessions, bank.feed(), now, SETTINGS)
    bank.body = ecb({"2026-11-20": {"USD": "10.8", "JPY": "163.45"}})
    found = import_network_rates(sessions, bank.feed(), now + timedelta(hours=1), SETTINGS)
    assert (found.num_added, found.num_held) == (1, 1)
    with sessions() as session:
        assert num_waiting_rates(session) == 1
        assert convert_amount(session, Decimal(1), "EUR", "USD", DAY, now + timedelta(days=1)).amount == Decimal("1.08")


def test_a_source_is_read_by_the_clock_and_says_why_it_failed(sessions: Sessions, bank: Bank, now: datetime) -> None:
    with sessions.begin() as session:
        set_price_source(session, "ecb-rates", PriceSourceRequest(cron="0 * * * *"), now)
    bank.body = ecb({"2026-11-20": {"USD": "1.08"}})
    later = now + timedelta(hours=1, minutes=1)
    assert refresh_due_sources(sessions, now, SETTINGS, find_rates=bank.feed) == []
    assert refresh_due_sources(sessions, later, SETTINGS, find_rates=bank.feed) == ["ecb-rates"]
    with sessions() as session:
        view = get_price_source(session, "ecb-rates", later)
        assert (view.last_num_rows, view.last_error, view.last_import_id) == (1, None, None)
    bank.status = 404
    refresh_due_sources(sessions, later + timedelta(hours=1), SETTINGS, find_rates=bank.feed)
    with sessions() as session:
        view = get_price_source(session, "ecb-rates", later)
        assert view.is_failing
        assert "404" in (view.last_error or "")
        assert view.last_success_at == later


def test_the_sources_are_asked_of_the_bank_alone_and_over_https() -> None:
    for feed in RATE_FEEDS.values():
        assert feed.place.startswith("https://www.ecb.europa.eu/")
        assert feed.plan.hosts == {"www.ecb.europa.eu"}
