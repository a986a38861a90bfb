"""Whom a request comes from, as far as that is known without accounts: the way it came and the address."""

from __future__ import annotations

from flask import request


def client(channel: str) -> str:
    """The client of this request, whom limits count for: "api from 127.0.0.1"."""
    return f"{channel} from {request.remote_addr or 'a local socket'}"
