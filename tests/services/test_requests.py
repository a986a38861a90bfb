"""Requests are read as people write them, and every fault names its field and what would be right."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.jobs.document import job_from_document, job_to_document
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Recompute, TrainingJob
from planner.jobs.presets import ARCHITECTURES, JOBS
from planner.services.requests import EstimateRequest, PriceQuery, ScheduleRequest, parse, without_blanks


def problems_of(values: dict[str, Any], model: type = EstimateRequest) -> dict[str, str]:
    """Field → sentence of everything that is wrong with `values`."""
    with pytest.raises(InvalidInput) as caught:
        _read(model, values)
    return {problem.field: problem.message for problem in caught.value.problems}


def _read(model: type, values: dict[str, Any]) -> None:
    request = parse(model, values)
    if isinstance(request, EstimateRequest):
        request.job()


def test_every_preset_is_a_job() -> None:
    for key, preset in JOBS.items():
        assert parse(EstimateRequest, {"preset": key}).job() == preset.job


def test_given_fields_are_laid_over_the_preset() -> None:
    values = {"preset": "finetune-small", "tokens": "3M", "recompute": "full", "name": "Mine"}
    job = parse(EstimateRequest, values).job()
    assert isinstance(job, TrainingJob)
    assert (job.num_tokens, job.recompute, job.name) == (3e6, Recompute.FULL, "Mine")
    assert job.architecture == JOBS["finetune-small"].job.architecture


def test_a_service_names_its_engine_and_the_bits_that_it_stores() -> None:
    job = parse(EstimateRequest, {"preset": "serve-small", "engine": "vllm", "weight_bits": "4.25"}).job()
    assert isinstance(job, InferenceJob)
    assert (job.engine, job.weight_bits) == (Engine.VLLM, 4.25)
    assert job_from_document(job_to_document(job)) == job
    assert "engine" in problems_of({"preset": "finetune-small", "engine": "vllm"})
    assert "weight_bits" in problems_of({"preset": "serve-small", "weight_bits": "0.5"})


def test_a_job_is_described_without_a_preset() -> None:
    values = {"kind": "inference", "architecture": "llama-3-8b", "prompt_tokens": "1K", "output_tokens": 200}
    job = parse(EstimateRequest, values).job()
    assert isinstance(job, InferenceJob)
    assert job.architecture == ARCHITECTURES["llama-3-8b"].architecture
    assert (job.prompt_tokens, job.output_tokens, job.num_requests) == (1000, 200, None)


def test_a_custom_architecture_takes_its_shape_from_the_fields() -> None:
    values = {
        "kind": "training",
        "architecture": "custom",
        "layers": 2,
        "hidden": 64,
        "heads": 4,
        "ffn": 256,
        "vocab": "1K",
        "tokens": "1M",
        "sequence_length": 128,
        "global_batch": 8,
    }
    architecture = parse(EstimateRequest, values).job().architecture
    assert (architecture.num_layers, architecture.num_kv_heads, architecture.vocab) == (2, 4, 1000)


def test_numbers_are_taken_as_people_write_them() -> None:
    request = parse(EstimateRequest, {"deadline": "1.5 h", "budget": "$1,250.50", "tokens": "7B", "requests": 12})
    assert (request.deadline, request.budget, request.tokens) == (5400.0, Decimal("1250.50"), 7e9)


def test_moments_are_brought_to_utc() -> None:
    request = parse(EstimateRequest, {"as_of": "2026-01-31T10:00:00+02:00"})
    assert request.as_of == datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"kind": "cooking"}, "kind", "must be 'training' or 'inference'"),
        ({"preset": "nothing"}, "preset", "is not known; give one of"),
        ({"colour": "red"}, "colour", "is not a field"),
        ({"tokens": "many"}, "tokens", "a count such as"),
        ({"tokens": 0}, "tokens", "must be at least 1"),
        ({"tokens": -5}, "tokens", "must be at least 1"),
        ({"tokens": float("nan")}, "tokens", "a finite number"),
        ({"tokens": True}, "tokens", "must be a number"),
        ({"tokens": "1e18"}, "tokens", "must be at most"),
        ({"sequence_length": "2.5"}, "sequence_length", "not a whole number"),
        ({"sequence_length": 2.5}, "sequence_length", "must be a whole number"),
        ({"global_batch": []}, "global_batch", "must be a whole number"),
        ({"dtype": "fp64"}, "dtype", "must be 'fp32'"),
        ({"goal": "fame"}, "goal", "must be 'cost' or 'time'"),
        ({"deadline": "soon"}, "deadline", "a time such as"),
        ({"budget": "0"}, "budget", "must be more than 0"),
        ({"budget": "NaN"}, "budget", "is not an amount"),
        ({"budget": "cheap"}, "budget", "is not an amount"),
        ({"offer_kinds": ["barter"]}, "offer_kinds.0", "must be 'owned'"),
        ({"gpus": ["x"] * 51}, "gpus", "at most 50 values"),
        ({"as_of": "2026-01-31T10:00:00"}, "as_of", "needs a zone"),
        ({"as_of": "yesterday"}, "as_of", "must be a moment such as"),
        ({"name": "x" * 201}, "name", "at most 200 characters"),
        ({}, "kind", 'say "training" or "inference"'),
        ({"kind": "training", "architecture": "llama-3-8b"}, "tokens", "is needed"),
        ({"kind": "inference", "architecture": "llama-3-8b"}, "prompt_tokens", "is needed"),
        ({"kind": "training", "architecture": "custom"}, "layers", "is needed"),
        ({"kind": "training", "architecture": "gpt-9"}, "architecture", "is not known; give one of custom"),
        ({"preset": "finetune-small", "heads": 7, "kv_heads": 7}, "architecture", "must divide hidden"),
        ({"preset": "finetune-small", "prompt_tokens": 5}, "prompt_tokens", "does not belong to training"),
        ({"preset": "serve-small", "recompute": "full"}, "recompute", "does not belong to inference"),
        ({"preset": "finetune-small", "sequence_length": "10M"}, "sequence_length", "more than"),
        ({"preset": "finetune-small", "micro_batch": 100_000}, "micro_batch", "more than the global batch"),
        ({"preset": "finetune-small", "tokens": 5}, "tokens", "less than one step"),
        ({"preset": "serve-small", "prompt_tokens": "100M"}, "prompt_tokens", "prompt and output together"),
        (
            {"preset": "serve-llama-3-8b", "tensor_parallel": 3},
            "tensor_parallel",
            "3 does not divide the feed-forward width",
        ),
        ({"preset": "serve-llama-3-8b", "pipeline_parallel": 64}, "pipeline_parallel", "more than the 32 layers"),
        ({"preset": "serve-llama-3-8b", "expert_parallel": 2}, "expert_parallel", "2 does not divide the experts"),
        ({"preset": "classify-resnet-50", "tensor_parallel": 2}, "tensor_parallel", "not split over GPUs"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(values: dict[str, Any], field: str, words: str) -> None:
    assert words in problems_of(values)[field]


def test_all_faults_are_named_at_once() -> None:
    assert set(problems_of({"tokens": "many", "goal": "fame", "colour": "red"})) == {"tokens", "goal", "colour"}


def test_blank_form_fields_count_as_not_given() -> None:
    assert without_blanks({"name": "", "gpus": [""], "tokens": "7B", "regions": []}) == {"tokens": "7B"}


@pytest.mark.parametrize(
    ("values", "field"),
    [({"limit": 0}, "limit"), ({"min_memory": "big"}, "min_memory"), ({"order": "luck"}, "order")],
)
def test_a_price_query_is_refused_by_its_field(values: dict[str, Any], field: str) -> None:
    assert field in problems_of(values, PriceQuery)


def test_a_schedule_needs_a_name_and_a_rule() -> None:
    assert set(problems_of({}, ScheduleRequest)) == {"name", "cron"}


@given(st.sampled_from(sorted(JOBS)))
def test_a_job_survives_its_document(key: str) -> None:
    job = JOBS[key].job
    assert job_from_document(job_to_document(job)) == job


def test_a_quantised_configuration_says_how_its_weights_are_stored() -> None:
    shape = {"model_type": "llama", "hidden_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8}
    config = json.dumps({**shape, "vocab_size": 1000, "quantization_config": {"quant_method": "awq", "bits": 4}})
    asked = {"kind": "inference", "config": config, "prompt_tokens": 64, "output_tokens": 8}
    job = parse(EstimateRequest, asked).job()
    assert isinstance(job, InferenceJob)
    assert job.weight_bits == pytest.approx(4.156, abs=0.001)
    stated = parse(EstimateRequest, {**asked, "weight_bits": 5}).job()
    assert isinstance(stated, InferenceJob)
    assert stated.weight_bits == 5
    odd = {**asked, "config": config.replace("awq", "hqq")}
    assert "is not known" in problems_of(odd)["weight_bits"]
