"""Whether predictions changed: not whether they are right. After a wanted change: python -m tests.golden.regenerate."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.regenerate import ESTIMATES, golden_estimates

STORED = json.loads(ESTIMATES.read_text(encoding="utf-8"))
Estimates = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def estimates() -> Estimates:
    return golden_estimates()


def test_the_golden_file_covers_every_ready_job_on_every_kind_of_hardware(estimates: Estimates) -> None:
    assert list(STORED) == list(estimates)
    assert len(STORED) >= 36


@pytest.mark.parametrize("name", list(STORED))
def test_the_estimate_is_as_reviewed(name: str, estimates: Estimates) -> None:
    stored, now = STORED[name], estimates[name]
    assert set(stored) == set(now)
    for field, value in stored.items():
        expected = pytest.approx(value, rel=2e-4) if isinstance(value, list) else value
        assert now[field] == expected, field
