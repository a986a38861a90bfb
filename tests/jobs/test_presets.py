"""Shipped architectures against published parameter counts, and ready jobs that can be asked for."""

from __future__ import annotations

import pytest

from planner.estimates.answer import check
from planner.jobs.document import job_from_document, job_to_document
from planner.jobs.job import InferenceJob, TrainingJob
from planner.jobs.presets import ARCHITECTURES, FIRST_RUN_JOBS, JOBS, NamedArchitecture

EXACT = {
    # safetensors totals on the model pages, norms included (they are left out of ours: under 0.01 %)
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-0.5b": 494_032_768,
    "gemma-2b": 2_506_172_416,
    "tinyllama-1.1b": 1_100_048_384,
    "llama-3.2-1b": 1_235_814_400,
    "smollm-135m": 134_515_008,
}


@pytest.mark.parametrize("key", sorted(EXACT))
def test_parameter_count_is_the_published_one(key: str) -> None:
    assert ARCHITECTURES[key].architecture.num_parameters == pytest.approx(EXACT[key], rel=3e-4)


@pytest.mark.parametrize("entry", ARCHITECTURES.values(), ids=lambda entry: entry.key)
def test_parameter_count_rounds_to_what_the_source_states(entry: NamedArchitecture) -> None:
    assert entry.architecture.num_parameters == pytest.approx(entry.published_parameters, rel=0.015)
    assert entry.source
    assert entry.architecture.max_positions or entry.architecture.encoder_layers  # T5 sets no limit


def test_there_are_at_least_twelve_architectures_of_several_kinds() -> None:
    shapes = [entry.architecture for entry in ARCHITECTURES.values()]
    assert len(shapes) >= 12
    assert any(not shape.causal for shape in shapes)
    assert any(shape.num_experts > 1 for shape in shapes)
    assert any(shape.num_kv_heads < shape.num_heads for shape in shapes)
    assert any(10e6 <= shape.num_parameters <= 30e6 for shape in shapes)


@pytest.mark.parametrize("key", sorted(JOBS))
def test_every_ready_job_can_be_asked_and_goes_through_its_document(key: str) -> None:
    job = JOBS[key].job
    check(job)
    assert job_from_document(job_to_document(job)) == job


def test_the_first_run_trains_and_serves() -> None:
    kinds = [type(JOBS[key].job) for key in FIRST_RUN_JOBS]
    assert kinds == [TrainingJob, InferenceJob]


@pytest.mark.parametrize(
    ("key", "counted", "within"),
    [
        ("mpt-30b", 29.95e9, 1e-3),  # its model card
        ("roberta-base", 124_052_736, 5e-3),  # KerasHub's presets, without an output head, with positions and biases
        ("roberta-large", 354_307_072, 5e-3),
        ("bge-m3", 559_889_410, 5e-3),  # there XLM-RoBERTa large
    ],
)
def test_parameter_count_is_the_one_that_was_read_beside_the_shape(key: str, counted: float, within: float) -> None:
    assert ARCHITECTURES[key].architecture.num_parameters == pytest.approx(counted, rel=within)


@pytest.mark.parametrize(("key", "stored"), [("falcon-7b", 7.22e9), ("falcon-40b", 41.8e9), ("falcon-180b", 179.5e9)])
def test_falcon_writes_with_its_embedding_which_its_files_hold_twice(key: str, stored: float) -> None:
    shape = ARCHITECTURES[key].architecture
    assert shape.tied_embeddings
    assert shape.num_parameters + shape.vocab * shape.hidden == pytest.approx(stored, rel=2e-3)


def test_a_shape_that_was_not_read_from_its_source_says_so() -> None:
    assert {entry.key for entry in ARCHITECTURES.values() if not entry.was_read} == {"command-r-plus"}
