"""Rows of inference tables as other people write them: answered where they say enough, declined with what is open."""

from __future__ import annotations

import pytest

from tests.estimates.validation.test_inference_rows import _predicted, _validated

MLPERF = {"source": "MLPerf Inference", "framework": "TensorRT-LLM", "batch_or_concurrency": "", "precision": "fp8"}
BENCH = dict.fromkeys(("scenario", "batch_or_concurrency", "input_len", "output_len"), "") | {
    "framework": "llama.cpp b4000",
    "precision": "Q4_K_M",
}


def test_one_run_means_the_same_however_its_row_is_spelled() -> None:
    plain = _predicted({"num_gpus": "4", "tp": "4", "input_len": "2048"})
    spelled = {
        "metric": "Median TPOT (ms)",
        "model_family": "LLM",
        "scenario": "Closed loop",
        "gpu_model": "4x H100-SXM-80GB",
        "num_gpus": "4",
        "tp": "4",
        "input_len": '"2,048"',
    }
    assert _predicted(spelled) == pytest.approx(plain)
    assert _predicted({**spelled, "gpu_model": "H100-SXM-80GB x4", "num_gpus": ""}) == pytest.approx(plain)


def test_rates_of_one_request_and_of_one_gpu_follow_from_those_of_the_system() -> None:
    per_token, user, total, per_gpu = _predicted(
        *({"metric": name, "num_gpus": "2", "tp": "2"} for name in ("tpot_ms", "tok/s/user")),
        *({"metric": name, "num_gpus": "2", "tp": "2"} for name in ("output tokens/sec", "output tps/gpu")),
    )
    assert user == pytest.approx(1e3 / per_token)
    assert per_gpu == pytest.approx(total / 2)


def test_llama_bench_says_its_lengths_in_its_metrics() -> None:
    prompt, generated = _predicted({**BENCH, "metric": "pp512"}, {**BENCH, "metric": "tg128 t/s"})
    lengths = {"scenario": "single_stream", "batch_or_concurrency": "1"}
    stated = _predicted(
        {**BENCH, **lengths, "metric": "prefill_tokens_per_s", "input_len": "512", "output_len": "0"},
        {**BENCH, **lengths, "metric": "decode_tokens_per_s", "input_len": "0", "output_len": "128"},
    )
    assert [prompt, generated] == pytest.approx(stated)
    assert prompt > 5 * generated


def test_mlperf_scores_output_tokens_and_its_server_keeps_less_than_offline() -> None:
    offline, server = _predicted(
        {**MLPERF, "metric": "Tokens/s", "scenario": "Offline"},
        {**MLPERF, "metric": "Tokens/s", "scenario": "Server"},
    )
    assert 0.5 * offline < server < offline


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"metric": "tokens/s"}, "which tokens the metric counts"),
        ({"metric": "P99 TTFT (ms)"}, "a percentile of a time"),
        ({"metric": "tokens_per_joule"}, "not supported"),
        ({"metric": "Input token throughput (tok/s)"}, "not supported"),
        ({**MLPERF, "metric": "Tokens/s", "scenario": "Interactive"}, "a tight latency limit"),
        ({"input_len": "1k"}, "not a whole number|not a number"),
        ({"gpu_model": "GTX 1080"}, "the catalogue has no GPU 'GTX 1080'"),
    ],
)
def test_what_is_open_is_declined_with_its_reason(row: dict[str, str], reason: str) -> None:
    (found,) = _validated(row)
    assert found.predicted is None
    assert any(part in found.reason for part in reason.split("|"))
