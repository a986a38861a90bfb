"""What serving reaches without a calibration: shares of peak by family, and what engines add; facts with source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from planner.hardware.gpu import Dtype
from planner.jobs.engine import Engine
from planner.jobs.operations import WorkClass


@dataclass(frozen=True, slots=True)
class ServingShares:
    """Shares of the published peaks for one family of GPUs."""

    matmul: float
    matmul_8bit: float
    matmul_4bit: float
    matmul_fp32: float
    matmul_tf32: float
    bandwidth: float
    attention: float
    told: int  # published sources with runs on the family
    source: str

    def of(self, dtype: Dtype) -> float:
        """The part of the dense peak that products in that format reach."""
        named = {
            Dtype.FP32: self.matmul_fp32,
            Dtype.TF32: self.matmul_tf32,
            Dtype.FP8: self.matmul_8bit,
            Dtype.INT8: self.matmul_8bit,
            Dtype.FP4: self.matmul_4bit,
        }
        return named.get(dtype, self.matmul)


@dataclass(frozen=True, slots=True)
class EnginePrior:
    """What an engine adds to, and leaves of, the sum of operations; the keys are explained in serving.toml."""

    kernels: float
    launch_us: float
    elementwise: float
    prefill: float
    decode: float
    cache: float
    packed: float
    packed_product: float
    prefill_ms: float
    step_ms: float
    request_us: float
    front_ms: float
    max_requests: float
    reserve: float
    cache_memory: float
    prompt_tokens: float
    half_sums: bool  # products of 16 bits are summed in 16 bits
    told: int  # published sources with runs of the engine
    source: str


@dataclass(frozen=True, slots=True)
class ServingPriors:
    """All of it."""

    families: Mapping[str, ServingShares]
    engines: Mapping[Engine, EnginePrior]
    class_factors: Mapping[WorkClass, float]
    figures: Mapping[str, float]
    ranges: Mapping[str, float]
    version: str


@cache
def load_serving_priors() -> ServingPriors:
    """The packaged facts file."""
    return read_serving_priors(resources.files(__package__).joinpath("serving.toml").read_text(encoding="utf-8"))


def read_serving_priors(text: str) -> ServingPriors:
    """The priors in the text of a facts file."""
    return serving_priors(tomllib.loads(text))


def serving_priors(document: Mapping[str, Any]) -> ServingPriors:
    """The priors that a facts file says."""
    return ServingPriors(
        families=MappingProxyType({name: ServingShares(**entry) for name, entry in document["family"].items()}),
        engines=MappingProxyType({Engine(name): EnginePrior(**entry) for name, entry in document["engine"].items()}),
        class_factors=MappingProxyType({WorkClass(n): e["factor"] for n, e in document["class"].items()}),
        figures=MappingProxyType({name: entry["value"] for name, entry in document["figure"].items()}),
        ranges=MappingProxyType({name: entry["half_width"] for name, entry in document["range"].items()}),
        version=document["version"],
    )
