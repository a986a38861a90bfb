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
        ("Mean TTFT (ms)", ("ttft_ms", 1.0)),
        ("ttft_p50_ms", ("ttft_ms", 1.0)),
        ("p99_itl_ms", ("p99_itl_ms", 1.0)),
        ("p90_latency_ms", ("latency_ms_p90", 1.0)),
        ("Output token throughput (tok/s)", ("output_tokens_per_s_total", 1.0)),
        ("Total Token throughput (tok/s)", ("total_tokens_per_s", 1.0)),
        ("Input token throughput (tok/s)", ("input_ms_token_throughput_tok", 1e-3)),  # not estimated
        ("tok/s (output)", ("output_tokens_per_s_total", 1.0)),
        ("Per GPU Output Throughput (tps/gpu)", ("output_tokens_per_s_per_gpu", 1.0)),
        ("Per User Output Throughput (tokens/sec/user)", ("output_tokens_per_s_per_user", 1.0)),
        ("tok/s/gpu", ("tokens_per_s", 1.0)),
        ("eval tokens/s", ("decode_tokens_per_s", 1.0)),
        ("prompt eval tok/s", ("prefill_tokens_per_s", 1.0)),
        ("Request throughput (req/s)", ("requests_per_s", 1.0)),
        ("Samples/s", ("samples_per_s", 1.0)),
        ("img/sec", ("samples_per_s", 1.0)),
        ("FPS", ("samples_per_s", 1.0)),
        ("it/s", ("iterations_per_s", 1.0)),
        ("output tokens per minute", ("output_tokens_per_s_total", 60.0)),
        ("ms/image", ("latency_ms_per_sample", 1.0)),
        ("J/token", ("energy_j_per_token", 1.0)),
        ("energy_per_token_mj", ("energy_j_per_token", 1e3)),
        ("Wh/query", ("energy_j_per_request", 1 / 3600)),
        ("tokens_per_joule", ("tokens_per_joule", 1.0)),  # not estimated
    ],
)
def test_a_metric_means_one_figure_in_the_unit_that_is_spelled(spelled: str, meant: tuple[str, float]) -> None:
    assert plain_metric(spelled) == (meant[0], pytest.approx(meant[1]))
