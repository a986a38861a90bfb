"""Jinja filters: quantities with their unit, money, moments, ages. None never gets here: templates say "unknown"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from planner import units
from planner.quantity import Quantity

MONEY_UNIT = re.compile(r"(?P<currency>[A-Z]{3})(?P<per>|/h|/Mtoken|/thousand)")
QUANTITY_NAMES = {
    "token_seconds": "Each further token",
    "request_seconds": "A whole request",
    "alone_seconds": "Alone, in a batch of 1",
    "requests_per_second": "Answered",
    "most_requests_per_second": "Answered at the fullest",
    "concurrency": "At a time",
    "joules_per_request": "Energy of each",
    "first_token_seconds": "First token",
    "seconds": "Whole time",
    "step_seconds": "One step",
    "memory_bytes": "Memory of each GPU",
    "energy_joules": "Energy",
    "average_power_watts": "Average power",
    "items_per_second": "Items per second",
    "lost_seconds": "Lost to failures",
}
MONEY_PER = {"": "", "/h": " per hour", "/Mtoken": " per M tokens", "/thousand": " per thousand"}
ARGUMENT = re.compile(r"<(?:[^:<>]+:)?(?P<name>[^<>]+)>")
STATE_WORDS = {
    "ok": "ready",
    "oom": "out of memory",
    "timed_out": "timed out",
}
STATE_TONES = {
    "solved": "good",
    "solving": "live",
    "infeasible": "warn",
    "succeeded": "good",
    "ok": "good",
    "suspect": "warn",
    "quarantined": "warn",
    "missing": "warn",
    "lost": "bad",
    "failed": "bad",
    "oom": "bad",
    "timed_out": "bad",
    "busy": "warn",
    "cancelled": "quiet",
    "queued": "quiet",
    "claimed": "live",
    "running": "live",
}


def when(moment: datetime) -> str:
    """ "21 Nov 2026, 09:00 UTC"."""
    return f"{moment.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def day(value: date) -> str:
    """ "21 Nov 2026"."""
    return f"{value:%-d %b %Y}"


def ago(moment: datetime, now: datetime) -> str:
    """ "3 min ago", "in 7 days", "just now"."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 2:
        return "just now"
    amount = _about(abs(seconds))
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def _about(seconds: float) -> str:
    """Whole seconds, minutes, hours or days: "45 s", "12 min", "30 h", "7 days"."""
    for limit, size, name in ((100, 1.0, "s"), (2 * units.HOUR, 60.0, "min"), (2 * units.DAY, units.HOUR, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds / units.DAY:,.0f} days"


def days_old(days: int) -> str:
    """ "today", "1 day", "124 days"."""
    return "today" if days == 0 else "1 day" if days == 1 else f"{days:,} days"


FRESH_DAYS, OLD_DAYS = 30, 180  # price lists of the large clouds move monthly at most; half a year is another market


def freshness(days: int) -> tuple[str, str]:
    """How old a stated price is, as a tone and as a word: up to 30 days fresh, from 180 on old."""
    if days <= FRESH_DAYS:
        return "good", "fresh"
    return ("quiet", "ageing") if days < OLD_DAYS else ("warn", "old")


def bandwidth(value: float) -> str:
    """ "3.35 TB/s"."""
    return f"{units.format_bytes(value)}/s"


def hertz(value: float) -> str:
    """ "1.98 GHz"."""
    return f"{value / 1e9:.3g} GHz" if value >= 1e9 else f"{value / 1e6:,.0f} MHz"


def percent(value: float) -> str:
    """ "42 %", of a fraction; a share that rounding alone makes is none."""
    share = value * 100
    if abs(share) < 1e-9:
        return "0 %"
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"


def plain(value: Decimal | float) -> str:
    """A number without trailing zeros."""
    return units.plain_decimal(value) if isinstance(value, Decimal) else f"{value:,.10g}"


def in_unit(unit: str) -> Callable[[float], str]:
    """How numbers of that unit are written; money units begin with a currency, as "USD/h"."""
    known: dict[str, Callable[[float], str]] = {
        "s": units.format_seconds,
        "B": units.format_bytes,
        "J": units.format_energy,
        "W": units.format_watts,
        "kg": units.format_kilograms,
        "": units.format_count,
        "1/s": lambda value: f"{units.format_count(value)} per second",
    }
    if unit in known:
        return known[unit]
    if money := MONEY_UNIT.fullmatch(unit):
        return lambda value: units.format_money(value, money["currency"]) + MONEY_PER[money["per"]]
    return lambda value: f"{units.format_count(value)} {unit}"


def per_unit(quantity: Quantity) -> str:
    """The middle of a quantity in the words of its own unit."""
    return in_unit(quantity.unit)(quantity.mid)


def low_mid_high(quantity: Quantity) -> tuple[str, str, str]:
    """The three figures of a range, written in the quantity's unit; the unit once where all three have the same."""
    write = in_unit(quantity.unit)
    low, mid, high = (write(value).split(" ") for value in (quantity.low, quantity.mid, quantity.high))
    if low != high:
        shared = _num_shared(low, mid, high)
        low, mid = low[: len(low) - shared], mid[: len(mid) - shared]
    return " ".join(low), " ".join(mid), " ".join(high)


def words(value: Any) -> str:
    """An enum's value or a field's name as words: "on_demand" → "on demand"."""
    text = str(getattr(value, "value", value))
    return STATE_WORDS.get(text, text.replace("_", " "))


def _num_shared(*texts: list[str]) -> int:
    """How many last words are the same in all, the figure itself left out."""
    num_shared = 0
    while num_shared < min(map(len, texts)) - 1 and len({words[-1 - num_shared] for words in texts}) == 1:
        num_shared += 1
    return num_shared


def quantity_name(name: str) -> str:
    """The name of a figure as words: "num_steps" → "Number of steps", "first_token_seconds" → "First token"."""
    if name in QUANTITY_NAMES:
        return QUANTITY_NAMES[name]
    plain = name.removesuffix("_seconds").replace("_", " ")
    return f"Number of {plain[4:]}" if plain.startswith("num ") else plain[:1].upper() + plain[1:]


def tone(state: Any) -> str:
    """Which of the five tones a state is shown in."""
    return STATE_TONES.get(str(getattr(state, "value", state)), "quiet")


def argument_names(path: str) -> str:
    """A route as people read it: "/gpus/<key>" → "/gpus/{key}"."""
    return ARGUMENT.sub(lambda match: "{" + match["name"] + "}", path)


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "day": day,
    "ago": ago,
    "days_old": days_old,
    "freshness": freshness,
    "seconds": units.format_seconds,
    "bytes": units.format_bytes,
    "count": units.format_count,
    "money": units.format_money,
    "energy": units.format_energy,
    "flops": units.format_flops_per_second,
    "watts": units.format_watts,
    "bandwidth": bandwidth,
    "hertz": hertz,
    "percent": percent,
    "plain": plain,
    "per_unit": per_unit,
    "low_mid_high": low_mid_high,
    "words": words,
    "capitalize_first": lambda text: text[:1].upper() + text[1:],
    "zip_words": lambda values: [(value, words(value)) for value in values],
    "in_unit": lambda value, unit: in_unit(unit)(value),
    "tone": tone,
    "quantity_name": quantity_name,
    "argument_names": argument_names,
}
