"""What a row of a table ran: encoder–decoders, recurrent segments, networks for pictures, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from planner.estimates.validation.subjects import Declined, Subject, subject_of
from planner.estimates.validation.table import Row
from planner.estimates.validation.trials import Trial, training_trial
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet


def _row(model: str, family: str = "other", **cells: Any) -> Row:
    texts = {name: str(value) for name, value in cells.items()}
    named = {"model_name": model, "model_family": family, "gpu_model": "A100-80GB", "num_gpus": "1", "notes": ""}
    return Row(2, "a", "source", "samples_per_s_total", 1.0, {**named, **texts})


def _known(row: Row) -> Subject:
    found = subject_of(row)
    assert isinstance(found, Subject), found
    return found


def _shape(row: Row) -> Transformer:
    network = _known(row).architecture
    assert isinstance(network, Transformer)
    return network


def test_an_encoder_decoder_is_known_by_its_name() -> None:
    shape = _shape(_row("BART-large pretraining", layers=12, seq_len=128, notes="encoder-decoder"))
    assert (shape.encoder_layers, shape.num_layers, shape.hidden) == (12, 12, 1024)


def test_a_shape_that_is_stated_goes_before_the_one_of_that_name() -> None:
    """T5 3B of 2019 is 1,024 wide; the one that is trained here is not."""
    row = _row("T5-3B", layers=24, hidden=2048, heads=32, ffn_hidden=5120, gated_mlp=1, seq_len=512)
    shape = _shape(row)
    assert (shape.encoder_layers, shape.hidden, shape.ffn, shape.vocab) == (24, 2048, 5120, 32128)
    assert _known(row).target_length == 114


def test_the_lengths_that_are_read_and_written_are_taken_from_the_notes() -> None:
    found = _known(_row("mT5-3B", layers=24, hidden=2048, heads=32, notes="encoder seq 512, decoder seq 128"))
    assert (found.sequence_length, found.target_length) == (512, 128)
    assert _shape(_row("mT5-3B", layers=24, hidden=2048, heads=32, seq_len=512)).vocab == 250_112


def test_a_translator_fills_its_batch_with_tokens() -> None:
    row = _row("Transformer-big (WMT en-de)", layers=6, notes="encoder-decoder; batch 5120/2560 tokens per GPU")
    trials = {
        name: training_trial(Row(2, "a", "s", row.metric, 1.0, {**row.cells, "precision": name}), load_catalogue())
        for name in ("fp16", "fp32")
    }
    found = {name: trial.job.micro_batch for name, trial in trials.items() if isinstance(trial, Trial)}
    assert found == {"fp16": 5120 // 29, "fp32": 2560 // 29}


def test_a_segment_remembers_one_of_its_own_length() -> None:
    cells = {"layers": 18, "hidden": 1024, "heads": 16, "ffn_hidden": 4096, "seq_len": 384}
    found = _known(_row("Transformer-XL large", "dense-transformer", **cells))
    shape = _shape(_row("Transformer-XL large", "dense-transformer", **cells))
    assert (shape.segment_memory, shape.cutoff_divisor, shape.vocab) == (384, 4, 267_735)
    assert any("Zipf" in assumed for assumed in found.assumptions)
    assert not any("vocabulary" in assumed for assumed in found.assumptions)


@pytest.mark.parametrize(
    ("name", "cells", "told"),
    [
        ("Mask R-CNN ResNet-50 FPN", {}, "pictures of 1344 × 800 pixels"),
        ("resnet50", {}, "pictures of 224 pixels"),
        ("SSD300 ResNet-50", {"image_size": "300"}, None),
        ("resnet50", {"image_size": "224x224"}, None),
    ],
)
def test_the_size_of_pictures_is_stated_or_told_as_assumed(name: str, cells: dict[str, str], told: str | None) -> None:
    found = _known(_row(name, "cnn", **cells))
    assert isinstance(found.architecture, ConvNet)
    assert found.assumptions == (() if told is None else (told,))


def test_a_vision_transformer_has_the_usual_patches_where_none_are_stated() -> None:
    found = _known(_row("ViT-Base fine-tuning", "vit", image_size="224"))
    assert found.sequence_length == 14 * 14 + 1
    assert found.assumptions == ("patches of 16 pixels",)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (_row("Nemotron_3_Nano", seq_len=8192), "Mamba"),
        (_row("3D-UNet (KiTS19)", "cnn", output_len=""), "how large the volumes are"),
        (_row("GuessNet-50", "cnn"), "is not known"),
    ],
)
def test_what_is_not_told_enough_is_declined_with_the_reason(row: Row, reason: str) -> None:
    found = subject_of(row)
    assert isinstance(found, Declined)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("model", "notes", "reason"),
    [
        ("MAE ViT-L/16 pretraining", "800 epochs of ImageNet-1k", "quarter of the patches"),
        ("ViT-B/16 linear probe", "frozen backbone (forward only)", "last layer alone"),
        ("ViT-B/16 fine-tune", "50 epochs of ImageNet-1k", "reads pictures and evaluates"),
    ],
)
def test_jobs_that_are_not_a_steady_step_of_a_whole_network_are_declined(model: str, notes: str, reason: str) -> None:
    cells = {"notes": notes, "image_size": "224", "micro_batch": "32"}
    row = _row(model, "vit", **cells)
    found = training_trial(Row(2, "a", "s", "wall_s", 1.0, row.cells), load_catalogue())
    assert isinstance(found, Declined)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("name", "vocabulary"), [("Nemotron-8B", 256_000), ("GPT3-5B", 50_304), ("Llama-3-9B", 128_256)]
)
def test_a_vocabulary_that_is_not_stated_is_that_of_the_line(name: str, vocabulary: int) -> None:
    row = _row(name, "dense-transformer", layers=32, hidden=4096, heads=32, ffn_hidden=16384, seq_len=2048)
    assert _shape(row).vocab == vocabulary
    assert f"a vocabulary of {vocabulary}" in _known(row).assumptions


def _trial(**cells: Any) -> Trial | Declined:
    named = {"precision": "bf16", "framework": "Megatron-LM", "seq_len": 4096}
    return training_trial(_row("llama-3-8b", "dense-transformer", **(named | cells)), load_catalogue())


def test_a_pipeline_of_which_no_batch_is_stated_is_taken_to_be_full() -> None:
    full = _trial(num_gpus=8, micro_batch=2, tp=1, pp=4, notes="VPP2")
    assert isinstance(full, Trial)
    assert (full.job.global_batch, full.job.virtual_stages) == (1024, 2)  # four million tokens a step
    assert "a global batch of 1024" in full.assumptions
    alone = _trial(num_gpus=8, micro_batch=2, tp=1, pp=1)
    assert isinstance(alone, Trial)
    assert alone.job.global_batch == 16


def test_a_run_that_waited_for_its_data_is_declined() -> None:
    found = _trial(num_gpus=8, micro_batch=2, notes="224 px inputs; dataloader limited (1 worker)")
    assert isinstance(found, Declined)
    assert "loading of data" in found.reason


def test_a_decoder_of_which_only_the_size_is_told_has_the_usual_proportions() -> None:
    found = _known(_row("GPT-800M", "dense-transformer", seq_len=2048))
    shape = found.architecture
    assert isinstance(shape, Transformer)
    assert shape.num_parameters == pytest.approx(800e6, rel=0.1)
    assert any("from the number of parameters" in assumption for assumption in found.assumptions)
    stated = _known(_row("ours", "dense-transformer", seq_len=2048, params_total="175000000000")).architecture
    assert isinstance(stated, Transformer)
    assert (stated.num_layers, stated.num_parameters) == (96, pytest.approx(175e9, rel=0.05))
    for vague in ("GPT", "mix of 7B and 13B", "GPT-9000B"):
        assert isinstance(subject_of(_row(vague, "dense-transformer", seq_len=2048)), Declined)


def test_hardware_utilisation_counts_what_is_computed_again() -> None:
    cells = {"num_gpus": 8, "micro_batch": 2, "tp": 1, "pp": 1, "activation_checkpointing": "full"}
    found = {}
    for metric in ("mfu", "hfu"):
        row = _row("llama-3-8b", "dense-transformer", precision="bf16", framework="Megatron-LM", seq_len=4096, **cells)
        trial = training_trial(Row(2, "a", "s", metric, 1.0, row.cells), load_catalogue())
        assert isinstance(trial, Trial), trial
        found[metric] = trial.metric_of(1.0)
    assert 1.2 < found["hfu"] / found["mfu"] < 4 / 3
