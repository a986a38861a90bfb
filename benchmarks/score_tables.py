"""Tables of scores in Markdown: a line per group, fractions as per cent."""

from __future__ import annotations

from collections.abc import Callable

from planner.estimates.validation.score import Scored, grouped, score


def score_table(title: str, scored: list[Scored], key: Callable[[Scored], str]) -> str:
    """Rows, declined, median, 90th percentile, bias and coverage of each group of `key`, by name."""
    lines = [
        f"\n| {title} | rows | declined | median | 90th | bias | inside |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, items in sorted(grouped(scored, key).items()):
        found = score(name, items)
        figures = " | ".join(percent(value) for value in (found.median, found.p90, found.bias, found.coverage))
        lines.append(f"| {name.replace('|', '/')} | {found.rows} | {found.declined} | {figures} |")
    return "\n".join(lines) + "\n"


def percent(value: float | None) -> str:
    """One decimal; a dash for what is not known."""
    return "–" if value is None else f"{value:.1%}"
