"""Who may ask, and what a browser may do with the answer.

There are no accounts yet, so the service listens on this machine only: requests that come from another address are
refused, and so are those that name another host (a stranger's web site whose name was pointed at 127.0.0.1). Where a
server name is set, a TLS proxy on this machine may pass on requests under it; they need a token (tokens.py).
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import Forbidden, MisdirectedRequest

from planner.settings import LOOPBACK_HOSTS
from planner.web.database import WRITING

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
ONE_YEAR = "max-age=31536000"


def attach(app: Flask, csrf: CSRFProtect, server_name: str = "") -> None:
    """Check every request before its view, and put the headers on every answer."""

    def refuse_strangers() -> None:
        _refuse_other_machines()
        _refuse_other_hosts(server_name)
        if request.method in WRITING:
            _refuse_other_sites()
            if not is_api():
                csrf.protect()

    app.before_request(refuse_strangers)
    app.after_request(_put_headers)


def is_local() -> bool:
    """Whether the request names this machine itself, and so was not passed on from elsewhere under the server name."""
    return _host_name(f"//{request.host}") in LOOPBACK_HOSTS


def is_api() -> bool:
    """Whether the request is for the REST API, which believes no cookie."""
    return request.path == "/api/v1" or request.path.startswith("/api/v1/")


def _refuse_other_machines() -> None:
    """Refuse a peer that is not this machine. A socket in the file system has no address and is this machine's."""
    peer = (request.remote_addr or "").partition("%")[0]
    try:
        is_here = not peer or ip_address(peer).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise Forbidden("There are no accounts yet, so the service answers the machine that it runs on only.")


def _refuse_other_hosts(server_name: str) -> None:
    if server_name and _host_name(f"//{request.host}") == server_name:
        return
    if not is_local():
        raise MisdirectedRequest(
            f"This service answers to the names {', '.join(sorted(LOOPBACK_HOSTS))} only; "
            "open it under one of them, from elsewhere through an SSH tunnel."
        )
    if server_name and any(name in request.headers for name in FORWARDED):
        raise MisdirectedRequest(
            "The proxy does not pass on the name that it was asked under: let it send the Host header as it came."
        )


def _refuse_other_sites() -> None:
    """Refuse a write that another web site's page sends: its Origin or its Sec-Fetch-Site says so."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forbidden("A page of another site may not write here.")
    if request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        raise Forbidden("A page of another site may not write here.")


def _host_name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _put_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if not is_local():
        response.headers.setdefault("Strict-Transport-Security", ONE_YEAR)
    return response
