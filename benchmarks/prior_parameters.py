"""The numbers of the shipped training priors that published runs may move, and how far.

Every one is positive, with an expected value and a log standard deviation; there is none for a source, a row or a
single GPU model.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import planner.estimates.priors as priors_room
from planner.jobs.convnet import ConvNet

if TYPE_CHECKING:
    from benchmarks.training_cases import Case

FACTS = Path(priors_room.__file__).with_name("efficiency.toml")
PICTURES = ("[operation.convolution]", "[figure.vector_share]", "[operation.layout]", "[operation.normalisation]")
SEQUENCES = ("[operation.attention]", "[operation.scores]", "[operation.elementwise]", "[operation.unpacking]")
EXPERTS = ("[operation.expert]", "[figure.expert_overlap]", "[operation.dispatch]")


@dataclass(frozen=True)
class Parameter:
    """A number of the facts file: its section header, the key, and how far it may move."""

    section: str
    key: str
    spread: float
    limit: float = math.inf
    prior: float | None = None  # what the fit is held to; None: the file's value

    def touches(self, case: Case) -> bool:
        """Whether a case can depend on it: by family of GPUs, kind of program, or kind of network."""
        if self.named is not None:
            family = priors_room.load_priors().of(case.trial.placement.gpu).name
            return self.named in (family, case.trial.job.stack.value)
        network = case.trial.job.architecture
        if self.section in PICTURES:
            return isinstance(network, ConvNet)
        if self.section in EXPERTS:
            return not isinstance(network, ConvNet) and network.num_experts > 1
        return not (self.section in SEQUENCES and isinstance(network, ConvNet))

    @property
    def named(self) -> str | None:
        """The family of GPUs or the stack that it belongs to."""
        return self.section.split(chr(34))[1] if chr(34) in self.section else None

    @property
    def name(self) -> str:
        return f"{self.named or self.section}.{self.key}"

    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"({re.escape(self.section)}(?:(?!\n\[).)*?\n{self.key} = )([0-9.e+-]+)", re.DOTALL)

    def read(self, text: str) -> float:
        found = self.pattern().search(text)
        if found is None:
            raise ValueError(f"{FACTS.name} has no {self.name}")
        return float(found[2])

    def write(self, text: str, value: float) -> str:
        return self.pattern().sub(lambda found: f"{found[1]}{value:.4g}", text, count=1)

    def put(self, document: dict[str, Any], value: float) -> None:
        """Set it in the facts as they were parsed."""
        if self.named is None:
            room, name = self.section.strip("[]").split(".")
            document[room][name][self.key] = value
            return
        entries = (*document["family"], *document["stack"])
        next(entry for entry in entries if entry["name"] == self.named)[self.key] = value


def _family(name: str, key: str, spread: float, limit: float = math.inf, prior: float | None = None) -> Parameter:
    return Parameter(f'name = "{name}"', key, spread, limit, prior)


# Where the prior is None the file's value is what the source beside it says, and stays what the fit is held to.
STACKS = ("eager", "fused", "megatron", "compiled")
PARAMETERS = (
    _family("NVIDIA Volta", "training_matmul", 0.15, 0.95, 0.60),
    _family("NVIDIA Ampere", "training_matmul", 0.12, 0.95, 0.66),
    _family("NVIDIA Ampere with GDDR memory", "training_matmul", 0.12, 0.98, 0.80),
    _family("NVIDIA Hopper", "training_matmul", 0.12, 0.95, 0.60),
    _family("NVIDIA Ada", "training_matmul", 0.12, 0.95, 0.64),
    _family("NVIDIA Blackwell (data centre)", "training_matmul", 0.15, 0.95, 0.62),
    _family("AMD CDNA3 and CDNA4", "training_matmul", 0.2, 0.95, 0.50),
    _family("Intel Gaudi", "training_matmul", 0.15, 0.95, 0.70),
    _family("Intel Gaudi 3", "training_matmul", 0.15, 0.95, 0.50),
    _family("NVIDIA Hopper", "training_matmul_8bit", 0.12, 0.95, 0.53),
    _family("NVIDIA Blackwell (data centre)", "training_matmul_8bit", 0.2, 0.95, 0.60),
    _family("NVIDIA Blackwell (data centre)", "training_matmul_4bit", 0.2, 0.95, 0.40),
    _family("NVIDIA Volta", "matmul_fp32", 0.15, 0.98, 0.85),
    _family("NVIDIA Ampere", "matmul_fp32", 0.15, 0.98, 0.85),
    _family("NVIDIA Ampere", "matmul_tf32", 0.2, 0.98, 0.60),
    _family("NVIDIA, other generations", "matmul_fp32", 0.3, 0.98, 0.60),
    _family("AMD, other generations", "matmul_fp32", 0.2, 2.0, 1.4),
    *(
        _family(name, "training_bandwidth", 0.12, 0.95, 0.80)
        for name in ("NVIDIA Volta", "NVIDIA Ampere", "NVIDIA Ampere with GDDR memory", "NVIDIA Hopper")
    ),
    *(
        _family(name, "training_bandwidth", 0.15, 0.95, 0.70)
        for name in ("NVIDIA Blackwell (data centre)", "Intel Gaudi", "Intel Gaudi 3")
    ),
    *(
        _family(name, "training_attention", 0.25, 1.5, 0.60)
        for name in ("NVIDIA Ampere", "NVIDIA Hopper", "NVIDIA Blackwell (data centre)")
    ),
    *(
        Parameter(f"[operation.{name}]", "factor", spread, math.inf, prior)
        for name, spread, prior in (
            ("expert", 0.4, 1.5),
            ("dispatch", 0.4, 1.0),
            ("convolution", 0.3, 1.0),
            ("layout", 0.4, 1.0),
            ("attention", 0.3, 1.0),
            ("scores", 0.4, 1.0),
            ("elementwise", 0.3, 1.0),
            ("normalisation", 0.4, 1.0),
            ("unpacking", 0.4, 2.0),
            ("update", 0.4, 1.0),
        )
    ),
    *(
        _family(stack, "kernels", 0.4, math.inf, prior)
        for stack, prior in zip(STACKS, (1.5, 1.0, 2.0, 0.6), strict=True)
    ),
    *(_family(stack, "factor", 0.12, math.inf, 1.0) for stack in STACKS),
    *(
        _family(stack, "step_ms", 0.5, math.inf, prior)
        for stack, prior in zip(STACKS, (10.0, 3.0, 12.0, 4.0), strict=True)
    ),
    *(
        _family(stack, "elementwise", 0.3, math.inf, prior)
        for stack, prior in zip(STACKS[1:], (0.8, 0.8, 0.6), strict=True)
    ),
    *(_family(stack, "overlap", 0.15, 0.98, 0.7) for stack in STACKS[:3]),
    *(_family(stack, "contention", 1.0, 0.5, 0.07) for stack in STACKS),
    _family("fused", "tensor_overlap", 0.4, 0.9, 0.2),
    _family("megatron", "tensor_overlap", 0.4, 0.9, 0.4),
    Parameter("[figure.vector_share]", "value", 0.5, 0.5, 0.05),
    Parameter("[figure.expert_overlap]", "value", 0.4, 0.9, 0.4),
    Parameter("[figure.network_share]", "value", 0.1, 0.98, 0.85),
    Parameter("[figure.training_collective_us]", "value", 0.5, math.inf, 30.0),
    Parameter("[figure.training_link_share]", "value", 0.1, 0.95, 0.75),
    Parameter("[figure.training_pcie_share]", "value", 0.3, 0.95, 0.45),
    Parameter("[figure.host_transfer_share]", "value", 0.5, 0.95, 0.3),
    Parameter("[figure.host_transfer_overlap]", "value", 0.7, 1.0, 0.5),
)


# What the fit is held to, and what it may not exceed, as logarithms.
LIMITS = np.log([parameter.limit for parameter in PARAMETERS])
SPREADS = np.array([parameter.spread for parameter in PARAMETERS])


def expected(text: str) -> np.ndarray:
    """Logarithms of what every parameter is held to."""
    return np.log([parameter.prior or parameter.read(text) for parameter in PARAMETERS])


def stated(text: str) -> np.ndarray:
    """Logarithms of what the facts file says."""
    return np.log([parameter.read(text) for parameter in PARAMETERS])


def with_values(text: str, logs: np.ndarray) -> str:
    """The facts file with these logarithms."""
    for parameter, log in zip(PARAMETERS, logs, strict=True):
        text = parameter.write(text, math.exp(log))
    return text
