"""The API of price sources: how each stands, its rule, and reading it at once."""

from __future__ import annotations

from dataclasses import dataclass

from flask import url_for

from planner.services.price_sources import (
    PriceSourceView,
    get_price_source,
    list_price_sources,
    request_refresh,
    set_price_source,
)
from planner.services.requests.imports import PriceSourceRequest
from planner.web.api.resources import api
from planner.web.clients import actor
from planner.web.database import now, session
from planner.web.price_files import ACTOR


@dataclass(frozen=True, slots=True)
class PriceSourceList:
    sources: list[PriceSourceView]


@api.get("/price-sources", tag="price sources", answers=PriceSourceList)
def list_all_price_sources() -> PriceSourceList:
    """Every price source: its state, last result, age of its last good data and next refresh.

    `address` is empty for a source that is read from files only; `credential` names the setting with the key that it
    asks for.
    """
    return PriceSourceList(list_price_sources(session(), now(), every=True))


@api.get("/price-sources/<name>", tag="price sources", answers=PriceSourceView)
def get_one_price_source(name: str) -> PriceSourceView:
    """One price source."""
    return get_price_source(session(), name, now())


@api.put(
    "/price-sources/<name>", tag="price sources", answers=PriceSourceView, body=PriceSourceRequest, problems=(409,)
)
def set_one_price_source(name: str, body: PriceSourceRequest) -> PriceSourceView:
    """Give a source the rule by which the worker reads it again; `enabled` false: not by itself.

    409 for a source that is read from files only.
    """
    get_price_source(session(), name, now())
    return set_price_source(session(), name, body, now())


@api.post(
    "/price-sources/<name>/refresh",
    tag="price sources",
    answers=PriceSourceView,
    status=202,
    location=True,
    problems=(409,),
)
def refresh_one_price_source(name: str) -> tuple[PriceSourceView, str]:
    """Ask for a source to be read at once. The worker does the network; `state` tells how it goes."""
    found = request_refresh(session(), name, now(), actor(ACTOR))
    return found, url_for("api.get_one_price_source", name=name)
