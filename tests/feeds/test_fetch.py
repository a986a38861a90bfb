"""Fetching against a real server on this machine that replays recorded answers and every kind of bad one."""

from __future__ import annotations

import gzip
import http.server
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from planner.errors import NotFound
from planner.feeds.fetch import (
    AddressRefused,
    AnswerRefused,
    CredentialNeeded,
    FetchError,
    FetchPlan,
    FetchSettings,
    Request,
    fetch,
    public_addresses,
)
from planner.feeds.plans import Feed, get_feed
from planner.hardware.catalogue import load_catalogue
from planner.readers.registry import SOURCES, read_file
from planner.readers.source import Quote, ReadContext
from tests.readers.reading import DATA, RECEIVED

CSV = b"InstanceType,AcceleratorName\n" * 50


@dataclass
class Answers:
    """What the server says, one function per path, and what it was asked."""

    base: str = ""
    by_path: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def plan(self, path: str = "/list", **changes: object) -> FetchPlan:
        return replace(FetchPlan(Request(self.base + path), frozenset({"127.0.0.1"})), **changes)


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answers.asked.append(self.path)
            answers.headers.append({name.casefold(): value for name, value in self.headers.items()})
            answers.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.close_connection = True
            answers.by_path[self.path.split("?")[0]](self)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """A client that hangs up is what some of these tests are about."""

    running = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    answers.base = f"http://127.0.0.1:{running.server_port}"
    yield answers
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def quick(pauses: list[float]) -> FetchSettings:
    """Small limits of size, no waiting between attempts, leave to ask this machine, and patience with a busy one."""
    return FetchSettings(
        connect_seconds=60,
        read_seconds=60,
        page_seconds=60,
        attempts=3,
        most_bytes=200_000,
        most_plain_bytes=300_000,
        most_pages=5,
        allow_loopback=True,
        sleep=pauses.append,
        jitter=lambda most: most,
    )


