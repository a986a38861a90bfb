"""Why an option lost against the best one, in a sentence with the figures that decide."""

from __future__ import annotations

from collections.abc import Callable

from planner import units
from planner.estimates.estimate import Bottleneck, Option
from planner.hardware.gpu import Dtype


def why_not(option: Option, best: Option, goal: str, dtype: Dtype) -> str:
    """ "2.3× dearer than …: 1.4× the price per hour, 1.6× as long; 41 % less memory bandwidth per USD"."""
    ours, theirs = measure(option, goal), measure(best, goal)
    against = best.placement.title
    if option.placement.currency != best.placement.currency and goal == "cost":
        return f"priced in {option.placement.currency}: not compared with {against} without an exchange rate"
    if ours is None:
        if goal == "cost":
            why = option.unknown.get("cost", "no price is known")
            return f"its cost is unknown ({why}); {_slower(option, best)} {against}"
        return f"its time is unknown, that of {against} is not"
    if theirs is None or theirs <= 0:
        return f"ranked after {against}"
    details = [text for text in (*_parts(option, best, goal), _per_money(option, best, dtype)) if text]
    word = "dearer" if goal == "cost" else "slower"
    text = f"{_ratio(ours / theirs)} {word} than {against}" if ours > theirs * 1.005 else f"as good as {against}"
    return f"{text}: {', '.join(details)}" if details else text


def measure(option: Option, goal: str) -> float | None:
    """What options are ranked by: money (of a service per token), or time (of a service per token)."""
    if goal == "cost":
        quantity = option.cost if option.seconds is not None else option.cost_per_million_tokens
        return None if quantity is None else quantity.mid
    return option.seconds.mid if option.seconds is not None else 1.0 / option.tokens_per_second.mid


def _parts(option: Option, best: Option, goal: str) -> list[str]:
    """Price per hour and speed apart, as far as they differ."""
    parts = []
    if goal == "cost" and option.cost_per_hour is not None and best.cost_per_hour is not None:
        ratio = option.cost_per_hour.mid / max(best.cost_per_hour.mid, 1e-12)
        if abs(ratio - 1.0) > 0.005:
            parts.append(f"{_ratio(ratio)} the price per hour")
    speed = best.tokens_per_second.mid / option.tokens_per_second.mid
    if abs(speed - 1.0) > 0.005:
        text = f"{_ratio(speed)} as long" if speed > 1 else f"{_ratio(1 / speed)} as fast"
        parts.append(text)
    return parts if goal == "cost" else []


def _slower(option: Option, best: Option) -> str:
    speed = best.tokens_per_second.mid / option.tokens_per_second.mid
    return f"{_ratio(speed)} as long as on" if speed >= 1 else f"{_ratio(1 / speed)} as fast as"


def _per_money(option: Option, best: Option, dtype: Dtype) -> str:
    """How much less of what bounds it the option has, per unit of money where both have a price."""
    name, figure = _deciding(option, dtype)
    ours, theirs = figure(option), figure(best)
    if ours is None or theirs is None:
        return ""
    if option.cost_per_hour is not None and best.cost_per_hour is not None:
        hourly = option.cost_per_hour.mid, best.cost_per_hour.mid
        if min(hourly) > 0:
            less = 1.0 - (ours / hourly[0]) / (theirs / hourly[1])
            return f"{less:.0%} less {name} per {option.placement.currency}" if less > 0.005 else ""
    if ours < theirs * 0.995:
        show = units.format_flops_per_second if name == "compute" else lambda value: f"{units.format_bytes(value)}/s"
        return f"less {name}: {show(ours)} against {show(theirs)}"
    return ""


def _deciding(option: Option, dtype: Dtype) -> tuple[str, Callable[[Option], float | None]]:
    if option.bottleneck is Bottleneck.COMPUTE:
        return "compute", lambda other: _times(other, other.placement.gpu.peak(dtype))
    return "memory bandwidth", lambda other: _times(
        other, other.placement.gpu.memory_bandwidth and other.placement.gpu.memory_bandwidth.value
    )


def _times(option: Option, figure: float | None) -> float | None:
    return None if figure is None else figure * float(option.placement.num_gpus)


def _ratio(value: float) -> str:
    return f"{value:.2f}×" if value < 1.995 else f"{value:.1f}×" if value < 99.5 else f"{value:,.0f}×"
