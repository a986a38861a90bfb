"""Tables of measured runs: reading, declining with a reason, predicting, scoring."""

from __future__ import annotations

import math

import pytest

from planner.errors import InvalidInput
from planner.estimates.validation.gpus import published_gpu
from planner.estimates.validation.score import by_source, overall, quantile
from planner.estimates.validation.table import read_table
from planner.estimates.validation.trials import Trial, training_trial
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue
from planner.jobs.job import Recompute

HEADER = (
    "id,source,model_name,model_family,layers,hidden,heads,kv_heads,ffn_hidden,gated_mlp,vocab,seq_len,gpu_model,"
    "gpu_memory_gb,num_gpus,gpus_per_node,precision,framework,global_batch,micro_batch,tp,pp,activation_checkpointing,"
    "metric,value,notes,a column of one's own"
)
GPT = "GPT-7B,dense-transformer,32,4096,32,32,16384,0,50304,2048"


def _line(name: str = "a", metric: str = "tokens_per_s_per_gpu", value: str = "3000", **changes: str) -> str:
    cells = {
        "gpu": "A100-80GB,80,8,8",
        "precision": "bf16",
        "batch": "64,4",
        "split": "1,1",
        "notes": "",
        "shape": GPT,
    } | changes
    return (
        f"{name},{cells.get('source', 'source ' + name[0])},{cells['shape']},{cells['gpu']},{cells['precision']},"
        f"Megatron-LM,{cells['batch']},{cells['split']},none,{metric},{value},{cells['notes']},x"
    )


def _validated(*lines: str) -> list:
    return validate_table(read_table("\n".join((HEADER, *lines))), load_catalogue())


def test_a_row_is_predicted_in_its_own_metric_with_a_range() -> None:
    (found,) = _validated(_line())
    assert found.predicted is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.predicted < found.high
    assert 1500 < found.predicted < 6000  # 312 TFLOP/s at most: 7,000 tokens/s of 6.7 B weights


def test_metrics_of_one_run_agree_with_each_other() -> None:
    per_gpu, total, step, samples = _validated(
        _line("a1"),
        _line("a2", "tokens_per_s_total"),
        _line("a3", "step_time_s"),
        _line("a4", "samples_per_s_total"),
    )
    assert total.predicted == pytest.approx(8 * per_gpu.predicted)
    assert step.predicted == pytest.approx(64 * 2048 / total.predicted)
    assert samples.predicted == pytest.approx(64 / step.predicted)


def test_what_cannot_be_predicted_is_declined_with_the_reason() -> None:
    reasons = [
        item.reason
        for item in _validated(
            _line("a", "parsecs"),
            _line("b", gpu="Abacus,80,8,8"),
            _line("c", notes="LOW TRUST: from a slide"),
            _line("d", "gpu_hours"),
            _line("e", split="3,1"),
            _line("f", precision="fp99"),
            _line("g", shape="Unheard-of,cnn,,,,,,,,"),
        )
    ]
    for reason, part in zip(
        reasons,
        ("'parsecs' is not supported", "'Abacus'", "LOW TRUST", "campaign", "do not divide 8", "'fp99'", "shape of"),
        strict=True,
    ):
        assert part in reason


def test_a_layout_over_several_nodes_takes_longer_on_a_slower_network() -> None:
    near, far = _validated(
        _line("a", gpu="A100-80GB,80,8,8", split="8,1"), _line("b", gpu="A100-80GB,80,8,2", split="8,1")
    )
    assert far.predicted < 0.85 * near.predicted


def test_passes_timed_without_an_update_are_predicted_without_one() -> None:
    whole, passes = _validated(_line("a", "step_time_s"), _line("b", "step_time_s", notes="fw + bw; NO optimizer step"))
    assert passes.predicted < whole.predicted


def test_sequences_sorted_into_bins_are_declined_for_the_length_that_is_said_to_be() -> None:
    note = "phase 2 (seq 2048) uses BINNED lengths"
    other, same = _validated(_line("a", notes=note.replace("2048", "512")), _line("b", notes=note))
    assert other.predicted is not None
    assert "bins" in same.reason


def test_an_old_run_that_fits_only_when_all_is_computed_again_did_so() -> None:
    header = HEADER.replace("id,", "id,year,", 1)
    lines = [
        _line(name, shape="GPT-20B,dense-transformer,48,6144,48,48,24576,0,50304,2048", split="8,1", batch="256,16")
        .replace(",none,", ",unknown,")
        .replace(f"{name},", f"{name},{year},", 1)
        for name, year in (("a", 2021), ("b", 2024))
    ]
    old, recent = validate_table(read_table("\n".join((header, *lines))), load_catalogue())
    assert old.predicted < 0.85 * recent.predicted


def test_bad_lines_are_reported_with_their_number_and_the_others_are_read() -> None:
    table = read_table("\n".join((HEADER, _line("a"), "too,short", _line("b", value="nought"), _line("c", value="-1"))))
    assert [row.id for row in table.rows] == ["a"]
    assert [(bad.line, bad.reason[:12]) for bad in table.bad] == [
        (3, "has another "),
        (4, "value 'nough"),
        (5, "value must b"),
    ]


