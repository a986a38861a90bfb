"""Named architectures, and ready jobs to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Item, Job, Recompute, TrainingJob, TrainingMethod
from planner.jobs.known.decoders import DENSE
from planner.jobs.known.encoders import ENCODERS
from planner.jobs.known.experts import EXPERTS
from planner.jobs.known.named import NamedArchitecture
from planner.jobs.known.pairs import PAIRS
from planner.jobs.known.pictures import PICTURES, NamedPicture, drawing_rows
from planner.jobs.known.routed import ROUTED
from planner.jobs.known.served import SERVED
from planner.jobs.known.ungated import UNGATED

__all__ = ["ARCHITECTURES", "FIRST_RUN_JOBS", "JOBS", "PICTURES", "JobPreset", "NamedArchitecture", "NamedPicture"]


@dataclass(frozen=True, slots=True)
class JobPreset:
    """A ready job under a short key."""

    key: str
    title: str
    job: Job


ARCHITECTURES: Mapping[str, NamedArchitecture] = MappingProxyType(
    {entry.key: entry for entry in (*DENSE, *SERVED, *UNGATED, *ENCODERS, *EXPERTS, *ROUTED, *PAIRS)}
)


def _shape(key: str) -> Transformer:
    return ARCHITECTURES[key].architecture


# Pictures of the usual data sets (Russakovsky et al. 2015, ILSVRC 2012; Lin et al. 2014, train2017).
IMAGENET_PICTURES = 1_281_167
COCO_PICTURES = 118_287


def _picture_job(name: str, key: str, pictures: float, global_batch: int) -> TrainingJob:
    found = PICTURES[key].at()
    return TrainingJob(
        name=name,
        architecture=found.architecture,
        num_tokens=float(pictures * found.positions),
        sequence_length=found.positions,
        global_batch=global_batch,
        dtype=Dtype.FP16,
        head_share=1.0 / found.positions,
    )


def _pass_job(name: str, key: str, item: Item, **changes: Any) -> InferenceJob:
    """A network for pictures that answers, in the batch that answers most unless told otherwise."""
    found = PICTURES[key].at()
    return InferenceJob(
        name=name,
        architecture=found.architecture,
        prompt_tokens=found.positions,
        output_tokens=0,
        engine=Engine.TENSORRT,
        item=item,
        rows=drawing_rows(found.architecture) or 1,
        **changes,
    )


JOBS: Mapping[str, JobPreset] = MappingProxyType(
    {
        preset.key: preset
        for preset in (
            JobPreset(
                "finetune-small",
                "Fine-tune a small transformer",
                TrainingJob(
                    name="Fine-tune SmolLM-135M",
                    architecture=_shape("smollm-135m"),
                    num_tokens=20e6,
                    sequence_length=1024,
                    global_batch=32,
                ),
            ),
            JobPreset(
                "serve-small",
                "Serve a small transformer",
                InferenceJob(
                    name="Serve SmolLM-135M",
                    architecture=_shape("smollm-135m"),
                    prompt_tokens=256,
                    output_tokens=128,
                    concurrency=8,
                ),
            ),
            JobPreset(
                "pretrain-tiny",
                "Pre-train a tiny transformer, for a laptop",
                TrainingJob(
                    name="Pre-train Stories-15M",
                    architecture=_shape("stories-15m"),
                    num_tokens=50e6,
                    sequence_length=256,
                    global_batch=64,
                ),
            ),
            JobPreset(
                "pretrain-bert",
                "Pre-train a BERT encoder",
                TrainingJob(
                    name="Pre-train BERT-base",
                    architecture=_shape("bert-base"),
                    num_tokens=16e9,
                    sequence_length=512,
                    global_batch=256,
                ),
            ),
            JobPreset(
                "finetune-llama-3-8b",
                "Fine-tune Llama 3 8B, all weights",
                TrainingJob(
                    name="Fine-tune Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    num_tokens=100e6,
                    sequence_length=4096,
                    global_batch=64,
                    recompute=Recompute.FULL,
                ),
            ),
            JobPreset(
                "lora-llama-3-8b",
                "Fine-tune Llama 3 8B with adapters",
                TrainingJob(
                    name="Fine-tune Llama-3-8B by LoRA",
                    architecture=_shape("llama-3-8b"),
                    num_tokens=100e6,
                    sequence_length=4096,
                    global_batch=64,
                    method=TrainingMethod.LORA,
                    recompute=Recompute.FULL,
                ),
            ),
            JobPreset(
                "pretrain-1b",
                "Pre-train a transformer of 1.1 B parameters",
                TrainingJob(
                    name="Pre-train TinyLlama-1.1B",
                    architecture=_shape("tinyllama-1.1b"),
                    num_tokens=22e9,
                    sequence_length=2048,
                    global_batch=512,
                ),
            ),
            JobPreset(
                "finetune-t5-base",
                "Fine-tune T5 base to summarise",
                TrainingJob(
                    name="Fine-tune T5-base to summarise",
                    architecture=_shape("t5-base"),
                    num_tokens=150e6,
                    sequence_length=512,
                    target_length=128,
                    global_batch=128,
                ),
            ),
            JobPreset(
                "train-translator",
                "Train a translator (Transformer big)",
                TrainingJob(
                    name="Train Transformer-big on WMT",
                    architecture=_shape("transformer-big"),
                    num_tokens=4e9,
                    sequence_length=32,
                    global_batch=8192,
                    dtype=Dtype.FP16,
                ),
            ),
            JobPreset(
                "train-resnet-50",
                "Train ResNet-50 on ImageNet, 90 epochs",
                _picture_job("Train ResNet-50 on ImageNet", "resnet-50", 90 * IMAGENET_PICTURES, 1024),
            ),
            JobPreset(
                "train-vit-b",
                "Train ViT-B/16 on ImageNet, 300 epochs",
                _picture_job("Train ViT-B/16 on ImageNet", "vit-b-16", 300 * IMAGENET_PICTURES, 4096),
            ),
            JobPreset(
                "train-mask-rcnn",
                "Train Mask R-CNN on COCO, 12 epochs",
                _picture_job("Train Mask R-CNN on COCO", "mask-rcnn-r50", 12 * COCO_PICTURES, 16),
            ),
            JobPreset(
                "train-yolov5s",
                "Train the detector YOLOv5s on COCO, 300 epochs",
                _picture_job("Train YOLOv5s on COCO", "yolov5s", 300 * COCO_PICTURES, 64),
            ),
            JobPreset(
                "finetune-stable-diffusion",
                "Fine-tune Stable Diffusion 1.5 on latents",
                _picture_job("Fine-tune Stable Diffusion 1.5", "stable-diffusion-v1.5", 1e6, 32),
            ),
            JobPreset(
                "train-dit-xl",
                "Train the diffusion transformer DiT-XL/2",
                _picture_job("Train DiT-XL/2 on ImageNet", "dit-xl-2", 400_000 * 256, 256),
            ),
            JobPreset(
                "serve-llama-3-8b",
                "Serve Llama 3 8B as a chat service",
                InferenceJob(
                    name="Chat service on Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    prompt_tokens=1024,
                    output_tokens=256,
                    concurrency=32,
                ),
            ),
            JobPreset(
                "serve-llama-3-70b",
                "Serve Llama 3 70B as a chat service",
                InferenceJob(
                    name="Chat service on Llama-3-70B",
                    architecture=_shape("llama-3-70b"),
                    prompt_tokens=1024,
                    output_tokens=256,
                    concurrency=32,
                ),
            ),
            JobPreset(
                "summarise-llama-3-8b-fp8",
                "Summarise a million documents with Llama 3 8B in fp8",
                InferenceJob(
                    name="Summarise documents with Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    prompt_tokens=3000,
                    output_tokens=200,
                    num_requests=1e6,
                    dtype=Dtype.FP8,
                ),
            ),
            JobPreset(
                "classify-resnet-50",
                "Recognise ten million pictures with ResNet-50",
                _pass_job("Recognise pictures with ResNet-50", "resnet-50", Item.PICTURE, num_requests=1e7),
            ),
            JobPreset(
                "detect-yolov5m",
                "Find objects in the frames of cameras with YOLOv5m",
                _pass_job(
                    "Find objects in frames with YOLOv5m", "yolov5m", Item.FRAME, frame_rate=30.0, answer_seconds=0.025
                ),
            ),
            JobPreset(
                "embed-bert-base",
                "Embed a hundred million texts with BERT base",
                InferenceJob(
                    name="Embed texts with BERT-base",
                    architecture=_shape("bert-base"),
                    prompt_tokens=256,
                    output_tokens=0,
                    num_requests=1e8,
                    engine=Engine.TENSORRT,
                    item=Item.TEXT,
                ),
            ),
            JobPreset(
                "draw-sdxl",
                "Draw pictures with Stable Diffusion XL",
                _pass_job("Draw with Stable Diffusion XL", "sdxl", Item.DRAWING, passes=30),
            ),
        )
    }
)

FIRST_RUN_JOBS: tuple[str, ...] = ("finetune-small", "serve-small")
