"""Rows of inference tables: metrics of one run agree, engines and formats are told apart, what is open is said."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from planner.estimates.validation.score import Scored, by_source, grouped, overall, score
from planner.estimates.validation.table import read_table
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue

HEADER = (
    "id,source,year,model_name,model_family,layers,hidden,heads,kv_heads,ffn_hidden,gated_mlp,vocab,gpu_model,"
    "gpu_memory_gb,num_gpus,tp,pp,precision,kv_precision,framework,scenario,batch_or_concurrency,input_len,output_len,"
    "image_size,metric,value,notes"
)
LLAMA = {
    "model_name": "Llama-3-8B-like",
    "model_family": "dense-transformer",
    "layers": "32",
    "hidden": "4096",
    "heads": "32",
    "kv_heads": "8",
    "ffn_hidden": "14336",
    "gated_mlp": "1",
    "vocab": "128256",
}
RUN = {
    "id": "a",
    "source": "s",
    "year": "2025",
    "gpu_model": "H100-SXM-80GB",
    "gpu_memory_gb": "80",
    "num_gpus": "1",
    "tp": "1",
    "pp": "1",
    "precision": "bf16",
    "framework": "vLLM 0.8",
    "scenario": "fixed_concurrency",
    "batch_or_concurrency": "16",
    "input_len": "1024",
    "output_len": "1024",
    "metric": "tpot_ms",
    "value": "10",
}


def _validated(*rows: dict[str, str]) -> list[Scored]:
    lines = [",".join((LLAMA | RUN | row).get(name, "") for name in HEADER.split(",")) for row in rows]
    return validate_table(read_table("\n".join((HEADER, *lines))), load_catalogue())


def _predicted(*rows: dict[str, str]) -> list[float]:
    found = _validated(*rows)
    assert all(item.predicted for item in found), [item.reason for item in found]
    return [item.predicted or math.nan for item in found]


def test_metrics_of_one_run_agree_with_each_other() -> None:
    total, per_gpu, both, requests = _predicted(
        *({"metric": name} for name in ("output_tokens_per_s_total", "output_tokens_per_s_per_gpu")),
        {"metric": "total_tokens_per_s"},
        {"metric": "requests_per_s"},
    )
    assert per_gpu == pytest.approx(total)
    assert both == pytest.approx(2 * total)
    assert requests == pytest.approx(total / 1024)


def test_a_first_token_under_load_comes_later_than_alone_and_has_its_own_class() -> None:
    alone, loaded = _validated(
        {"metric": "ttft_ms", "batch_or_concurrency": "1"}, {"metric": "ttft_ms", "batch_or_concurrency": "64"}
    )
    assert alone.predicted is not None
    assert loaded.predicted is not None
    assert loaded.predicted > 3 * alone.predicted
    assert (alone.kind, loaded.kind) == ("first_token", "first_token_loaded")


def test_releases_of_an_engine_are_told_apart_by_number_or_year() -> None:
    early, late, undated = _predicted(
        {"framework": "vLLM 0.4.2"}, {"framework": "vLLM 0.8.3"}, {"framework": "vLLM", "year": "2023"}
    )
    assert early > 1.3 * late
    assert undated == early


def test_packed_weights_are_read_faster_than_they_lie_in_sixteen_bits() -> None:
    single = {"scenario": "single_stream", "batch_or_concurrency": "1", "metric": "decode_tokens_per_s"}
    wide, packed = _predicted(
        {**single, "framework": "llama.cpp", "precision": "f16"},
        {**single, "framework": "llama.cpp", "precision": "q4_k_m"},
    )
    assert packed > 1.4 * wide


def test_layers_on_several_gpus_do_not_hasten_one_request() -> None:
    single = {"scenario": "single_stream", "batch_or_concurrency": "1", "metric": "decode_tokens_per_s"}
    one, four = _predicted(
        {**single, "framework": "llama.cpp"},
        {**single, "framework": "llama.cpp", "num_gpus": "4", "tp": "", "pp": ""},
    )
    assert four <= one


def test_what_the_table_leaves_open_is_said_and_widens_the_range() -> None:
    stated, silent = _validated({}, {"precision": "", "input_len": ""})
    assert stated.assumptions == ()
    assert "bf16 products" in silent.assumptions
    assert silent.range_width is not None
    assert stated.range_width is not None
    assert silent.range_width > stated.range_width


def test_pictures_encoders_and_steps_of_diffusion_are_answered() -> None:
    picture = {"model_name": "resnet50", "model_family": "cnn", "image_size": "224", "metric": "samples_per_s"}
    bert = {"layers": "24", "hidden": "1024", "heads": "16", "ffn_hidden": "4096", "gated_mlp": "0", "vocab": "30522"}
    text = {
        **bert,
        "model_name": "BERT-large",
        "model_family": "encoder",
        "input_len": "128",
        "metric": "latency_ms_p99",
    }
    step = {"model_name": "Stable Diffusion v1.5", "model_family": "diffusion", "metric": "iterations_per_s"}
    shapeless = dict.fromkeys(LLAMA, "")
    common = {"scenario": "fixed_batch", "precision": "fp16", "framework": "TensorRT", "output_len": ""}
    found = _validated(*({**shapeless, **common, **row} for row in (picture, text, step)))
    assert [item.kind for item in found] == ["picture", "encoder", "picture"]
    assert all(item.predicted for item in found), [item.reason for item in found]


def test_power_as_a_share_of_the_limit_lies_between_idle_and_all_of_it() -> None:
    watts, share = _predicted({"metric": "avg_power_w"}, {"metric": "avg_power_frac_tdp"})
    assert 0.2 < share <= 1.0
    assert watts == pytest.approx(700.0 * share)


def test_requests_beyond_what_memory_holds_wait_for_others_to_end() -> None:
    few, many = _predicted(
        *({"metric": "ttft_ms", "batch_or_concurrency": number, "output_len": "8192"} for number in ("16", "4096"))
    )
    assert many > 100 * few


def test_pictures_of_unequal_sides_count_their_pixels() -> None:
    picture = {**dict.fromkeys(LLAMA, ""), "model_name": "resnet50", "model_family": "cnn", "metric": "samples_per_s"}
    common = {"scenario": "fixed_batch", "precision": "fp16", "framework": "TensorRT", "output_len": ""}
    square, oblong = _predicted(*({**picture, **common, "image_size": size} for size in ("448x448", "224x896")))
    assert oblong == square


def test_what_cannot_be_predicted_is_declined_with_the_reason() -> None:
    rows = (
        {"scenario": "training"},
        {"notes": "SUSPECT: as published"},
        {"gpu_model": "Abacus"},
        {"precision": "posit8"},
        {"metric": "parsecs"},
        {"tp": "4"},
        {"output_len": "", "metric": "output_tokens_per_s_total"},
    )
    parts = ("training run", "SUSPECT", "'Abacus'", "'posit8'", "'parsecs'", "more than 1 GPUs", "how many tokens")
    for item, part in zip(_validated(*rows), parts, strict=True):
        assert item.predicted is None
        assert part in item.reason


def test_experts_on_the_gpus_that_share_the_rest_are_not_counted_twice() -> None:
    notes = "source row of_a_day_agg_1024x1024_c16_tp4_ep4_7; expert parallel 4"
    plain = {"num_gpus": "4", "tp": "4"}
    apart, shared, twice = _predicted(plain, plain | {"notes": notes}, {"num_gpus": "16", "tp": "16", "notes": notes})
    assert twice == shared == apart


def test_steps_of_as_many_as_memory_holds_count_all_of_them() -> None:
    alone, all_of_them = _predicted(
        {"metric": "decode_tokens_per_s", "batch_or_concurrency": "1"},
        {"metric": "decode_tokens_per_s", "batch_or_concurrency": "", "scenario": "offline"},
    )
    assert all_of_them > 10 * alone


def test_blackwell_multiplies_four_bit_weights_as_they_lie() -> None:
    hopper, blackwell = _predicted(
        *({"gpu_model": gpu, "gpu_memory_gb": "", "precision": "mxfp4"} for gpu in ("H200-SXM", "B200"))
    )
    eight = _predicted({"gpu_model": "B200", "gpu_memory_gb": "", "precision": "fp8"})[0]
    assert blackwell < min(hopper, eight)


def test_a_metric_in_another_unit_is_the_same_figure() -> None:
    plain, seconds, hours = _predicted({"metric": "ttft_ms"}, {"metric": "TTFT_s"}, {"metric": "energy_wh_per_request"})
    joules = _predicted({"metric": "energy_j_per_request"})[0]
    assert seconds == pytest.approx(plain / 1e3)
    assert hours == pytest.approx(joules / 3600)


def test_a_count_that_cannot_be_read_is_no_count_that_was_left_out() -> None:
    item = _validated({"batch_or_concurrency": "sixteen"})[0]
    assert item.predicted is None
    assert item.reason == "batch_or_concurrency 'sixteen' is not a whole number"


TABLES = Path(__file__).parents[4] / "shared" / "data" / "truth"


@pytest.mark.skipif(not (TABLES / "inference_runs.csv").exists(), reason="the published tables are not here")
def test_published_runs_are_met_as_closely_as_the_accuracy_page_says() -> None:
    """Every eighth row: medians over sources and coverage may differ a little from those of the whole table."""
    table = read_table((TABLES / "inference_runs.csv").read_text(encoding="utf-8"))
    rows = tuple(row for number, row in enumerate(table.rows) if number % 8 == 0)
    scored = validate_table(type(table)(rows, ()), load_catalogue())
    total = overall(scored, by_source(scored))
    assert total.median_of_source_medians is not None
    assert total.median_of_source_medians < 0.20
    assert total.coverage is not None
    assert 0.83 < total.coverage < 0.99
    assert total.declined < 0.13 * total.rows
    dense = grouped(scored, lambda item: item.kind)
    for kind in ("saturated", "served", "single"):
        median = score(kind, dense[kind]).median
        assert median is not None
        assert median < 0.20


def test_a_bench_that_draws_its_lengths_has_shorter_ones_than_it_states() -> None:
    drawn, stated = _predicted(
        {"source": "InferenceX of a day", "metric": "ttft_ms", "input_len": "8000", "output_len": "1000"},
        {"metric": "ttft_ms", "input_len": "7200", "output_len": "900"},
    )
    assert drawn == pytest.approx(stated)


def test_what_xla_compiled_is_started_as_an_eager_program_starts_it() -> None:
    rows = [
        {"framework": f"TensorFlow 20.06 NGC{more}", "model_family": "cnn", "model_name": "ResNet-50 v1.5"}
        for more in ("", " + XLA")
    ]
    asked = {"metric": "latency_ms_p99", "scenario": "fixed_batch", "batch_or_concurrency": "1", "image_size": "224"}
    plain, compiled = _predicted(*(row | asked for row in rows))
    assert compiled == pytest.approx(plain)
