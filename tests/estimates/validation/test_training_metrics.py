"""Metrics of training tables as they are spelled."""

from __future__ import annotations

import pytest

from planner.estimates.validation.training_metrics import plain_training_metric


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("tokens_per_s_per_gpu", ("tokens_per_s_per_gpu", 1.0)),
        ("tokens/s/GPU", ("tokens_per_s_per_gpu", 1.0)),
        ("tok_per_sec_per_chip", ("tokens_per_s_per_gpu", 1.0)),
        ("images/sec", ("samples_per_s_total", 1.0)),
        ("samples_per_s_total", ("samples_per_s_total", 1.0)),
        ("iteration_time_ms", ("step_time_s", 1000.0)),
        ("ms/step", ("step_time_s", 1000.0)),
        ("it/s", ("steps_per_s", 1.0)),
        ("HFU", ("hfu", 1.0)),
        ("gpu_hours", ("gpu_hours", 1.0)),
        ("model_tflops_per_gpu", ("model_tflops_per_gpu", 1.0)),
        ("wall_s", ("wall_s", 1.0)),
    ],
)
def test_metrics_of_training_tables_are_read_as_they_are_spelled(spelled: str, plain: tuple[str, float]) -> None:
    assert plain_training_metric(spelled) == plain
