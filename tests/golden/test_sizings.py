"""Whether sizings changed: not whether they are right. After a wanted change: python -m tests.golden.sizings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.sizings import SIZINGS, golden_sizings

STORED = json.loads(SIZINGS.read_text(encoding="utf-8"))
Sizings = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def sizings() -> Sizings:
    return golden_sizings()


def test_the_golden_file_covers_tokens_passes_apart_a_day_and_the_curve(sizings: Sizings) -> None:
    assert list(STORED) == list(sizings)
    assert len(STORED) >= 20


@pytest.mark.parametrize("name", list(STORED))
def test_the_sizing_is_as_reviewed(name: str, sizings: Sizings) -> None:
    stored, now = STORED[name], sizings[name]
    assert set(stored) == set(now)
    for field, value in stored.items():
        expected = pytest.approx(value, rel=1e-3, abs=1e-6) if isinstance(value, list | float) else value
        assert now[field] == expected, field
