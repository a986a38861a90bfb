"""Networks for pictures and encoder–decoders as requests name, describe and change them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.errors import InvalidInput
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import LoraTargets, TrainingJob
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.services.requests import EstimateRequest, parse


def _job(**values: Any) -> TrainingJob:
    job = parse(EstimateRequest, values).job()
    assert isinstance(job, TrainingJob)
    return job


def _fault(**values: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse(EstimateRequest, values).job()
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_network_for_pictures_counts_pictures() -> None:
    job = _job(kind="training", architecture="resnet-50", pictures="115M", global_batch=1024)
    assert isinstance(job.architecture, ConvNet)
    assert (job.num_tokens, job.sequence_length) == (115e6, 1)


def test_a_vision_transformer_counts_its_patches_and_classifies_one() -> None:
    job = _job(kind="training", architecture="vit-b-16", pictures="1M", global_batch=256, image_size=384)
    assert isinstance(job.architecture, Transformer)
    assert (job.sequence_length, job.num_tokens) == (24 * 24 + 1, 1e6 * 577)
    assert job.head_share == pytest.approx(1 / 577)


def test_a_preset_for_pictures_takes_another_size_and_number() -> None:
    job = _job(preset="train-resnet-50", image_size=320, pictures="10M")
    assert known_picture(job.architecture) == ("resnet-50", 320)
    assert job.num_tokens == 10e6


@pytest.mark.parametrize("key", ["resnet-50", "vit-b-16", "mask-rcnn-r50", "sdxl"])
def test_a_network_is_known_again_by_its_shape(key: str) -> None:
    assert known_picture(PICTURES[key].at().architecture) == (key, None)


def test_what_belongs_to_text_is_refused_for_pictures_and_the_other_way_round() -> None:
    asked = {"kind": "training", "architecture": "resnet-50", "global_batch": 8}
    assert "pictures" in _fault(**asked)
    assert "tokens" in _fault(**asked, pictures="1M", tokens="1M")
    assert "layers" in _fault(**asked, pictures="1M", layers=3)
    assert "image_size" in _fault(**asked, pictures="1M", image_size=8)
    assert "method" in _fault(**asked, pictures="1M", method="lora")
    assert "less than one step of 8" in _fault(**asked, pictures=4)["pictures"]
    assert "pictures" in _fault(preset="finetune-small", pictures="1M")
    assert "image_size" in _fault(preset="finetune-small", image_size=224)
    assert "architecture" in _fault(kind="inference", architecture="resnet-50", prompt_tokens=1, output_tokens=1)


def test_an_encoder_decoder_reads_and_writes() -> None:
    job = _job(preset="finetune-t5-base", target_length=64)
    assert (job.sequence_length, job.target_length) == (512, 64)
    assert "target_length" in _fault(preset="finetune-small", target_length=64)
    assert "target_length" in _fault(
        kind="training", architecture="bart-base", tokens="1M", sequence_length=512, target_length=2000, global_batch=8
    )


def test_an_encoder_can_stand_beside_a_custom_architecture() -> None:
    shape = {"layers": 2, "hidden": 64, "heads": 4, "ffn": 256, "vocab": "1K", "encoder_layers": 3}
    job = _job(kind="training", architecture="custom", tokens="1M", sequence_length=128, global_batch=8, **shape)
    assert isinstance(job.architecture, Transformer)
    assert (job.architecture.encoder_layers, job.architecture.num_layers) == (3, 2)


def test_adapters_sit_where_they_are_asked_for() -> None:
    job = _job(preset="lora-llama-3-8b", lora_rank=64, lora_targets="attention")
    assert (job.lora_rank, job.lora_targets) == (64, LoraTargets.ATTENTION)
    assert _job(preset="lora-llama-3-8b").lora_targets is LoraTargets.ALL


def test_a_configuration_may_describe_a_network_for_pictures() -> None:
    config = json.dumps({"model_type": "swin", "embed_dim": 96, "depths": [2, 2, 6, 2], "image_size": 224})
    job = _job(kind="training", config=config, pictures="1M", global_batch=64)
    assert known_picture(job.architecture) == ("swin-t", None)
    other = json.dumps({"model_type": "swin", "embed_dim": 96, "depths": [1]})
    assert "config" in _fault(kind="training", config=other, pictures="1M", global_batch=64)


def test_both_halves_have_positions_of_their_own_when_they_answer() -> None:
    asked = {"kind": "inference", "architecture": "bart-large"}
    assert parse(EstimateRequest, {**asked, "prompt_tokens": 1000, "output_tokens": 1000}).job()
    assert "prompt_tokens" in _fault(**asked, prompt_tokens=2000, output_tokens=10)
