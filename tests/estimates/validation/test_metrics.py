"""Metrics of inference tables as they are spelled."""

from __future__ import annotations

import pytest

from planner.estimates.validation.metrics import plain_metric


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("tpot_ms", ("tpot_ms", 1.0)),
        ("median_ITL_ms", ("tpot_ms", 1.0)),
        ("mean_ttft_s", ("ttft_ms", 1e-3)),
        ("e2e_latency_s", ("latency_ms_avg", 1e-3)),
        ("latency_us_avg", ("latency_ms_avg", 1e3)),
        ("p50_latency_ms", ("latency_ms_p50", 1.0)),
        ("latency_ms_per_sample", ("latency_ms_per_sample", 1.0)),
        ("images_per_s", ("samples_per_s", 1.0)),
        ("requests_per_min", ("requests_per_s", 60.0)),
        ("output_tokens_per_s", ("output_tokens_per_s_total", 1.0)),
        ("energy_wh_per_request", ("energy_j_per_request", 1 / 3600)),
        ("ttft_ms_p99", ("ttft_ms_p99", 1.0)),  # not estimated
        ("tokens_per_s", ("tokens_per_s", 1.0)),  # of what is not said
        ("parsecs", ("parsecs", 1.0)),
    ],
)
def test_a_metric_means_one_figure_in_the_unit_that_is_spelled(spelled: str, meant: tuple[str, float]) -> None:
    assert plain_metric(spelled) == (meant[0], pytest.approx(meant[1]))
