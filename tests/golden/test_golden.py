"""Whether predictions changed: not whether they are right. After a wanted change: python -m tests.golden.regenerate."""

from __future__ import annotations

import json

import pytest

from tests.golden.regenerate import ESTIMATES, golden_estimates

STORED = json.loads(ESTIMATES.read_text(encoding="utf-8"))
NOW = golden_estimates()


def test_the_golden_file_covers_every_ready_job_on_every_kind_of_hardware() -> None:
    assert list(STORED) == list(NOW)
    assert len(STORED) >= 36


@pytest.mark.parametrize("name", list(NOW))
def test_the_estimate_is_as_reviewed(name: str) -> None:
    stored, now = STORED[name], NOW[name]
    assert set(stored) == set(now)
    for field, value in stored.items():
        expected = pytest.approx(value, rel=2e-4) if isinstance(value, list) else value
        assert now[field] == expected, field
