"""Fetching price lists: allow-listed hosts, time and size limits, bounded repeats, and never a way to the inside.

Each page is brought whole to a temporary file before it is handed on, so that a body that breaks off can be asked for
again and nothing half-read is ever taken for a list. The address that was checked is the one that is connected to.
"""

from __future__ import annotations

import http.client
import ipaddress
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast
from urllib.parse import urljoin, urlsplit

from planner.errors import Unavailable

_CHUNK = 64 * 1024
_IN_MEMORY = 4 * 2**20
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
_MOST_REDIRECTS = 3
# networks that carry other addresses inside, so that a public one may lead to a private one
_WRAPPERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(Unavailable):
    """A price source could not be read; what is known of its prices stays as it is."""

    slug = "source-unavailable"


class AddressRefused(FetchError):
    """The address is not one that this source may be fetched from."""

    slug = "address-refused"


class AnswerRefused(FetchError):
    """The source answered with something that is no price list: too large, cut off, a web page, an error."""

    slug = "answer-refused"


class CredentialNeeded(FetchError):
    """The source gives prices only to holders of a key, and none was given."""

    slug = "credential-needed"


class _TryAgain(Exception):
    """Something that may be over in a moment; `after_seconds` is what the source asked for."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; headers may hold keys and are never shown."""

    url: str
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The address without its query, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """How a source is asked: first request, the hosts it may be asked from, the next page, and whether a key is needed.

    `sign` puts the key named `credential` into a request.
    """

    first: Request
    hosts: frozenset[str]
    next_page: Callable[[Request, BinaryIO], Request | None] | None = None
    credential: str = ""
    sign: Callable[[Request, str], Request] | None = None


def _full_jitter(most_seconds: float) -> float:
    return random.SystemRandom().uniform(0, most_seconds)


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Limits and keys. `allow_loopback` is for tests against a server on this machine; nothing else sets it."""

    connect_seconds: float = 10.0
    read_seconds: float = 30.0  # between two pieces of an answer
    page_seconds: float = 1800.0  # for a whole page
    attempts: int = 4
    back_off_seconds: float = 1.0  # doubled with each attempt
    most_back_off_seconds: float = 60.0
    most_bytes: int = 4 * 2**30  # as transferred, per page
    most_plain_bytes: int = 8 * 2**30  # uncompressed, per page
    most_pages: int = 5_000
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow_loopback: bool = False
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float], float] = _full_jitter


def fetch(plan: FetchPlan, settings: FetchSettings) -> Iterator[BinaryIO]:
    """The pages of a source, one at a time, each whole; a page is closed when the next one is asked for.

    Raises FetchError, whose message says what was wrong; pages given before stay given.
    """
    request: Request | None = _signed(plan, plan.first, settings)
    seen: set[tuple[str, bytes]] = set()
    while request is not None:
        if (request.url, request.body) in seen:
            raise AnswerRefused(f"{request.place} names a page as the next one that was read before.")
        seen.add((request.url, request.body))
        if len(seen) > settings.most_pages:
            raise AnswerRefused(f"{request.place} has more than {settings.most_pages:,} pages.")
        with _page(request, plan.hosts, settings) as page:
            following = plan.next_page(request, page) if plan.next_page else None
            page.seek(0)
            yield page
        request = _signed(plan, following, settings) if following else None


def _signed(plan: FetchPlan, request: Request, settings: FetchSettings) -> Request:
    if not plan.credential:
        return request
    key = settings.credentials.get(plan.credential, "")
    if not key or plan.sign is None:
        raise CredentialNeeded(f"{request.place} gives its prices only with a key: set {plan.credential}.")
    return plan.sign(request, key)


def _page(request: Request, hosts: frozenset[str], settings: FetchSettings) -> BinaryIO:
    """One page, asked for again a few times where the fault may pass."""
    reason = ""
    for attempt in range(settings.attempts):
        page = cast(BinaryIO, SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115  # closed by whoever reads it
        try:
            _follow(request, hosts, settings, page)
            page.seek(0)
            return page
        except _TryAgain as fault:
            page.close()
            reason = str(fault)
            if attempt + 1 < settings.attempts:
                settings.sleep(_pause(attempt, fault.after_seconds, settings))
        except BaseException:
            page.close()
            raise
    raise FetchError(f"{request.place} could not be read in {settings.attempts} attempts: {reason}.")


def _pause(attempt: int, asked_seconds: float | None, settings: FetchSettings) -> float:
    most = min(settings.back_off_seconds * 2**attempt, settings.most_back_off_seconds)
    if asked_seconds is None:
        return settings.jitter(most)
    return min(asked_seconds, settings.most_back_off_seconds)


def _follow(request: Request, hosts: frozenset[str], settings: FetchSettings, page: BinaryIO) -> None:
    """Bring the answer into `page`, following redirects within the host."""
    for _ in range(_MOST_REDIRECTS + 1):
        exchange = _Exchange(request, _host(request, hosts, settings), settings)
        target = exchange.bring(page)
        if target is None:
            return
        if urlsplit(target).hostname != urlsplit(request.url).hostname:
            raise AddressRefused(f"{request.place} redirects to {urlsplit(target).hostname}, another host.")
        request = replace(request, url=target)
    raise AnswerRefused(f"{request.place} redirects more than {_MOST_REDIRECTS} times.")


def _host(request: Request, hosts: frozenset[str], settings: FetchSettings) -> str:
    """The host to be asked, if it is one of the source's and the way there is safe."""
    try:
        parts = urlsplit(request.url)
        port = parts.port
    except ValueError:
        raise AddressRefused("An address of a price source cannot be read.") from None
    if parts.hostname is None or parts.hostname not in hosts:
        raise AddressRefused(f"{parts.hostname} is not one of the hosts of this source ({', '.join(sorted(hosts))}).")
    is_plain_ok = settings.allow_loopback and parts.scheme == "http"
    if parts.scheme != "https" and not is_plain_ok:
        raise AddressRefused(f"{request.place} is not asked over HTTPS.")
    if port not in (None, 443) and not settings.allow_loopback:
        raise AddressRefused(f"{request.place} names the port {port}; only 443 is asked.")
    if parts.username or parts.password:
        raise AddressRefused(f"The address of {parts.hostname} holds a user name.")
    return parts.hostname


