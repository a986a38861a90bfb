"""SI units and money at the edge: parsing what people write ("7B", "1.5 h", "80GB", "$2.50") and printing it back.

Inside the planner there are only seconds, bytes, FLOPs, FLOP/s, watts, joules and `Decimal` money.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

HOUR = 3600.0
DAY = 24 * HOUR
GB = 1e9
GIB = 1024.0**3
TERA = 1e12
JOULES_PER_KWH = 3.6e6

_COUNT_SUFFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
_BYTE_SUFFIXES = {
    "": 1.0,
    "B": 1.0,
    **{f"{prefix}B": 1000.0**power for power, prefix in enumerate("KMGTP", start=1)},
    **{f"{prefix}IB": 1024.0**power for power, prefix in enumerate("KMGTP", start=1)},
}
_SECOND_SUFFIXES = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("us", "µs"), 1e-6),
    "ms": 1e-3,
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY),
}
_NUMBER_AND_SUFFIX = re.compile(r"\s*([0-9][0-9,_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-zµ]*)\s*")


def parse_count(text: str) -> float:
    """A count from "7B", "1.3 M", "2e9" or "4096". Raises ValueError saying what would be right."""
    return _parse(text, _COUNT_SUFFIXES, str.upper, "a count such as 4096, 2e9, 300K, 7B or 1.4T")


def parse_bytes(text: str) -> float:
    """Bytes from "80GB" (decimal) or "74.5 GiB" (binary). Raises ValueError saying what would be right."""
    return _parse(text, _BYTE_SUFFIXES, str.upper, "a size such as 80GB, 512 MB or 74.5 GiB")


def parse_seconds(text: str) -> float:
    """Seconds from "90", "1.5 h", "3 days". Raises ValueError saying what would be right."""
    return _parse(text, _SECOND_SUFFIXES, str.lower, "a time such as 90 s, 15 min, 1.5 h or 3 days")


def _parse(text: str, suffixes: dict[str, float], fold: Callable[[str], str], wanted: str) -> float:
    if text.lstrip()[:1] in ("-", "−"):
        raise ValueError(f"{text!r} is below 0; give {wanted}")
    match = _NUMBER_AND_SUFFIX.fullmatch(text)
    suffix = match[2] if match else ""
    factor = suffixes.get(fold(suffix))
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not {wanted}")
    value = float(match[1].replace(",", "").replace("_", "")) * factor
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large; give {wanted}")
    return value


def parse_money(text: str) -> Decimal:
    """An exact amount from "2.50" or "$1,234.5". Raises ValueError for anything else, NaN and infinity included."""
    cleaned = text.strip().removeprefix("$").replace(",", "").strip()
    try:
        amount = Decimal(cleaned)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount such as 2.50") from None
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not an amount such as 2.50")
    return amount


def plain_decimal(amount: Decimal) -> str:
    """The amount as FOCUS and JSON want it: no exponent, no thousands mark, no trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_money(amount: Decimal | float, currency: str = "USD") -> str:
    """ "$1,234", "$2.49", "$0.0031": two decimals from a cent up, three significant digits below."""
    value = Decimal(str(amount))
    if value < 0:
        return f"-{format_money(-value, currency)}"
    sign = {"USD": "$", "EUR": "€", "GBP": "£"}.get(currency, f"{currency} ")
    if value == 0 or abs(value) >= Decimal("0.01"):
        places = 0 if abs(value) >= 1000 else 2
        return f"{sign}{value:,.{places}f}"
    return f"{sign}{plain_decimal(Decimal(f'{value:.2e}'))}"


def format_count(value: float) -> str:
    """ "7.0 B", "300 K", "4,096": three significant digits with K, M, B, T from 10,000 up."""
    for factor, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= factor and (factor > 1e3 or abs(value) >= 1e4):
            return f"{_three_digits(value / factor)} {suffix}"
    return f"{value:,.0f}" if value == round(value) else _three_digits(value)


def format_bytes(value: float) -> str:
    """ "79.6 GB": decimal units, three significant digits."""
    for factor, suffix in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= factor:
            return f"{_three_digits(value / factor)} {suffix}"
    return f"{value:,.0f} B"


def format_seconds(value: float) -> str:
    """ "850 µs", "12.3 ms", "42 s", "15 min", "3.2 h", "4.5 days", "11 weeks"."""
    if value == 0:
        return "0 s"
    for limit, factor, suffix in (
        (1e-3, 1e-6, "µs"),
        (1.0, 1e-3, "ms"),
        (120.0, 1.0, "s"),
        (2 * HOUR, 60.0, "min"),
        (2 * DAY, HOUR, "h"),
        (60 * DAY, DAY, "days"),
    ):
        if value < limit:
            return f"{_three_digits(value / factor)} {suffix}"
    if value < 2 * 365 * DAY:
        return f"{_three_digits(value / (7 * DAY))} weeks"
    return f"{_three_digits(value / (365.25 * DAY))} years"


def typed_seconds(value: float) -> str:
    """How somebody would type a duration, read back by `parse_seconds` as the same: "2 h", "1.5 days", "50 ms"."""
    for unit, factor in (("days", DAY), ("h", HOUR), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        number = f"{value / factor:.4g}"
        if 1 <= value / factor < 1e4 and parse_seconds(text := f"{number} {unit}") == value:
            return "1 day" if text == "1 days" else text
    return f"{value!r} s"


def format_flops_per_second(value: float) -> str:
    """ "989 TFLOP/s", "85.4 GFLOP/s"."""
    for factor, suffix in ((1e18, "EFLOP/s"), (1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s")):
        if abs(value) >= factor:
            return f"{_three_digits(value / factor)} {suffix}"
    return f"{_three_digits(value / 1e6)} MFLOP/s"


def format_watts(value: float) -> str:
    """ "0.35 W", "350 W", "12 kW"."""
    return f"{value / 1000:,.3g} kW" if value >= 10_000 else f"{value:,.0f} W" if value >= 100 else f"{value:.3g} W"


def format_energy(joules: float) -> str:
    """ "12.4 kWh", "350 Wh", "81 J"."""
    kwh = joules / JOULES_PER_KWH
    if kwh >= 1000:
        return f"{_three_digits(kwh / 1000)} MWh"
    if kwh >= 1:
        return f"{_three_digits(kwh)} kWh"
    if kwh >= 1e-3:
        return f"{_three_digits(kwh * 1000)} Wh"
    return f"{_three_digits(joules)} J"


def format_kilograms(value: float) -> str:
    """ "350 g", "12.4 kg", "89.9 t"."""
    if value >= 1000:
        return f"{_three_digits(value / 1000)} t"
    return f"{_three_digits(value)} kg" if value >= 1 else f"{_three_digits(value * 1000)} g"


def _three_digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