def test_a_table_without_the_needed_columns_is_refused_by_their_names() -> None:
    with pytest.raises(InvalidInput, match="source, gpu_model, metric, value"):
        read_table("model_name,speed\nGPT,3\n")


def test_scores_are_medians_over_sources_and_errors_are_fractions() -> None:
    scored = _validated(
        *(_line(f"a{n}", value=str(value)) for n, value in enumerate((2000, 3000, 4000))),
        _line("b0", value="3000"),
        _line("c0", "parsecs"),
    )
    sources = by_source(scored)
    total = overall(scored, sources)
    errors = sorted(abs(math.log(item.predicted / item.row.value)) for item in scored[:3])
    assert sources[0].median == pytest.approx(math.expm1(errors[1]))
    assert [source.median for source in sources][2] is None
    assert total.median_of_source_medians == pytest.approx((sources[0].median + sources[1].median) / 2)
    assert (total.rows, total.declined) == (5, 1)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)])
def test_a_quantile_lies_between_neighbours_in_proportion(share: float, value: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "memory", "key", "assumed"),
    [
        ("A100-80GB", 80.0, "A100-80GB-SXM", False),
        ("A100", 40.0, "A100-40GB-SXM", True),
        ("A100", None, "A100-80GB-SXM", True),
        ("V100", 32.0, "V100-32GB-SXM", True),
        ("RTX3090", 24.0, "RTX-3090", False),
        ("A100-PCIe", 40.0, "A100-40GB-PCIE", False),
        ("H100-SXM-96GB (500W)", 96.0, "H100-96GB-SXM", False),
        ("B200-180GB", 192.0, "B200", False),
        ("NVIDIA H800", None, "H800-SXM", False),
        ("A800", 80.0, "A800-80GB-SXM", True),
        ("MI250X (1 GCD)", 64.0, "MI250X-GCD", False),
    ],
)
def test_an_unstated_variant_is_resolved_by_memory_or_assumed_in_words(
    name: str, memory: float | None, key: str, assumed: bool
) -> None:
    found = published_gpu(load_catalogue(), name, memory)
    assert found is not None
    assert found.gpu.key == key
    assert bool(found.assumption) == assumed


def test_a_memory_that_no_variant_has_names_no_gpu() -> None:
    assert published_gpu(load_catalogue(), "A100", 13.0) is None


def test_the_batch_of_a_default_recipe_stands_in_for_one_that_is_not_stated() -> None:
    text = _line(batch=",").replace(",,x", ',"GBS not stated (default recipe 2048, mbs 4)",x')
    (line,) = read_table("\n".join((HEADER, text))).rows
    trial = training_trial(line, load_catalogue())
    assert isinstance(trial, Trial)
    assert (trial.job.global_batch, trial.job.micro_batch) == (2048, 4)
    assert "the batch of the default recipe" in trial.assumptions


def test_where_recomputation_is_not_stated_memory_tells_but_for_programs_that_choose() -> None:
    silent = _line(shape="GPT-13B,dense-transformer,40,5120,40,40,20480,0,50304,4096").replace(",none,", ",,")
    kept = {}
    for framework in ("Megatron-LM", "PyTorch FSDP"):
        (row,) = read_table("\n".join((HEADER, silent.replace("Megatron-LM", framework)))).rows
        trial = training_trial(row, load_catalogue())
        assert isinstance(trial, Trial)
        kept[framework] = trial.recomputes
    assert kept == {"Megatron-LM": (), "PyTorch FSDP": (Recompute.NONE, Recompute.FULL)}


def test_a_frozen_base_in_host_memory_is_answered_and_trained_weights_there_are_declined() -> None:
    offloaded = {"notes": "CPU offload=True"}
    adapters = _line(shape=GPT.replace("GPT-7B", "GPT-7B QLoRA"), **offloaded)
    answered, declined = _validated(adapters, _line("b", **offloaded))
    assert answered.predicted is not None
    assert any("host memory" in assumption for assumption in answered.assumptions)
    assert "host memory" in declined.reason


@pytest.mark.parametrize("spelled", ["BF16", "bf16-mixed", "bfloat16"])
def test_a_number_format_is_known_however_it_is_spelled(spelled: str) -> None:
    usual, found = _validated(_line("a"), _line("b", precision=spelled))
    assert found.predicted == usual.predicted


def test_two_sockets_compute_as_one_processor_and_say_so() -> None:
    """Tables count sockets; the cell says how many, not how many jobs."""
    one, two = _validated(
        _line("a", "tokens_per_s_total", gpu="CPU-Xeon-8480+,,1,1"),
        _line("b", "tokens_per_s_total", gpu="CPU-Xeon-8480+,,2,2"),
    )
    assert two.predicted is not None
    assert two.predicted == pytest.approx(2.0 * one.predicted, rel=0.02)
    assert "2 sockets compute as one processor" in two.assumptions
