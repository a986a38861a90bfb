"""The figures of docs/accuracy.md that the service shows, taken from that page into a facts file."""

from __future__ import annotations

import re
from pathlib import Path

FACTS = Path(__file__).parent.parent / "planner" / "estimates" / "published_error.toml"
HEADLINE = re.compile(
    r"\*\*Each source predicted with priors fitted without it: median over sources (?P<median>[\d.]+)%, "
    r"90th percentile (?P<p90>[\d.]+)%, bias [-+]?[\d.]+%; ranges hold (?P<inside>[\d.]+)% of the rows\*\* "
    r"\((?P<rows>\d+) rows of (?P<sources>\d+) sources"
)


def write_facts(page: str, path: Path = FACTS) -> None:
    """Write the facts file anew from the text of docs/accuracy.md; its head stays."""
    head = path.read_text(encoding="utf-8").partition("\n[")[0]
    path.write_text(head + "\n" + facts_of(page), encoding="utf-8")


def facts_of(page: str) -> str:
    """The tables of the facts file; ValueError where a section of the page has no headline."""
    tables = []
    for part in page.split("\n## ")[1:]:
        found, kind = HEADLINE.search(part), part.partition("\n")[0].lower()
        if found is None:
            raise ValueError(f"the section on {kind} does not say how far sources left out lay")
        shares = "".join(f"{name} = {float(found[name]) / 100:.3f}\n" for name in ("median", "p90", "inside"))
        tables.append(f"[{kind}]\n{shares}rows = {found['rows']}\nsources = {found['sources']}\n")
    return "\n".join(tables)
