"""The API of exchange rates: listed as they are stored or as they count on a day, brought in, decided on, used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from flask import request, url_for

from planner.offers.currency import Conversion, Rate
from planner.services.fx import (
    RatesImport,
    RateView,
    convert_amount,
    import_rate_file,
    list_rates,
    rates_on,
    record_rates,
)
from planner.services.held_rates import HeldRate, approve_rates, list_held_rates, refuse_rates
from planner.services.requests.fx import ConversionRequest, HeldRateQuery, RateFileQuery, RateQuery, RatesRequest
from planner.web.api.resources import api
from planner.web.clients import actor
from planner.web.database import now, session
from planner.web.exports import Table
from planner.web.price_files import ACTOR
from planner.web.queries import RowsRequest

RATE_COLUMNS = ("rate_id", "base", "quote", "rate", "rate_date", "source", "recorded_at")


@dataclass(frozen=True, slots=True)
class RateList:
    """Stored rates; or, with `as_of`, the rate of each pair that counts on that day (at most a week old)."""

    as_of: date | None
    rates: list[RateView | Rate]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class ConversionAnswer:
    """A converted amount with its original, the rate it was converted at, that rate's day and who states it."""

    conversion: Conversion
    rate: Decimal | None
    rate_date: date | None
    source: str


@dataclass(frozen=True, slots=True)
class HeldRateList:
    rates: list[HeldRate]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class DecidedRates:
    num_decided: int
    decided_at: datetime


@api.get("/fx-rates", tag="exchange rates", answers=RateList, query=RateQuery)
def list_fx_rates(query: RateQuery) -> RateList:
    """Exchange rates, the last recorded first; with `as_of` the rate of each pair that counts on that day.

    A pair whose last rate is older than a week has none then: it is missing, and never 1.
    """
    if query.as_of is not None:
        found = rates_on(session(), query.as_of, query.known_at or now())
        return RateList(query.as_of, [rate for rate in found if _is_asked(rate, query)], None)
    listed = list_rates(session(), query)
    return RateList(None, [*listed], listed[-1].id if len(listed) == query.limit else None)


@api.table("/fx-rates", tag="exchange rates", query=RateQuery)
def list_fx_rates_table(query: RateQuery) -> Table:
    """The same as CSV, a line per rate; without `limit` all that pass the filters."""
    if query.as_of is not None:
        found = rates_on(session(), query.as_of, query.known_at or now())
        return _table([(None, rate, None) for rate in found if _is_asked(rate, query)])
    is_page = "limit" in query.model_fields_set
    listed = list_rates(session(), query, whole=not is_page)
    following = listed[-1].id if is_page and len(listed) == query.limit else None
    return _table([(view.id, view.rate, view.recorded_at) for view in listed], following)


def _table(rates: list[tuple[int | None, Rate, datetime | None]], next_after: int | None = None) -> Table:
    return Table("fx-rates", RATE_COLUMNS, rate_rows(rates), next_after)


def rate_rows(rates: list[tuple[int | None, Rate, datetime | None]]) -> list[list[Any]]:
    """The cells of RATE_COLUMNS."""
    return [[id_, rate.base, rate.quote, rate.rate, rate.rate_date, rate.source, at] for id_, rate, at in rates]


@api.post(
    "/fx-rates",
    tag="exchange rates",
    answers=RatesImport,
    body=RatesRequest,
    status=201,
    location=True,
    problems=(413,),
)
def record_fx_rates(body: RatesRequest) -> tuple[RatesImport, str]:
    """Append exchange rates with their source. One that jumps by more than a fifth waits for a person."""
    found = record_rates(session(), body.rates, now(), allow_large_changes=body.allow_large_changes)
    return found, url_for("api.list_fx_rates")


@api.post("/fx-rate-files", tag="exchange rates", answers=RatesImport, query=RateFileQuery, status=201, upload=True)
def import_fx_rates(query: RateFileQuery) -> RatesImport:
    """Append the rates of the file that is the body: CSV, or the XML of the European Central Bank.

    CSV is `date,base,quote,rate,source`, or a day a line and a currency a column with the euro as the base; `source`
    says who states such a table. Lines that cannot be used are listed and stop no others.
    """
    file = BytesIO(request.get_data())
    return import_rate_file(session(), file, now(), query.source, allow_large_changes=query.allow_large_changes)


@api.get("/fx-conversions", tag="exchange rates", answers=ConversionAnswer, query=ConversionRequest)
def convert_one_amount(query: ConversionRequest) -> ConversionAnswer:
    """An amount at the rates of a day, `on` (left out: today). A missing rate is an error, never 1."""
    on = query.on or now().astimezone(UTC).date()
    found = convert_amount(session(), query.amount, query.source, query.target, on, now())
    return ConversionAnswer(found, found.rate, found.rate_date, found.source)


@api.get("/held-fx-rates", tag="exchange rates", answers=HeldRateList, query=HeldRateQuery)
def list_held_fx_rates(query: HeldRateQuery) -> HeldRateList:
    """Rates that were more than a fifth from the known one of the nearest day, and what was decided on them."""
    found = list_held_rates(session(), waiting=query.waiting, limit=query.limit, after=query.after)
    return HeldRateList(found, found[-1].id if len(found) == query.limit else None)


@api.post("/held-fx-rates/approve", tag="exchange rates", answers=DecidedRates, body=RowsRequest, problems=(409,))
def approve_held_fx_rates(body: RowsRequest) -> DecidedRates:
    """Let held rates count from now on: `rows` by id, or every one that waits with `all`."""
    return DecidedRates(approve_rates(session(), now(), body.chosen, actor(ACTOR)), now())


@api.post("/held-fx-rates/refuse", tag="exchange rates", answers=DecidedRates, body=RowsRequest, problems=(409,))
def refuse_held_fx_rates(body: RowsRequest) -> DecidedRates:
    """Decide that held rates are wrong; the same ones are refused from now on."""
    return DecidedRates(refuse_rates(session(), now(), body.chosen, actor(ACTOR)), now())


def _is_asked(rate: Rate, query: RateQuery) -> bool:
    return query.base in (None, rate.base) and query.quote in (None, rate.quote)
