"""The orders in which offers are listed: as the database sorts, and the same values of a row read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, case, cast, func, type_coerce

from planner.offers.priced import PricedOffer
from planner.store.keyset import SortKey, Value
from planner.store.tables import OfferRow, PriceRow

GPU_PLACES, AMOUNT_PLACES = 6, 10  # decimal places that the tables keep


@dataclass(frozen=True, slots=True)
class Order:
    """An order twice over: as the database sorts, and the same values of a row read back."""

    keys: Callable[[type[PriceRow]], list[SortKey]]
    values: Callable[[PricedOffer], list[Value | date]]


def _unknown_key(price: type[PriceRow]) -> SortKey:
    return SortKey(case((price.amount.is_(None), 1), else_=0), int)


def _raw(column: Any) -> ColumnElement[Any]:
    """The scaled integer as it is stored, in binary: division of two of these is the same on every database."""
    return cast(type_coerce(column, BigInteger), Double)


def _per_gpu_hour_keys(price: type[PriceRow]) -> list[SortKey]:
    ratio = func.coalesce(_raw(price.amount) / _raw(OfferRow.num_gpus), 0.0)
    return [_unknown_key(price), SortKey(OfferRow.currency, str), SortKey(ratio, float), SortKey(OfferRow.id, int)]


def _per_gpu_hour_values(item: PricedOffer) -> list[Value | date]:
    return [_is_unknown(item), item.offer.currency, _ratio(item), item.offer_id]


def _is_unknown(item: PricedOffer) -> int:
    return int(item.price is None or item.price.amount is None)


def _amount(item: PricedOffer) -> float:
    if item.price is None or item.price.amount is None:
        return 0.0
    return float(int(item.price.amount.scaleb(AMOUNT_PLACES)))


def _ratio(item: PricedOffer) -> float:
    return _amount(item) / float(int(item.offer.num_gpus.scaleb(GPU_PLACES)))


ORDERS = {
    "per_gpu_hour": Order(_per_gpu_hour_keys, _per_gpu_hour_values),
    "per_hour": Order(
        lambda price: [
            _unknown_key(price),
            SortKey(OfferRow.currency, str),
            SortKey(func.coalesce(_raw(price.amount), 0.0), float),
            SortKey(OfferRow.id, int),
        ],
        lambda item: [_is_unknown(item), item.offer.currency, _amount(item), item.offer_id],
    ),
    "gpu": Order(
        lambda price: [
            SortKey(case((OfferRow.gpu_key.is_(None), 1), else_=0), int),
            SortKey(func.coalesce(OfferRow.gpu_key, OfferRow.gpu_name), str),
            *_per_gpu_hour_keys(price),
        ],
        lambda item: [
            int(item.offer.gpu_key is None),
            item.offer.gpu_key or item.offer.gpu_name,
            *_per_gpu_hour_values(item),
        ],
    ),
    "provider": Order(
        lambda _: [
            SortKey(OfferRow.provider, str),
            SortKey(OfferRow.region, str),
            SortKey(OfferRow.instance_type, str),
            SortKey(OfferRow.id, int),
        ],
        lambda item: [item.offer.provider, item.offer.region, item.offer.instance_type, item.offer_id],
    ),
    "age": Order(
        lambda price: [
            _unknown_key(price),
            SortKey(func.coalesce(price.source_date, date.min), date, descending=True),
            SortKey(OfferRow.id, int),
        ],
        lambda item: [
            _is_unknown(item),
            date.min if item.price is None else item.price.source_date,
            item.offer_id,
        ],
    ),
}
