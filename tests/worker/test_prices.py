"""Prices come in from files and from a real server on this machine, by command and by the clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from planner.errors import Conflict, InvalidInput, NotFound
from planner.feeds.fetch import FetchPlan, FetchSettings, Request
from planner.feeds.plans import Feed, get_feed
from planner.offers.change_guard import AllowedChanges
from planner.readers.registry import SOURCES, get_source
from planner.services.incoming import Wish
from planner.services.offers import PriceFilter, find_prices
from planner.services.price_imports import AppliedImport, ImportPreview, import_rows, list_imports
from planner.services.price_sources import (
    SourceState,
    claim_due_sources,
    get_price_source,
    list_price_sources,
    request_refresh,
    set_price_source,
)
from planner.services.requests.imports import PriceSourceRequest
from planner.store.engine import Engine, Sessions, session_factory
from planner.worker.prices import Refreshing, import_file, import_network, refresh_due_sources
from tests.worker.conftest import wait_for

RECORDED = Path(__file__).resolve().parent.parent / "readers" / "data"
LIST = (
    "provider,region,zone,instance_type,kind,currency,gpu_name,gpu_key,num_gpus,vcpus,memory_gib,host_included,"
    "price_per_hour,valid_from,source_date,source,reason\n"
    "aws,us-east-1,,p5.48xlarge,on_demand,USD,H100,H100-80GB-SXM,8,192,2048,yes,{price},{day},{day},our list,\n"
)
EVERY_HOUR = PriceSourceRequest(cron="0 * * * *")


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return session_factory(engine)


class Shop:
    """A server that answers with what stands in `pages`, by path; anything else is not found."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.pages.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/csv")
                self.end_headers()
                self.wfile.write((body or "").encode())

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def source(self, name: str) -> Feed:
        url = f"http://127.0.0.1:{self.server.server_port}/{name}"
        return Feed(replace(get_source("own"), name=name), FetchPlan(Request(url), frozenset({"127.0.0.1"})))


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.server.shutdown()
    found.server.server_close()


SETTINGS = FetchSettings(allow_loopback=True, attempts=1)


def amounts(sessions: Sessions, moment: datetime) -> list[Decimal | None]:
    with sessions() as session:
        found = find_prices(session, PriceFilter(), moment, moment, limit=None)
        return [None if item.price is None else item.price.amount for item in found]


