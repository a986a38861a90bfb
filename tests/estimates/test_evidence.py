"""How many published sources stand behind an estimate without a calibration."""

from __future__ import annotations

from planner.estimates.evidence import evidence
from planner.hardware.catalogue import load_catalogue
from planner.jobs.presets import JOBS


def test_training_and_serving_rest_on_sources_of_their_own() -> None:
    gpu = load_catalogue().gpus["A100-80GB-SXM"]
    training, serving = (evidence(JOBS[key].job, gpu) for key in ("finetune-llama-3-8b", "serve-llama-3-8b"))
    assert training.family == serving.family == "NVIDIA Ampere"
    assert training.num_sources > 10
    assert serving.num_sources > 0
    assert training.num_sources != serving.num_sources


def test_a_family_that_no_published_run_told_about_says_so() -> None:
    gpu = next(gpu for gpu in load_catalogue().gpus.values() if gpu.kind.value == "cpu")
    assert evidence(JOBS["finetune-small"].job, gpu).num_sources == 0