def public_addresses(host: str, port: int, *, allow_loopback: bool = False) -> list[str]:
    """The addresses of the host, all of them public. Raises AddressRefused where one is not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _TryAgain(f"its name cannot be resolved ({error})") from None
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for text in addresses:
        address = ipaddress.ip_address(text.split("%")[0])
        if not (_is_public(address) or (allow_loopback and address.is_loopback)):
            raise AddressRefused(f"{host} leads to {text}, which is no public address.")
    return addresses


def _is_public(address: _Ip) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if any(address in network for network in _WRAPPERS):
            return False
    return address.is_global and not address.is_multicast


class _Exchange:
    """One request and its answer, over a connection of its own, with an end to all of it."""

    def __init__(self, request: Request, host: str, settings: FetchSettings) -> None:
        self._request = request
        self._host = host
        self._settings = settings
        self._is_over = False
        self._socket: socket.socket | None = None

    def bring(self, page: BinaryIO) -> str | None:
        """Write the answer's plain body into `page`; the address of a redirect instead, where it is one."""
        timer = threading.Timer(self._settings.page_seconds, self._end)
        timer.daemon = True
        timer.start()
        connection = self._connection()
        try:
            connection.connect()
            target = self._target()
            connection.request(self._request.method, target, self._request.body or None, self._headers())
            return self._answer(connection.getresponse(), page)
        except TimeoutError:
            raise _TryAgain("it did not answer in time") from None
        except ssl.SSLCertVerificationError as error:
            raise AddressRefused(f"The certificate of {self._host} is not valid: {error.verify_message}.") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._is_over:
                raise _TryAgain(f"it took more than {self._settings.page_seconds:g} s") from None
            raise _TryAgain(f"the connection failed ({type(error).__name__}: {error})") from None
        finally:
            timer.cancel()
            connection.close()

    def _end(self) -> None:
        """The time is up: whatever waits on the connection gets its end now."""
        self._is_over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        exchange, parts = self, urlsplit(self._request.url)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)

        class Checked(http.client.HTTPConnection):
            """Connects to an address that was found public, and proves the host's name by its certificate."""

            def connect(self) -> None:
                self.sock = exchange._open(port)
                if is_tls:
                    context = ssl.create_default_context()
                    self.sock = context.wrap_socket(self.sock, server_hostname=exchange._host)
                exchange._socket = self.sock

        return Checked(self._host, port, timeout=self._settings.read_seconds)

    def _open(self, port: int) -> socket.socket:
        fault: OSError | None = None
        for address in public_addresses(self._host, port, allow_loopback=self._settings.allow_loopback):
            try:
                opened = socket.create_connection((address, port), self._settings.connect_seconds)
            except OSError as error:
                fault = error
            else:
                opened.settimeout(self._settings.read_seconds)
                return opened
        raise fault or OSError("no address")

    def _target(self) -> str:
        parts = urlsplit(self._request.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _headers(self) -> dict[str, str]:
        own = {"Accept-Encoding": "gzip", "User-Agent": "gpu-planner", "Connection": "close"}
        return own | dict(self._request.headers)

    def _answer(self, response: http.client.HTTPResponse, page: BinaryIO) -> str | None:
        place, status = self._request.place, response.status
        if status in _REDIRECTS:
            location = response.getheader("Location")
            if not location or (self._request.method != "GET" and status not in _SAME_METHOD):
                raise AnswerRefused(f"{place} answered with a redirect ({status}) that cannot be followed.")
            return urljoin(self._request.url, location)
        if status in _AGAIN:
            raise _TryAgain(f"it answered {status} {response.reason}", _asked_pause(response.getheader("Retry-After")))
        if status != http.client.OK:
            raise AnswerRefused(f"{place} answered {status} {response.reason}.")
        kind = (response.getheader("Content-Type") or "").split(";")[0].strip().casefold()
        if kind in ("text/html", "application/xhtml+xml"):
            raise AnswerRefused(f"{place} answered with a web page, not a price list.")
        self._body(response, page)
        return None

    def _body(self, response: http.client.HTTPResponse, page: BinaryIO) -> None:
        coding = (response.getheader("Content-Encoding") or "identity").strip().casefold()
        if coding not in ("identity", "gzip", "x-gzip"):
            raise AnswerRefused(f"{self._request.place} answered in the coding {coding!r}, which was not asked for.")
        self._limit(response.length or 0, self._settings.most_bytes, "")
        plain = _Plain(is_packed=coding != "identity")
        num_bytes = num_plain = 0
        while chunk := response.read1(_CHUNK):
            num_bytes += len(chunk)
            self._limit(num_bytes, self._settings.most_bytes, "")
            for piece in plain.pieces(chunk):
                num_plain += len(piece)
                self._limit(num_plain, self._settings.most_plain_bytes, " uncompressed")
                page.write(piece)
        if self._is_over or response.length or not plain.is_whole:
            reason = "the answer took too long" if self._is_over else "the answer broke off before its end"
            raise _TryAgain(reason)

    def _limit(self, number: int, most: int, kind: str) -> None:
        if number > most:
            raise AnswerRefused(f"{self._request.place} answered with more than {most:,} bytes{kind}.")


class _Plain:
    """Undoes the coding of an answer, a bounded piece at a time."""

    def __init__(self, *, is_packed: bool) -> None:
        self._engine = zlib.decompressobj(wbits=31) if is_packed else None

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        if self._engine is None:
            yield chunk
            return
        while chunk:
            if self._engine.eof:
                self._engine = zlib.decompressobj(wbits=31)  # another member of the same archive
            try:
                piece = self._engine.decompress(chunk, _CHUNK)
            except zlib.error:
                raise _TryAgain("the compressed answer is damaged") from None
            chunk = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
            yield piece

    @property
    def is_whole(self) -> bool:
        return self._engine is None or self._engine.eof


def _asked_pause(text: str | None) -> float | None:
    """The seconds of a Retry-After header, given as a number or as a date."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text[:6])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