def test_a_file_of_a_recognised_format_comes_in_by_its_path(sessions: Sessions, now: datetime, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(LIST.format(price="55.04", day="2026-07-20"))
    previewed = import_file(sessions, path, None, Wish(dry_run=True), now)
    assert isinstance(previewed, ImportPreview)
    assert (previewed.source, previewed.counts.num_new) == ("own", 1)
    assert amounts(sessions, now) == []
    found = import_file(sessions, path, None, Wish(actor="Ada"), now)
    assert isinstance(found, AppliedImport)
    assert amounts(sessions, now) == [Decimal("55.04")]
    with sessions() as session:
        (view,) = list_imports(session)
    assert (view.origin, view.actor, view.action) == ("prices.csv", "Ada", "import")


def test_a_file_without_a_date_of_its_own_read_again_later_is_nothing_new(
    sessions: Sessions, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "vms.csv"
    path.write_text(
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n"
        "gpu_1x_a10,A10,1,30,200,,0.75,,us-east-1,\n"
    )
    first = import_file(sessions, path, "skypilot-lambda", Wish(), now)
    again = import_file(sessions, path, "skypilot-lambda", Wish(), now + timedelta(days=9))
    assert isinstance(first, AppliedImport)
    assert isinstance(again, AppliedImport)
    assert first.preview.counts.num_new == 1
    assert (again.preview.counts.num_accepted, again.preview.counts.num_unchanged) == (0, 1)


def test_a_file_that_cannot_be_used_stores_nothing(sessions: Sessions, now: datetime, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(LIST.format(price="55.04", day="2026-07-20") + '"aws,us-east-1')
    with pytest.raises(InvalidInput, match="nothing of it was stored"):
        import_file(sessions, path, None, Wish(), now)
    assert amounts(sessions, now) == []
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="source: the file's form is none that is known"):
        import_file(sessions, path, None, Wish(), now)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        import_file(sessions, tmp_path / "nosuch.csv", None, Wish(), now)


def test_a_source_comes_in_over_the_network(sessions: Sessions, now: datetime, shop: Shop) -> None:
    shop.pages["/good"] = LIST.format(price="55.04", day="2026-07-20")
    import_network(sessions, shop.source("good"), Wish(), now, SETTINGS)
    assert amounts(sessions, now) == [Decimal("55.04")]
    with pytest.raises(NotFound, match="history-aws is read from files only"):
        get_feed("history-aws")
    assert get_feed("azure").plan is not None


@pytest.mark.fault(76)
def test_a_broken_source_says_so_and_leaves_the_others_and_its_own_last_prices(
    sessions: Sessions, now: datetime, shop: Shop
) -> None:
    shop.pages["/good"] = shop.pages["/bad"] = LIST.format(price="55.04", day="2026-07-20")
    start = now.replace(minute=30)
    with sessions.begin() as session:
        for name in ("bad", "good"):
            set_price_source(session, name, EVERY_HOUR, start)
    assert refresh_due_sources(sessions, start, SETTINGS, shop.source) == []
    first = start + timedelta(hours=1)
    assert refresh_due_sources(sessions, first, SETTINGS, shop.source) == ["bad", "good"]
    shop.pages["/good"] = LIST.format(price="60.00", day="2026-11-21")
    del shop.pages["/bad"]
    second = first + timedelta(hours=1)
    assert refresh_due_sources(sessions, second, SETTINGS, shop.source) == ["bad", "good"]
    with sessions() as session:
        bad, good = list_price_sources(session, second)
    assert bad.is_failing
    assert "answered 404 Not Found" in (bad.last_error or "")
    assert (bad.last_success_at, bad.last_error_at, bad.last_attempt_at) == (first, second, second)
    assert (good.last_error, good.last_success_at, good.last_num_rows) == (None, second, 1)
    assert amounts(sessions, second + timedelta(seconds=1)) == [Decimal("60.00")]
    shop.pages["/bad"] = LIST.format(price="60.00", day="2026-11-21")
    third = second + timedelta(hours=1)
    refresh_due_sources(sessions, third, SETTINGS, shop.source)
    with sessions() as session:
        assert not get_price_source(session, "bad", third).is_failing


def test_a_body_that_is_no_price_list_is_a_failure_with_nothing_stored(
    sessions: Sessions, now: datetime, shop: Shop
) -> None:
    shop.pages["/odd"] = LIST.format(price="55.04", day="2026-07-20") + '"cut off in the mid'
    with sessions.begin() as session:
        set_price_source(session, "odd", EVERY_HOUR, now - timedelta(hours=2))
    refresh_due_sources(sessions, now, SETTINGS, shop.source)
    with sessions() as session:
        (view,) = list_price_sources(session, now)
    assert "nothing of it was stored" in (view.last_error or "")
    assert amounts(sessions, now) == []


def test_a_large_change_in_a_refresh_waits_for_a_person(sessions: Sessions, now: datetime, shop: Shop) -> None:
    shop.pages["/good"] = LIST.format(price="55.04", day="2026-07-20")
    import_network(sessions, shop.source("good"), Wish(), now, SETTINGS)
    shop.pages["/good"] = LIST.format(price="5.504", day="2026-11-20")
    with sessions.begin() as session:
        set_price_source(session, "good", EVERY_HOUR, now)
    for hours in (1, 2):  # asked once, however often the source repeats it
        refresh_due_sources(sessions, now + timedelta(hours=hours), SETTINGS, shop.source)
    assert amounts(sessions, now + timedelta(hours=3)) == [Decimal("55.04")]
    with sessions() as session:
        assert len(import_rows(session, waiting=True)) == 1
    with sessions.begin() as session:
        changed = PriceSourceRequest(cron="0 * * * *", allow_large_changes=AllowedChanges.ALL)
        set_price_source(session, "good", changed, now + timedelta(hours=2))
    refresh_due_sources(sessions, now + timedelta(hours=3), SETTINGS, shop.source)
    assert amounts(sessions, now + timedelta(hours=4)) == [Decimal("5.504")]


def test_a_due_source_goes_to_one_worker_only(sessions: Sessions, now: datetime) -> None:
    with sessions.begin() as session:
        set_price_source(session, "azure", EVERY_HOUR, now)
        set_price_source(session, "vast", PriceSourceRequest(cron="0 * * * *", enabled=False), now)
    together = threading.Barrier(6)
    claimed: list[list[str]] = []

    def claim() -> None:
        together.wait(timeout=120)
        with sessions.begin() as session:
            claimed.append([source.name for source in claim_due_sources(session, now + timedelta(hours=3))])

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(claimed) == [[]] * 5 + [["azure"]]


def test_a_rule_that_cannot_be_is_refused(sessions: Sessions, now: datetime) -> None:
    with sessions.begin() as session, pytest.raises(InvalidInput, match="cron: '0 0 31 2"):
        set_price_source(session, "azure", PriceSourceRequest(cron="0 0 31 2 *"), now)
    with sessions() as session:
        assert get_price_source(session, "azure", now).state is SourceState.NEVER
    with sessions.begin() as session, pytest.raises(Conflict, match="files only"):
        set_price_source(session, "history-aws", PriceSourceRequest(), now)


def test_a_source_that_is_asked_for_is_read_once_whatever_its_rule(
    sessions: Sessions, now: datetime, shop: Shop
) -> None:
    with sessions.begin() as session:
        view = request_refresh(session, "oci", now, "Ada")
        assert (view.state, view.enabled, view.requested_by) == (SourceState.QUEUED, False, "Ada")
        assert request_refresh(session, "oci", now + timedelta(hours=1)).requested_at == now
    shop.pages["/oci"] = LIST.format(price="55.04", day="2026-07-20")
    later = now + timedelta(hours=2)
    assert refresh_due_sources(sessions, later, SETTINGS, shop.source) == ["oci"]
    with sessions() as session:
        view = get_price_source(session, "oci", later)
    assert (view.state, view.requested_at, view.last_num_rows) == (SourceState.GOOD, None, 1)
    assert refresh_due_sources(sessions, later + timedelta(days=2), SETTINGS, shop.source) == []
    with sessions.begin() as session, pytest.raises(Conflict, match="files only"):
        request_refresh(session, "own", now)
    with sessions.begin() as session, pytest.raises(NotFound):
        request_refresh(session, "nonesuch", now)


def test_an_attempt_without_an_end_is_said_to_be_cut_off(sessions: Sessions, now: datetime) -> None:
    with sessions.begin() as session:
        request_refresh(session, "oci", now)
        (claimed,) = claim_due_sources(session, now)
    assert claimed.state is SourceState.READING
    with sessions() as session:
        assert get_price_source(session, "oci", now + timedelta(hours=1)).state is SourceState.READING
        assert get_price_source(session, "oci", now + timedelta(days=1)).state is SourceState.CUT_OFF


def test_a_file_that_a_person_sent_counts_as_a_result_of_its_source(
    sessions: Sessions, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(LIST.format(price="55.04", day="2026-07-20"))
    found = import_file(sessions, path, None, Wish(), now)
    with sessions() as session:
        views = {view.name: view for view in list_price_sources(session, now + timedelta(days=3), every=True)}
    own = views["own"]
    assert isinstance(found, AppliedImport)
    assert (own.state, own.last_import_id, own.age_days, own.is_on_network) == (SourceState.GOOD, found.id, 3, False)
    assert len(views) == len(SOURCES)
    assert views["gcp"].credential == "PLANNER_GOOGLE_API_KEY"


def test_a_price_states_the_words_of_its_reader(sessions: Sessions, now: datetime, shop: Shop) -> None:
    shop.pages["/oci"] = (RECORDED / "oci.json").read_text()
    import_network(sessions, replace(shop.source("oci"), entry=get_source("oci")), Wish(), now, SETTINGS)
    with sessions() as session:
        found = find_prices(session, PriceFilter(), now, now, limit=1)
        (view,) = list_imports(session)
    assert found[0].price is not None
    assert found[0].price.source == "Oracle Cloud price list"
    assert view.origin.endswith("/oci")


def test_an_unknown_source_is_a_failure_in_words(sessions: Sessions, now: datetime) -> None:
    with sessions.begin() as session:
        set_price_source(session, "gone", EVERY_HOUR, now)
    refresh_due_sources(sessions, now + timedelta(hours=1), SETTINGS)
    with sessions() as session:
        view = get_price_source(session, "gone", now)
    assert (view.last_error or "").startswith("There is no price source 'gone'")


def test_the_clock_looks_by_itself_and_stops_when_told(sessions: Sessions) -> None:
    with sessions.begin() as session:
        set_price_source(session, "gone", PriceSourceRequest(cron="* * * * *"), datetime(2026, 1, 1, tzinfo=UTC))
    refreshing = Refreshing(sessions, every_seconds=0.05)
    refreshing.start()

    def told() -> bool:
        with sessions() as session:
            return list_price_sources(session, datetime.now(UTC))[0].last_error_at is not None

    try:
        wait_for(told, "the source to be asked")
    finally:
        refreshing.stop()
