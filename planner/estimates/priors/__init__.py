"""What GPUs that were never measured here reach, as shares of their published peaks: facts with source and date."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from planner.calibration.sample import Operation
from planner.hardware.gpu import Gpu
from planner.jobs.job import Stack
from planner.jobs.operations import WorkClass


@dataclass(frozen=True, slots=True)
class Prior:
    """Shares of peak for one family of GPUs.

    `factors` are what a whole pass takes beyond the sum of its operations, `spreads` the log half-widths that go with
    them (nine in ten), per phase.
    """

    name: str
    matmul: float
    matmul_8bit: float
    bandwidth: float
    attention: float
    inner_fill: float
    floor_seconds: float
    launch_seconds: Mapping[Operation, float]
    factors: Mapping[Operation, float]
    spreads: Mapping[Operation, float]
    source: str
    training_matmul: float  # under sustained training, as the next two
    training_matmul_8bit: float
    training_bandwidth: float
    training_attention: float
    training_matmul_4bit: float
    matmul_fp32: float
    matmul_tf32: float
    edge_fill: float
    network_bytes_per_s: float  # of one GPU to other nodes, one way, where nothing else is said
    full_clock_joules: float | None  # watts per FLOP/s of the 16-bit peak of the card that was measured


@dataclass(frozen=True, slots=True)
class StackPrior:
    """What software of one kind leaves of an eager framework's work, and what it adds per step.

    `overlap` is the share of the backward pass (sharded weights: of the whole pass) that collectives hide behind,
    `tensor_overlap` the share of tensor- and expert-parallel exchanges that hide,
    `contention` the share of a pass by which it takes longer beside them.
    """

    kernels: float
    elementwise: float
    factor: float
    step_seconds: float
    overlap: float
    tensor_overlap: float
    contention: float
    source: str


@dataclass(frozen=True, slots=True)
class Priors:
    """All families, and the figures that hold for every one."""

    families: tuple[tuple[Mapping[str, Any], Prior], ...]
    figures: Mapping[str, float]
    version: str
    stacks: Mapping[Stack, StackPrior]
    class_factors: Mapping[WorkClass, float]
    ranges: Mapping[str, float]  # log half-widths of training without calibration, by class (ranges.py)
    told: Mapping[str, float]  # sources of published training runs that told about a family, by its name

    def of(self, gpu: Gpu) -> Prior:
        """The first family that the GPU's vendor, kind and generation belong to; the last one takes all."""
        for match, prior in self.families:
            if _belongs(gpu, match):
                return prior
        raise ValueError("the last family of the priors must take every GPU")


@cache
def load_priors() -> Priors:
    """The packaged facts file."""
    return read_priors(resources.files(__name__).joinpath("efficiency.toml").read_text(encoding="utf-8"))


def read_priors(text: str) -> Priors:
    """The priors in the text of a facts file."""
    return priors_from(tomllib.loads(text))


def priors_from(document: Mapping[str, Any]) -> Priors:
    """The priors in a facts file that was parsed."""
    families = tuple((entry["match"], _prior(entry)) for entry in document["family"])
    figures = {name: float(entry["value"]) for name, entry in document["figure"].items()}
    stacks = {Stack(entry["name"]): _stack(entry) for entry in document["stack"]}
    classes = {WorkClass(name): float(entry["factor"]) for name, entry in document["operation"].items()}
    ranges = {name: float(entry["half_width"]) for name, entry in document["range"].items()}
    return Priors(
        families,
        MappingProxyType(figures),
        document["version"],
        MappingProxyType(stacks),
        MappingProxyType(classes),
        MappingProxyType(ranges),
        MappingProxyType(dict(document["told"]["sources"])),
    )


def _stack(entry: Mapping[str, Any]) -> StackPrior:
    return StackPrior(
        kernels=entry["kernels"],
        elementwise=entry["elementwise"],
        factor=entry["factor"],
        step_seconds=entry["step_ms"] * 1e-3,
        overlap=entry["overlap"],
        tensor_overlap=entry["tensor_overlap"],
        contention=entry["contention"],
        source=entry["source"],
    )


def _belongs(gpu: Gpu, match: Mapping[str, Any]) -> bool:
    """Vendor and kind as named; the generation equal to one of those named, in lower case; the memory's type by how
    its name begins; the key one of those named."""
    return (
        gpu.key in match.get("keys", [gpu.key])
        and match.get("vendor", gpu.vendor.value) == gpu.vendor.value
        and match.get("kind", gpu.kind.value) == gpu.kind.value
        and gpu.memory_type.startswith(match.get("memory", ""))
        and gpu.generation.casefold() in match.get("generations", [gpu.generation.casefold()])
    )


def _prior(entry: Mapping[str, Any]) -> Prior:
    return Prior(
        name=entry["name"],
        matmul=entry["matmul"],
        matmul_8bit=entry["matmul_8bit"],
        bandwidth=entry["bandwidth"],
        attention=entry["attention"],
        inner_fill=entry["inner_fill"],
        floor_seconds=entry["floor_us"] * 1e-6,
        launch_seconds={Operation(name): value * 1e-6 for name, value in entry["launch_us"].items()},
        factors={Operation(name): value for name, value in entry["factor"].items()},
        spreads={Operation(name): value for name, value in entry["spread"].items()},
        source=entry["source"],
        training_matmul=entry["training_matmul"],
        training_matmul_8bit=entry["training_matmul_8bit"],
        training_bandwidth=entry["training_bandwidth"],
        training_attention=entry.get("training_attention", entry["attention"]),
        training_matmul_4bit=entry.get("training_matmul_4bit", entry["training_matmul_8bit"]),
        matmul_fp32=entry["matmul_fp32"],
        matmul_tf32=entry["matmul_tf32"],
        edge_fill=entry["edge_fill"],
        network_bytes_per_s=entry["network_gb_per_s"] * 1e9,
        full_clock_joules=entry["full_clock_w_per_tflops"] * 1e-12 if "full_clock_w_per_tflops" in entry else None,
    )
