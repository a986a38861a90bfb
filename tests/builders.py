"""Objects with sensible defaults; a test overrides what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from planner.calibration.sample import Bench, Operation, Sample
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend, Discovery, SeenDevice, SeenNode
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob, TrainingJob
from planner.offers.offer import Offer, OfferKind, Price

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def offer(**changes: Any) -> Offer:
    base = Offer(
        provider="aws",
        region="us-east-1",
        zone="",
        instance_type="p5.48xlarge",
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name="H100",
        gpu_key="H100-80GB-SXM",
        num_gpus=Decimal(8),
        vcpus=Decimal(192),
        memory_bytes=2 * 2**40,
    )
    return replace(base, **changes)


def price(amount: str | None = "55.04", **changes: Any) -> Price:
    base = Price(
        amount=None if amount is None else Decimal(amount),
        valid_from=datetime(2026, 7, 20, tzinfo=UTC),
        recorded_at=datetime(2026, 7, 21, tzinfo=UTC),
        source="a price list",
        source_date=date(2026, 7, 20),
        reason="" if amount is not None else "withdrawn",
    )
    return replace(base, **changes)


def seen_node(**changes: Any) -> SeenNode:
    base = SeenNode(
        machine_id="machine-1",
        boot_id="boot-1",
        hostname="node-1",
        os_name="Linux",
        cpu_name="A CPU",
        num_cpus=16,
        memory_bytes=128 * 2**30,
    )
    return replace(base, **changes)


def seen_device(**changes: Any) -> SeenDevice:
    base = SeenDevice(
        uuid="GPU-11111111-2222-3333-4444-555555555555",
        backend=Backend.CUDA,
        index=0,
        name="NVIDIA H100 80GB HBM3",
        gpu_key="H100-80GB-SXM",
        vendor="NVIDIA",
        memory_bytes=85_520_809_984,
        power_limit_watts=700.0,
        compute_capability="9.0",
        driver_version="580.95.05",
    )
    return replace(base, **changes)


def seen_cpu(**changes: Any) -> SeenDevice:
    base = SeenDevice(
        uuid="CPU-machine-1",
        backend=Backend.CPU,
        index=0,
        name="A CPU",
        gpu_key=None,
        vendor="AMD",
        memory_bytes=16 * 2**30,
        power_limit_watts=None,
        compute_capability=None,
        driver_version=None,
        unknown={"power_limit_watts": "a CPU has no driver that tells it"},
    )
    return replace(base, **changes)


def discovery(*devices: SeenDevice, node: SeenNode | None = None) -> Discovery:
    return Discovery(node=node or seen_node(), devices=devices or (seen_device(), seen_cpu()))


def transformer(**changes: Any) -> Transformer:
    base = Transformer(
        name="Tiny",
        num_layers=4,
        hidden=256,
        num_heads=8,
        num_kv_heads=4,
        ffn=1024,
        vocab=8192,
        max_positions=2048,
    )
    return replace(base, **changes)


def training_job(**changes: Any) -> TrainingJob:
    base = TrainingJob(
        name="Train Tiny", architecture=transformer(), num_tokens=1e7, sequence_length=512, global_batch=16
    )
    return replace(base, **changes)


def inference_job(**changes: Any) -> InferenceJob:
    base = InferenceJob(
        name="Serve Tiny", architecture=transformer(), prompt_tokens=256, output_tokens=64, num_requests=1000
    )
    return replace(base, **changes)


def sample(**changes: Any) -> Sample:
    base = Sample(
        bench=Bench(Operation.MATMUL, 1, Dtype.BF16, {"m": 1024, "n": 1024, "k": 1024}, expected_seconds=0.5),
        seconds=1e-3,
        spread=0.02,
        repeats=5,
        flops=2.0 * 1024**3,
        num_bytes=3 * 2.0 * 1024**2,
        steady=True,
    )
    return replace(base, **changes)
