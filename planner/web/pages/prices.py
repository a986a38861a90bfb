"""Prices: what GPU time costs, filtered and sorted, each with its age and what measured work costs by it."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for

from planner.services.market import MOST_COMPARED, effective_rates, prices_of_work
from planner.services.offers import (
    PriceFacets,
    find_prices,
    next_after,
    price_book_age,
    price_facets,
)
from planner.services.requests import PriceQuery
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.queries import price_filter, read_query

_PAGING = frozenset({"limit", "after"})
ROWS = 50  # of a page, where nothing else is asked for
ORDERS = (
    ("per_gpu_hour", "per GPU-hour"),
    ("per_hour", "per hour"),
    ("gpu", "GPU"),
    ("provider", "provider"),
    ("age", "age, newest first"),
)


@pages.get("/prices")
def prices_page() -> tuple[str, int]:
    """Offers with the price that holds."""
    query, form = read_query(PriceQuery)
    found, following = [], None
    if query is not None:
        query = query if "limit" in query.model_fields_set else query.model_copy(update={"limit": ROWS})
        as_of, known_at = query.as_of or now(), query.known_at or now()
        found = find_prices(
            session(), price_filter(query), as_of, known_at, order=query.order, limit=query.limit, after=query.after
        )
        following = next_after(found, query.order, query.limit)
    page = render_template(
        "prices/list.html",
        prices=found,
        work=prices_of_work(found, effective_rates(session())) if found else {},
        most_compared=MOST_COMPARED,
        form=form,
        query=query or PriceQuery(),
        facets=facet_choices(price_facets(session())),
        ages=price_book_age(session(), now()),
        orders=ORDERS,
        next_url=_with(form, after=following) if following else None,
        first_url=_with(form, after=None),
        asked=_asked(form),
        sort_url=lambda order: _with(form, order=order, after=None),
    )
    return page, 422 if query is None else 200


def facet_choices(facets: PriceFacets) -> dict[str, list[tuple[str, str]]]:
    """What the selects offer: each value with how many offers have it."""

    def choices(name: str) -> list[tuple[str, str]]:
        found = [(facet.value, f"{facet.value} ({facet.count:,})") for facet in getattr(facets, name) if facet.value]
        return sorted(found)

    kinds = [(value, text.replace("_", " ")) for value, text in choices("kinds")]
    return {"gpu": choices("gpu_keys"), "provider": choices("providers"), "region": choices("regions"), "kind": kinds}


def _with(form: Form, **changes: str | None) -> str:
    kept = {name: form.value(name) for name in PriceQuery.model_fields if form.value(name)}
    wanted: dict[str, Any] = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    return url_for("pages.prices_page", **wanted)


def _asked(form: Form) -> dict[str, str]:
    """The filters, for the address of the whole table."""
    return {name: form.value(name) for name in PriceQuery.model_fields if form.value(name) and name not in _PAGING}
