"""How far published runs lay from uncalibrated estimates whose priors had never seen their source.

The error of its kind that a reader may hold an estimate against before finished jobs of their own tell more.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class PublishedError:
    """Fractions: 0.124 is 12.4 %. `median` and `p90` are of the absolute errors, each the median over the sources;
    `inside` is the share of the runs that lay in the range that was stated."""

    median: float
    p90: float
    inside: float
    num_rows: int
    num_sources: int


def published_error(job_kind: str) -> PublishedError:
    """Of "training" or of "inference", each source predicted with priors fitted without it (docs/accuracy.md)."""
    return _load()[job_kind]


@cache
def _load() -> dict[str, PublishedError]:
    text = resources.files("planner.estimates").joinpath("published_error.toml").read_text(encoding="utf-8")
    return read_published_errors(text)


def read_published_errors(text: str) -> dict[str, PublishedError]:
    """The errors in the text of a facts file, by the kind of job."""
    return {
        kind: PublishedError(entry["median"], entry["p90"], entry["inside"], entry["rows"], entry["sources"])
        for kind, entry in tomllib.loads(text).items()
    }