def answer(
    body: bytes, status: int = 200, length: int | None = None, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def in_turn(
    *answers: Callable[[http.server.BaseHTTPRequestHandler], None],
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    left = list(answers)
    return lambda handler: left.pop(0)(handler)


def body_of(plan: FetchPlan, settings: FetchSettings) -> bytes:
    return b"".join(page.read() for page in fetch(plan, settings))


class TestWhatIsTaken:
    def test_a_page_comes_whole(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(CSV, Content_Type="text/csv")
        assert body_of(server.plan(), quick) == CSV
        assert server.headers[0]["accept-encoding"] == "gzip"

    def test_a_compressed_answer_comes_plain(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(gzip.compress(CSV), Content_Encoding="gzip")
        assert body_of(server.plan(), quick) == CSV

    def test_an_answer_in_chunks_comes_whole(self, server: Answers, quick: FetchSettings) -> None:
        def send(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for part in (CSV[:100], CSV[100:]):
                handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            handler.wfile.write(b"0\r\n\r\n")

        server.by_path["/list"] = send
        assert body_of(server.plan(), quick) == CSV

    def test_a_redirect_within_the_host_is_followed(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"", 302, Location="/moved?version=2")
        server.by_path["/moved"] = answer(CSV)
        assert body_of(server.plan(), quick) == CSV
        assert server.asked == ["/list", "/moved?version=2"]

    def test_a_question_is_posted_with_its_body(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"{}")
        first = Request(server.base + "/list", "POST", b'{"query": "x"}', {"Content-Type": "application/json"})
        body_of(server.plan(first=first), quick)
        assert (server.bodies, server.headers[0]["content-type"]) == ([b'{"query": "x"}'], "application/json")


class TestSecondAttempts:
    def test_an_error_that_passes_is_outlasted(
        self, server: Answers, quick: FetchSettings, pauses: list[float]
    ) -> None:
        server.by_path["/list"] = in_turn(answer(b"busy", 503), answer(b"", 500), answer(CSV))
        assert body_of(server.plan(), quick) == CSV
        assert pauses == [1.0, 2.0]

    def test_the_pause_that_the_source_asks_for_is_kept_within_reason(
        self, server: Answers, quick: FetchSettings, pauses: list[float]
    ) -> None:
        later = "Fri, 31 Dec 2100 00:00:00 GMT"
        server.by_path["/list"] = in_turn(
            answer(b"", 429, Retry_After="7"), answer(b"", 429, Retry_After=later), answer(CSV)
        )
        body_of(server.plan(), quick)
        assert pauses == [7.0, 60.0]

    def test_an_error_that_stays_is_told_with_its_last_reason(
        self, server: Answers, quick: FetchSettings, pauses: list[float]
    ) -> None:
        server.by_path["/list"] = answer(b"", 502)
        with pytest.raises(FetchError, match=r"/list could not be read in 3 attempts: it answered 502 Bad Gateway\."):
            body_of(server.plan(), quick)
        assert len(pauses) == 2

    def test_a_body_that_breaks_off_is_asked_for_again(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = in_turn(answer(CSV[:700], length=len(CSV)), answer(CSV))
        assert body_of(server.plan(), quick) == CSV

    @pytest.mark.parametrize("coding", ["", "gzip"])
    def test_a_body_that_always_breaks_off_is_never_taken(
        self, server: Answers, quick: FetchSettings, coding: str
    ) -> None:
        packed = gzip.compress(CSV)[:-9]
        server.by_path["/list"] = answer(packed, Content_Encoding=coding) if coding else answer(CSV[:5], length=9999)
        with pytest.raises(FetchError, match="the answer broke off before its end"):
            body_of(server.plan(), quick)

    def test_chunks_that_break_off_are_never_taken(self, server: Answers, quick: FetchSettings) -> None:
        def send(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"500\r\n" + CSV[:100])

        server.by_path["/list"] = send
        with pytest.raises(FetchError, match="IncompleteRead"):
            body_of(server.plan(), quick)

    def test_a_damaged_compressed_body_is_never_taken(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"\x1f\x8b" + b"\0" * 50, Content_Encoding="gzip")
        with pytest.raises(FetchError, match="the compressed answer is damaged"):
            body_of(server.plan(), quick)

    def test_nobody_listening_is_told(self, quick: FetchSettings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        plan = FetchPlan(Request(f"http://127.0.0.1:{port}/list"), frozenset({"127.0.0.1"}))
        with pytest.raises(FetchError, match="ConnectionRefusedError"):
            body_of(plan, quick)

    def test_what_is_no_http_is_told(self, quick: FetchSettings) -> None:
        with _talker(b"220 mail.example ESMTP\r\n") as port:
            plan = FetchPlan(Request(f"http://127.0.0.1:{port}/list"), frozenset({"127.0.0.1"}))
            with pytest.raises(FetchError, match="BadStatusLine"):
                body_of(plan, quick)


class TestLimits:
    def test_silence_ends_by_time(self, server: Answers, quick: FetchSettings) -> None:
        over = threading.Event()
        server.by_path["/list"] = lambda _: over.wait(60) and None
        with pytest.raises(FetchError, match="it did not answer in time"):
            body_of(server.plan(), replace(quick, attempts=1, read_seconds=0.4))
        over.set()

    def test_a_trickle_ends_by_time(self, server: Answers, quick: FetchSettings) -> None:
        """A byte now and then keeps each wait short; the page as a whole still ends."""
        over = threading.Event()

        def send(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            while not over.wait(0.05):
                handler.wfile.write(b"x")

        server.by_path["/list"] = send
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"too long|took more than 0\.5 s"):
            body_of(server.plan(), replace(quick, attempts=1, page_seconds=0.5))
        over.set()
        assert time.monotonic() - began < 60, "and not the hour that all of it would take"

    def test_headers_in_a_trickle_end_by_time(self, server: Answers, quick: FetchSettings) -> None:
        over = threading.Event()

        def send(handler: http.server.BaseHTTPRequestHandler) -> None:
            while not over.wait(0.05):
                handler.wfile.write(b"H")

        server.by_path["/list"] = send
        with pytest.raises(FetchError, match=r"it took more than 0\.5 s"):
            body_of(server.plan(), replace(quick, attempts=1, page_seconds=0.5))
        over.set()

    def test_an_announced_giant_is_refused_at_once(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"x", length=10**12)
        with pytest.raises(AnswerRefused, match="more than 200,000 bytes"):
            body_of(server.plan(), quick)
        assert len(server.asked) == 1

    def test_an_endless_body_is_refused(self, server: Answers, quick: FetchSettings) -> None:
        def send(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while True:
                handler.wfile.write(b"x" * 10_000)

        server.by_path["/list"] = send
        with pytest.raises(AnswerRefused, match="more than 200,000 bytes"):
            body_of(server.plan(), quick)

    def test_a_compressed_bomb_is_refused(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip")
        with pytest.raises(AnswerRefused, match="more than 300,000 bytes uncompressed"):
            body_of(server.plan(), quick)

    def test_pages_that_lead_back_are_refused(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"{}")
        with pytest.raises(AnswerRefused, match="was read before"):
            body_of(server.plan(next_page=lambda request, _: request), quick)

    def test_pages_without_end_are_refused(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"{}")
        longer = server.plan(next_page=lambda request, _: replace(request, url=request.url + "?x"))
        with pytest.raises(AnswerRefused, match="more than 5 pages"):
            body_of(longer, quick)
        assert len(server.asked) == 5


class TestWhatIsRefused:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 501])
    def test_an_error_that_will_stay_is_not_asked_again(
        self, server: Answers, quick: FetchSettings, status: int
    ) -> None:
        server.by_path["/list"] = answer(b"", status)
        with pytest.raises(AnswerRefused, match=f"answered {status}"):
            body_of(server.plan(), quick)
        assert len(server.asked) == 1

    def test_a_web_page_is_no_price_list(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"<html></html>", Content_Type="text/html; charset=utf-8")
        with pytest.raises(AnswerRefused, match="a web page, not a price list"):
            body_of(server.plan(), quick)

    def test_a_coding_that_was_not_asked_for(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"x", Content_Encoding="br")
        with pytest.raises(AnswerRefused, match="'br'"):
            body_of(server.plan(), quick)

    @pytest.mark.parametrize("target", ["http://localhost:{port}/list", "https://example.com/", "//169.254.169.254/x"])
    def test_a_redirect_elsewhere(self, server: Answers, quick: FetchSettings, target: str) -> None:
        port = server.base.rsplit(":", 1)[1]
        server.by_path["/list"] = answer(b"", 302, Location=target.format(port=port))
        with pytest.raises(AddressRefused, match="another host"):
            body_of(server.plan(), quick)

    def test_a_redirect_to_another_scheme(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"", 302, Location="file://127.0.0.1/etc/passwd")
        with pytest.raises(AddressRefused, match="not asked over HTTPS"):
            body_of(server.plan(), quick)

    def test_redirects_in_a_circle(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"", 302, Location="/list")
        with pytest.raises(AnswerRefused, match="redirects more than 3 times"):
            body_of(server.plan(), quick)

    def test_a_redirect_of_a_posted_question(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"", 302, Location="/other")
        with pytest.raises(AnswerRefused, match="cannot be followed"):
            body_of(server.plan(first=Request(server.base + "/list", "POST", b"{}")), quick)

    def test_a_next_page_elsewhere(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"{}")
        plan = server.plan(next_page=lambda *_: Request("https://example.com/2"))
        with pytest.raises(AddressRefused, match=r"example\.com is not one of the hosts of this source"):
            body_of(plan, quick)

    def test_this_machine_unless_a_test_allows_it(self, server: Answers, quick: FetchSettings) -> None:
        with pytest.raises(AddressRefused, match="not asked over HTTPS"):
            body_of(server.plan(), replace(quick, allow_loopback=False))
        plan = FetchPlan(Request("https://127.0.0.1/list"), frozenset({"127.0.0.1"}))
        with pytest.raises(AddressRefused, match=r"127\.0\.0\.1, which is no public address"):
            body_of(plan, replace(quick, allow_loopback=False))

    @pytest.mark.parametrize(
        "address",
        [
            *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
            *(
                "255.255.255.255",
                "::",
                "fe80::1",
                "fd00::1",
                "::ffff:10.0.0.1",
                "64:ff9b::a00:1",
                "2002:a00:1::",
                "ff02::1",
            ),
        ],
    )
    def test_addresses_of_the_inside(self, address: str) -> None:
        with pytest.raises(AddressRefused, match="no public address"):
            public_addresses(address, 443, allow_loopback=True)

    def test_public_addresses_pass(self) -> None:
        assert public_addresses("8.8.8.8", 443) == ["8.8.8.8"]
        assert public_addresses("2001:4860:4860::8888", 443) == ["2001:4860:4860::8888"]

    @pytest.mark.parametrize(
        "url",
        [
            *("ftp://prices.example/list", "https://prices.example:8443/list", "https://user:key@prices.example/list"),
            *(
                "https://prices.example.evil.example/",
                "https://prices.example:99999/",
                "http://prices.example/",
                "file:///x",
            ),
        ],
    )
    def test_addresses_that_are_not_asked(self, url: str) -> None:
        with pytest.raises(AddressRefused):
            body_of(FetchPlan(Request(url), frozenset({"prices.example"})), FetchSettings())

    def test_a_certificate_that_proves_nothing(self, quick: FetchSettings) -> None:
        with _talker(b"\x15\x03\x01\x00\x02\x02\x28") as port:  # a TLS alert: there is no handshake to be had
            plan = FetchPlan(Request(f"https://127.0.0.1:{port}/list"), frozenset({"127.0.0.1"}))
            with pytest.raises(FetchError, match="SSL"):
                body_of(plan, replace(quick, attempts=1))


class TestKeys:
    def test_a_missing_key_is_named(self) -> None:
        plan = get_feed("gcp").plan
        assert plan is not None
        with pytest.raises(CredentialNeeded, match="set PLANNER_GOOGLE_API_KEY"):
            body_of(plan, FetchSettings())

    def test_keys_go_into_headers_and_never_into_messages(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b"", 403)
        lambda_plan = get_feed("lambda").plan
        assert lambda_plan is not None
        plan = server.plan("/list?page=1", credential=lambda_plan.credential, sign=lambda_plan.sign)
        settings = replace(quick, credentials={"PLANNER_LAMBDA_API_KEY": "s3cret"})
        with pytest.raises(AnswerRefused) as refused:
            body_of(plan, settings)
        assert server.headers[0]["authorization"] == "Bearer s3cret"
        assert "s3cret" not in f"{refused.value} {settings} {server.headers[0]['user-agent']}"


class TestSources:
    """Whole sources, from the first request to the last quote."""

    def test_azure_is_followed_from_page_to_page(self, server: Answers, quick: FetchSettings) -> None:
        first = (DATA / "azure_page_1.json").read_text().replace("https://prices.azure.com", server.base)
        server.by_path["/api/retail/prices"] = in_turn(
            answer(first.encode()), answer((DATA / "azure_page_2.json").read_bytes())
        )
        quotes = _quotes(_on(server, "azure", "/api/retail/prices?a=1"), quick)
        assert len(quotes) == 5
        assert server.asked == ["/api/retail/prices?a=1", "/api/retail/prices?$skip=5"]

    def test_google_is_followed_by_token_with_its_key(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/skus"] = in_turn(
            answer((DATA / "gcp_page_1.json").read_bytes()), answer((DATA / "gcp_page_2.json").read_bytes())
        )
        settings = replace(quick, credentials={"PLANNER_GOOGLE_API_KEY": "k"})
        quotes = _quotes(_on(server, "gcp", "/skus?pageSize=5"), settings)
        assert "3.6733850000" in [str(quote.amount) for quote in quotes if quote.offer.instance_type == "a2-highgpu-1g"]
        assert server.asked == ["/skus?pageSize=5", "/skus?pageSize=5&pageToken=second"]
        assert [headers["x-goog-api-key"] for headers in server.headers] == ["k", "k"]

    @pytest.mark.parametrize(
        ("name", "file", "number"),
        [
            ("oci", "oci.json", 2),
            ("runpod", "runpod.json", 4),
            ("vast", "vast.json", 3),
            ("skypilot-aws", "skypilot_aws.csv", 5),
        ],
    )
    def test_single_pages_are_read(
        self, server: Answers, quick: FetchSettings, name: str, file: str, number: int
    ) -> None:
        server.by_path["/list"] = answer((DATA / file).read_bytes())
        assert len(_quotes(_on(server, name, "/list"), quick)) == number

    def test_one_broken_source_leaves_the_others(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/broken"] = answer(b"", 500)
        server.by_path["/oci"] = answer((DATA / "oci.json").read_bytes())
        outcomes = {}
        for name, path in (("vast", "/broken"), ("oci", "/oci")):
            try:
                outcomes[name] = len(_quotes(_on(server, name, path), quick))
            except FetchError as error:
                outcomes[name] = str(error).removeprefix(server.base)
        assert outcomes == {
            "vast": "/broken could not be read in 3 attempts: it answered 500 Internal Server Error.",
            "oci": 2,
        }

    def test_a_page_that_is_no_price_list_names_its_fault(self, server: Answers, quick: FetchSettings) -> None:
        server.by_path["/list"] = answer(b'{"Message": "no"}', Content_Type="application/json")
        with pytest.raises(AnswerRefused, match="there is no member 'Items'"):
            _quotes(_on(server, "azure", "/list"), quick)

    def test_a_source_of_files_only_is_not_fetched(self) -> None:
        with pytest.raises(NotFound, match="read from files only"):
            get_feed("own")
        with pytest.raises(NotFound, match="read from files only"):
            Feed(SOURCES["own"]).pages(FetchSettings())

    def test_every_plan_asks_its_own_public_host_over_https(self) -> None:
        feeds = {entry.name: get_feed(entry.name) for entry in SOURCES.values() if entry.is_on_network}
        plans = {name: feed.plan for name, feed in feeds.items() if feed.plan}
        assert {"azure", "gcp", "oci", "runpod", "vast", "lambda", "aws-price-list-us-east-1", "skypilot-aws"} <= set(
            plans
        )
        for plan in plans.values():
            assert plan.first.url.startswith("https://")
            assert plan.first.url.split("/")[2] in plan.hosts
            assert bool(plan.credential) == (plan.sign is not None)


def _context() -> ReadContext:
    return ReadContext(load_catalogue(), RECEIVED)


def _quotes(feed: Feed, settings: FetchSettings) -> list[Quote]:
    whole = io.BytesIO(b"".join(page.read() for page in feed.pages(settings)))
    return [found for found in read_file(feed.entry, whole, _context()) if isinstance(found, Quote)]


def _on(server: Answers, name: str, path: str) -> Feed:
    """The source, asked from the server of the test."""
    feed = get_feed(name)
    assert feed.plan is not None
    first = replace(feed.plan.first, url=server.base + path)
    return replace(feed, plan=replace(feed.plan, first=first, hosts=frozenset({"127.0.0.1"})))


@contextmanager
def _talker(greeting: bytes) -> Iterator[int]:
    """A server that says the same to everybody and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(greeting)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
