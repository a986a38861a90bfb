"""Benches and samples as JSON: what goes in comes back, and what no honest measurement can say is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from planner.calibration.sample import (
    Bench,
    Operation,
    Sample,
    bench_from_document,
    bench_to_document,
    sample_from_document,
    sample_to_document,
)
from planner.hardware.gpu import Dtype

BENCH = Bench(Operation.DECODE, 1, Dtype.BF16, {"context": 128, "batch": 4}, 0.5)
SAMPLE = Sample(BENCH, 0.25, 0.01, 9, 1e9, 2e9, True, 123_456, {"executions": 4.0})


def test_a_bench_survives_json() -> None:
    assert bench_from_document(json.loads(json.dumps(bench_to_document(BENCH)))) == BENCH


def test_a_sample_survives_json() -> None:
    assert sample_from_document(BENCH, json.loads(json.dumps(sample_to_document(SAMPLE)))) == SAMPLE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", math.nan),
        ("seconds", math.inf),
        ("seconds", 0),
        ("seconds", -1.0),
        ("seconds", "0.25"),
        ("seconds", True),
        ("seconds", None),
        ("spread", -0.1),
        ("repeats", 0),
        ("repeats", 2.5),
        ("flops", -1),
        ("num_bytes", math.inf),
        ("steady", 1),
        ("peak_memory_bytes", -1),
        ("details", [1]),
        ("details", {"executions": math.nan}),
        ("surprise", 1),
    ],
)
def test_a_sample_that_cannot_be_true_is_refused_by_the_fields_name(field: str, value: Any) -> None:
    document = sample_to_document(SAMPLE) | {field: value}
    name = "executions" if isinstance(value, dict) else field
    with pytest.raises(ValueError, match=name):
        sample_from_document(BENCH, document)


@pytest.mark.parametrize(
    ("field", "value"),
    [("operation", "boil"), ("dtype", "fp7"), ("version", 0), ("parameters", {"m": "1"}), ("parameters", None)],
)
def test_a_bench_that_is_none_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError):
        bench_from_document(bench_to_document(BENCH) | {field: value})
