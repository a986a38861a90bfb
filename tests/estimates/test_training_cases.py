"""Published runs prepared for fitting: timed as an estimate times them, and left out for good."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_priors import NEGLIGIBLE, fit, left_out, loss_of, moved_residuals, sources_of, stepped
from benchmarks.prior_parameters import FACTS, expected, stated, with_values
from benchmarks.training_cases import Case, Facts, cases_of, residuals
from planner.estimates.outcome import Outcome
from planner.estimates.validation.validate import run_trial

HEADER = (
    "id,source,model_name,model_family,layers,hidden,heads,kv_heads,ffn_hidden,gated_mlp,vocab,seq_len,gpu_model,"
    "gpu_memory_gb,num_gpus,gpus_per_node,precision,framework,global_batch,micro_batch,tp,pp,activation_checkpointing,"
    "metric,value,notes"
)
GPT = "GPT-7B,dense-transformer,32,4096,32,32,16384,0,50304,2048"
BERT = "BERT-large,encoder,24,1024,16,16,4096,0,30522,512"


def table(folder: Path, first_value: float = 3000.0) -> Path:
    """Rows of three sources on two kinds of GPU."""
    rows = [
        f"a1,a,{GPT},A100-80GB,80,8,8,bf16,Megatron-LM,64,4,1,1,none,tokens_per_s_per_gpu,{first_value},",
        f"a2,a,{GPT},A100-80GB,80,16,8,bf16,Megatron-LM,128,2,2,1,none,tokens_per_s_per_gpu,{first_value},",
        f"b1,b,{GPT},H100-SXM-80GB,80,8,8,bf16,Megatron-LM,64,4,1,1,none,tokens_per_s_per_gpu,8000,",
        f"c1,c,{BERT},A100-80GB,80,1,1,bf16,PyTorch,16,16,1,1,none,samples_per_s_total,95,",
    ]
    path = folder / f"runs-{first_value}.csv"
    path.write_text("\n".join((HEADER, *rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def cases(folder: Path) -> list[Case]:
    return cases_of(table(folder))


def test_a_case_takes_as_long_as_its_estimate(cases: list[Case]) -> None:
    assert len(cases) == 4
    for case in cases:
        outcome = run_trial(case.trial)
        assert isinstance(outcome, Outcome)
        assert case.seconds() == pytest.approx(outcome.step_seconds.mid, rel=1e-9)


def test_facts_under_other_values_are_as_if_written_in_the_file(cases: list[Case]) -> None:
    text = FACTS.read_text(encoding="utf-8")
    logs = stated(text) - 0.1
    with Facts(text).at(logs):
        moved = residuals(cases)
    with Facts(with_values(text, logs)).at(stated(with_values(text, logs))):
        written = residuals(cases)
    assert moved == pytest.approx(written, abs=2e-3)  # four digits are written
    assert np.abs(moved - residuals(cases)).max() > 0.02


def test_a_step_lowers_the_loss_and_small_changes_may_be_taken_as_linear(cases: list[Case]) -> None:
    text = FACTS.read_text(encoding="utf-8")
    at, first = fit(text, cases, 0), expected(text)
    logs, found = stepped(Facts(text), cases, at, first)
    sources = sources_of(cases)
    assert loss_of(found, sources, logs - first) < loss_of(at.residuals, sources, at.logs - first)
    with Facts(text).at(logs):
        anew = residuals(cases)
    moved = moved_residuals(Facts(text), cases, at, logs)
    is_far = np.abs(at.jacobian @ (logs - at.logs)) > NEGLIGIBLE
    assert is_far.any()
    assert moved[is_far] == pytest.approx(anew[is_far], abs=1e-9)
    assert moved[~is_far] == pytest.approx(anew[~is_far], abs=0.03)


def test_a_source_that_is_left_out_does_not_touch_what_is_predicted_of_it(folder: Path, cases: list[Case]) -> None:
    text = FACTS.read_text(encoding="utf-8")
    doubled = cases_of(table(folder, 6000.0))
    once, twice = (left_out(text, rows, fit(text, rows, 0)) for rows in (cases, doubled))
    assert twice[:2] - once[:2] == pytest.approx(np.full(2, math.log(2.0)), abs=1e-9)
    assert np.abs(twice[2:] - once[2:]).max() > 1e-4  # the others' fits have seen it
