"""Networks for pictures and encoder–decoders as requests name, describe and change them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.errors import InvalidInput
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Item, LoraTargets, TrainingJob
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.services.requests import EstimateRequest, parse


def _job(**values: Any) -> TrainingJob:
    job = parse(EstimateRequest, values).job()
    assert isinstance(job, TrainingJob)
    return job


def _passes(**values: Any) -> InferenceJob:
    job = parse(EstimateRequest, {"kind": "inference", **values}).job()
    assert isinstance(job, InferenceJob)
    assert job.is_pass
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
    assert "prompt_tokens" in _fault(kind="inference", architecture="resnet-50", prompt_tokens=1)
    assert "output_tokens" in _fault(kind="inference", architecture="resnet-50", output_tokens=1)


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


def test_pictures_are_answered_in_a_pass_each() -> None:
    job = _passes(architecture="resnet-50", requests="10M", answer_within="50 ms")
    assert (job.item, job.num_requests, job.answer_seconds, job.engine) == (Item.PICTURE, 1e7, 0.05, Engine.TENSORRT)
    sight = _passes(architecture="vit-b-16", image_size=384, engine="pytorch", concurrency=64)
    assert (sight.prompt_tokens, sight.concurrency, sight.engine) == (577, 64, Engine.PYTORCH)
    assert sight.head_share == pytest.approx(1 / 577)


def test_frames_come_at_a_rate_from_so_many_cameras() -> None:
    job = _passes(architecture="yolov5m", frame_rate=30, concurrency=16, answer_within="33 ms")
    assert (job.item, job.frame_rate, job.concurrency) == (Item.FRAME, 30.0, 16)
    assert "frame_rate" in _fault(kind="inference", architecture="bert-base", prompt_tokens=64, frame_rate=30)


def test_texts_are_embedded_by_encoders_and_by_others_that_write_nothing() -> None:
    job = _passes(architecture="bert-base", prompt_tokens=256)
    assert (job.item, job.prompt_tokens) == (Item.TEXT, 256)
    assert _passes(architecture="llama-3-8b", prompt_tokens=256, output_tokens=0).item is Item.TEXT
    encoder = {"kind": "inference", "architecture": "bert-base"}
    assert "writes none" in _fault(**encoder, prompt_tokens=9, output_tokens=9)["output_tokens"]
    assert "more than the 512" in _fault(**encoder, prompt_tokens=513)["prompt_tokens"]
    assert "prompt_tokens" in _fault(**encoder)
    pair = {"kind": "inference", "architecture": "t5-base", "prompt_tokens": 9, "output_tokens": 0}
    assert "reads to write" in _fault(**pair)["output_tokens"]


def test_a_drawing_takes_so_many_steps_with_and_without_its_text() -> None:
    job = _passes(architecture="stable-diffusion-v1.5", steps=25)
    assert (job.item, job.passes, job.rows) == (Item.DRAWING, 25, 2)
    assert "is needed" in _fault(kind="inference", architecture="sdxl")["steps"]
    assert "does not draw" in _fault(kind="inference", architecture="resnet-50", steps=25)["steps"]


def test_what_answers_token_by_token_has_no_limit_for_an_item() -> None:
    asked = {"kind": "inference", "architecture": "llama-3-8b", "prompt_tokens": 100, "output_tokens": 10}
    assert "token by token" in _fault(**asked, answer_within="1 s")["answer_within"]
    assert "token by token" in _fault(**asked, frame_rate=3)["frame_rate"]
    assert "answer_within" in _fault(preset="finetune-small", answer_within="1 s")
    assert "say how many as requests" in _fault(kind="inference", architecture="resnet-50", pictures="1M")["pictures"]


def test_a_ready_job_of_another_sort_lends_nothing_but_its_kind() -> None:
    job = _passes(preset="serve-llama-3-8b", architecture="resnet-50")
    assert (job.concurrency, job.engine, job.num_requests) == (None, Engine.TENSORRT, None)
    assert "prompt_tokens" in _fault(preset="classify-resnet-50", architecture="llama-3-8b", output_tokens=5)
    assert "prompt_tokens" in _fault(preset="classify-resnet-50", architecture="bert-base")
