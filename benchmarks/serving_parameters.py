"""The numbers of the shipped serving priors that published runs may move, from where, how far and with whom.

Each starts at an expected value: of a family of GPUs what its best measured products and its memory reach
(efficiency.toml), of an engine what engines of its kind were assumed to. Numbers of one kind move together (`shared`)
and, less far, each for itself (`own`): what nobody told about an engine or a family is then what was learnt of its
like.
There is none for a source, a row or a single GPU model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import planner.estimates.priors as priors_room
from planner.estimates.priors import load_priors
from planner.jobs.engine import Engine

FACTS = Path(priors_room.__file__).with_name("serving.toml")
BATCHING = (
    Engine.UNSTATED,
    Engine.TENSORRT_LLM,
    Engine.VLLM,
    Engine.VLLM_EARLY,
    Engine.SGLANG,
    Engine.LMDEPLOY,
    Engine.DEEPSPEED,
    Engine.HABANA,
)
LOCAL = (Engine.LLAMA_CPP, Engine.MLC, Engine.EXLLAMA)
EAGER = (Engine.TRANSFORMERS, Engine.PYTORCH)
COMPILED = (Engine.TENSORRT, Engine.COMPILED)


@dataclass(frozen=True)
class Freedom:
    """Log standard deviations: of the kind as a whole, and of one beside its like."""

    shared: float
    own: float


# Per kind of engine: the expected value and the freedom of each number.
ENGINES: Mapping[tuple[Engine, ...], Mapping[str, tuple[float, Freedom]]] = {
    BATCHING: {
        "prefill": (1.1, Freedom(0.3, 0.15)),
        "decode": (1.05, Freedom(0.15, 0.1)),
        "cache": (0.8, Freedom(0.2, 0.12)),
        "packed": (1.2, Freedom(0.2, 0.15)),
        "packed_product": (1.2, Freedom(0.2, 0.15)),
        "prefill_ms": (2.0, Freedom(0.5, 0.4)),
        "step_ms": (0.6, Freedom(0.5, 0.4)),
        "request_us": (8.0, Freedom(0.5, 0.4)),
        "front_ms": (20.0, Freedom(0.7, 0.7)),
    },
    (Engine.VLLM_EARLY,): {"launch_us": (25.0, Freedom(0.0, 0.35))},  # its steps ran eagerly, as PyTorch's do
    LOCAL: {
        "prefill": (1.3, Freedom(0.3, 0.2)),
        "decode": (1.05, Freedom(0.15, 0.1)),
        "cache": (0.65, Freedom(0.2, 0.15)),
        "packed": (1.1, Freedom(0.2, 0.15)),
        "packed_product": (1.2, Freedom(0.3, 0.2)),
        "prefill_ms": (1.0, Freedom(0.5, 0.4)),
        "step_ms": (0.8, Freedom(0.5, 0.4)),
        "request_us": (15.0, Freedom(0.5, 0.4)),
    },
    EAGER: {
        "launch_us": (25.0, Freedom(0.3, 0.2)),
        "prefill": (1.1, Freedom(0.2, 0.15)),
        "decode": (1.25, Freedom(0.15, 0.1)),
        "cache": (0.5, Freedom(0.2, 0.15)),
        "packed": (3.0, Freedom(0.4, 0.2)),
        "prefill_ms": (1.0, Freedom(0.5, 0.4)),
        "step_ms": (1.0, Freedom(0.5, 0.4)),
    },
    COMPILED: {
        "prefill": (1.0, Freedom(0.3, 0.25)),
        "cache": (0.65, Freedom(0.2, 0.15)),
        "elementwise": (0.5, Freedom(0.3, 0.3)),
        "prefill_ms": (0.4, Freedom(0.5, 0.5)),
    },
}
# What single engines are known for beyond their kind.
KNOWN: Mapping[tuple[Engine, str], float] = {
    (Engine.VLLM_EARLY, "step_ms"): 5.0,  # its scheduler ran in Python between the steps
    (Engine.VLLM_EARLY, "request_us"): 300.0,
    (Engine.VLLM_EARLY, "prefill_ms"): 12.0,
    (Engine.VLLM, "step_ms"): 1.5,
    (Engine.TENSORRT, "prefill_ms"): 0.2,
}
FAMILY = {
    "matmul": Freedom(0.1, 0.1),
    "matmul_8bit": Freedom(0.15, 0.15),
    "matmul_4bit": Freedom(0.2, 0.15),
    "matmul_fp32": Freedom(0.15, 0.2),
    "matmul_tf32": Freedom(0.2, 0.2),
    "bandwidth": Freedom(0.08, 0.08),
    "attention": Freedom(0.25, 0.2),
}
FP32, TF32 = 0.85, 0.7  # of the peak, where no best product was measured (assumed)
FOUR_TO_EIGHT = 0.9  # what 4-bit products reach of their peak ÷ what 8-bit ones do of theirs (assumed)
OTHERS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("class", "expert"): (1.0, 0.4),
    ("class", "dispatch"): (1.0, 0.5),
    ("class", "convolution"): (0.8, 0.4),
    ("class", "depthwise"): (1.0, 0.5),
    ("class", "layout"): (1.5, 0.5),
    ("class", "normalisation"): (0.3, 0.5),
    ("figure", "collective_us"): (7.0, 0.4),
    ("figure", "link_factor"): (0.7, 0.2),
    ("figure", "half_rate"): (1.2, 0.1),
    ("figure", "unit_fill"): (0.4, 0.5),
    ("figure", "burst"): (0.1, 0.4),
    ("figure", "convolution_calls"): (2.0, 0.4),
    ("figure", "clock_exponent"): (0.4, 0.3),
    ("figure", "warp_products"): (0.63, 0.15),
    ("figure", "frontend_request_ms"): (0.3, 0.7),
    ("figure", "idle_power"): (0.3, 0.3),
    ("figure", "memory_power"): (0.4, 0.4),
    ("figure", "product_power"): (0.5, 0.4),
    ("figure", "expert_tile"): (64.0, 0.4),
    ("figure", "routing_kernels"): (6.0, 0.4),
}
LIMITS = {"bandwidth": 0.97, "cache": 0.97, "attention": 0.95, "matmul": 0.97, "matmul_8bit": 0.97}
KEYS = {"class": "factor", "figure": "value"}


@dataclass(frozen=True)
class Parameter:
    """A number of the facts file; `kind` and `owner` name its section, `group` those that it moves with."""

    kind: str
    owner: str
    key: str
    expected: float
    own: float
    shared: float = 0.0
    group: str = ""

    @property
    def name(self) -> str:
        return f"{self.owner}.{self.key}"

    @property
    def limit(self) -> float:
        return LIMITS.get(self.key, math.inf) if self.kind in ("family", "engine") else math.inf

    def pattern(self) -> re.Pattern[str]:
        title = f'[{self.kind}."{self.owner}"]' if self.kind in ("family", "engine") else f"[{self.kind}.{self.owner}]"
        return re.compile(rf"({re.escape(title)}(?:(?!\n\[).)*?\n{self.key} = )([0-9.e+-]+)", re.DOTALL)

    def read(self, text: str) -> float:
        found = self.pattern().search(text)
        if found is None:
            raise ValueError(f"{FACTS.name} has no {self.name}")
        return float(found[2])

    def write(self, text: str, value: float) -> str:
        return self.pattern().sub(lambda found: f"{found[1]}{value:.4g}", text, count=1)

    def put(self, document: dict[str, Any], value: float | np.ndarray) -> None:
        """Set it in the facts as they were parsed; an array holds a value for each of several sets of priors."""
        document[self.kind][self.owner][self.key] = value


def every_parameter(families: Sequence[str]) -> tuple[Parameter, ...]:
    """Those of the named families, of all engines, and of all."""
    found = [parameter for name in families for parameter in _of_family(name)]
    for number, (members, keys) in enumerate(ENGINES.items()):
        for engine in members:
            for key, (expected, freedom) in keys.items():
                value = KNOWN.get((engine, key), expected)
                group = f"engines {number} {key}"
                found.append(Parameter("engine", engine.value, key, value, freedom.own, freedom.shared, group))
    found += [Parameter(kind, owner, KEYS[kind], value, spread) for (kind, owner), (value, spread) in OTHERS.items()]
    return tuple(found)


def _of_family(name: str) -> list[Parameter]:
    prior = next(prior for _, prior in load_priors().families if prior.name == name)
    expected = {
        "matmul": prior.matmul,
        "matmul_8bit": prior.matmul_8bit,
        "matmul_4bit": FOUR_TO_EIGHT * prior.matmul_8bit,
        "matmul_fp32": FP32,
        "matmul_tf32": TF32,
        "bandwidth": prior.bandwidth,
        "attention": prior.attention,
    }
    return [
        Parameter("family", name, key, expected[key], freedom.own, freedom.shared, f"families {key}")
        for key, freedom in FAMILY.items()
    ]


def latent_moves(parameters: Sequence[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    """How the parameters' logarithms (P) follow from independent moves (L), and those moves' standard deviations: one
    per parameter, one per group that has several."""
    groups: dict[str, list[int]] = {}
    for place, parameter in enumerate(parameters):
        if parameter.group:
            groups.setdefault(parameter.group, []).append(place)
    together = [places for places in groups.values() if len(places) > 1]
    spread = np.zeros((len(parameters), len(parameters) + len(together)))
    spread[:, : len(parameters)] = np.eye(len(parameters))
    for number, places in enumerate(together):
        spread[places, len(parameters) + number] = 1.0
    own = [parameter.own for parameter in parameters]
    return spread, np.array(own + [parameters[places[0]].shared for places in together])
