"""Prices over time and side by side: one offer, all offers of a GPU, and a few offers against each other."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.offers.offer import OfferKind
from planner.offers.priced import PricedOffer
from planner.services.market import (
    MOST_COMPARED,
    compare_offers,
    effective_price,
    effective_rates,
    gpu_market,
    offer_steps,
    prices_of_work,
)
from planner.services.offers import price_history
from planner.services.requests.prices import CompareQuery, MarketQuery
from planner.web.database import now, session
from planner.web.pages.blueprint import pages
from planner.web.price_charts import band_chart, step_chart
from planner.web.queries import MomentQuery, read_query, read_repeated

OFFER = "<int(max=9223372036854775807):offer_id>"
KINDS = [(kind.value, kind.value.replace("_", " ")) for kind in OfferKind if kind is not OfferKind.OWNED]


@pages.get(f"/prices/offers/{OFFER}")
def offer_page(offer_id: int) -> tuple[str, int]:
    """One offer, every price that it had, and what held when as a chart."""
    query, form = read_query(MomentQuery)
    wanted = query or MomentQuery()
    as_of, known_at = wanted.as_of or now(), wanted.known_at or now()
    found = offer_steps(session(), offer_id, as_of, known_at)
    page = render_template(
        "prices/show.html",
        item=found.item,
        found=found,
        history=price_history(session(), offer_id, known_at),
        form=form,
        work=effective_price(found.item, effective_rates(session())),
        chart=step_chart(found.steps, as_of, found.item.offer.currency),
    )
    return page, 422 if query is None else 200


@pages.get(f"/prices/{OFFER}")
def old_offer_page(offer_id: int) -> Response:
    """Where the page of an offer stood before."""
    given: dict[str, Any] = request.args.to_dict()
    return redirect(url_for("pages.offer_page", offer_id=offer_id, **given), 308)


@pages.get("/prices/gpus/<key>")
def gpu_prices_page(key: str) -> tuple[str, int]:
    """The lowest, middle and highest GPU-hour of one GPU over time."""
    query, form = read_query(MarketQuery)
    wanted = query or MarketQuery()
    found = gpu_market(session(), key, wanted.kind, wanted.as_of or now(), wanted.known_at or now(), wanted.currency)
    form.values.setdefault("kind", [wanted.kind.value])
    page = render_template(
        "prices/gpu.html",
        found=found,
        form=form,
        kinds=KINDS,
        chart=band_chart(found.points, found.currency),
        rate=effective_rates(session()).get(key),
    )
    return page, 422 if query is None else 200


@pages.get("/prices/compare")
def compare_page() -> tuple[str, int]:
    """Some offers side by side, and why one is cheaper."""
    query, form = read_repeated(CompareQuery, lists=("offer",))
    items: list[PricedOffer] = []
    comparison = None
    as_of, known_at = now(), now()
    if query is not None:
        as_of, known_at = query.as_of or as_of, query.known_at or known_at
        try:
            items, comparison = compare_offers(session(), query.offer, as_of, known_at, now())
        except InvalidInput as error:
            form.problems = list(error.problems)
    page = render_template(
        "prices/compare.html",
        items=items,
        comparison=comparison,
        form=form,
        as_of=as_of,
        known_at=known_at,
        most=MOST_COMPARED,
        work=prices_of_work(items, effective_rates(session())),
    )
    return page, 422 if form.problems else 200
