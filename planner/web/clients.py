"""Whom a request comes from: by its token where it has one, else by the way it came and the address."""

from __future__ import annotations

from flask import g, request

from planner.services.tokens import TokenView


def current_token() -> TokenView | None:
    """The token of this request; None where it was sent without one, from this machine."""
    found: TokenView | None = g.get("token")
    return found


def client(channel: str) -> str:
    """The client of this request, whom limits count for: "api from 127.0.0.1", "api by token Finance (planner_3f…)"."""
    token = current_token()
    if token is not None:
        return f"{channel} by token {token.name[:100]} ({token.prefix}…)"
    return f"{channel} from {request.remote_addr or 'a local socket'}"


def actor(otherwise: str = "api") -> str:
    """Who did what this request does, as histories name them: its token, `otherwise` where it has none."""
    return otherwise if current_token() is None else client("api")
