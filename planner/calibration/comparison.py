"""Training against inference on one device, from the samples of one run: which pushes it harder, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.calibration.sample import Operation, Sample
from planner.hardware.gpu import Dtype

SIDES = {
    Operation.TRAIN_STEP: "training",
    Operation.PREFILL: "reading prompts",
    Operation.DECODE: "writing answers",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One kind of work at its best: rates reached, their share of the best that this device showed, power, memory.

    None is what was not measured. `seconds_per_token` is the device's time, all sequences of a step together.
    """

    operation: Operation
    dtype: Dtype
    flops_rate: float
    bytes_rate: float
    compute_share: float | None  # of the best product rate measured here in that format
    memory_share: float | None  # of the copy rate measured here above the cache
    power_watts: float | None
    peak_memory_bytes: int | None
    tokens_per_second: float
    latency_seconds: float
    joules_per_token: float | None

    @property
    def bound(self) -> str:
        """What holds it back: arithmetic, memory, or neither to a half (starting kernels, waiting)."""
        shares = {"arithmetic": self.compute_share or 0.0, "memory": self.memory_share or 0.0}
        name = max(shares, key=lambda one: shares[one])
        return name if shares[name] >= 0.5 else "neither"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sides that were measured, by operation, and a sentence."""

    sides: Mapping[Operation, Side]
    sentence: str


def compare(samples: Sequence[Sample], dtype: Dtype) -> Comparison:
    """Training and both halves of inference in that format, each at its highest throughput."""
    best_product = max((_flops_rate(s) for s in samples if _is(s, Operation.MATMUL, dtype)), default=None)
    copies = [sample for sample in samples if sample.bench.operation is Operation.COPY]
    best_copy = _bytes_rate(max(copies, key=lambda sample: sample.num_bytes)) if copies else None
    sides: dict[Operation, Side] = {}
    for operation in SIDES:
        same = [sample for sample in samples if _is(sample, operation, dtype)]
        if same:
            top = max(same, key=lambda sample: _tokens(sample) / sample.seconds)
            sides[operation] = _side(top, best_product, best_copy)
    return Comparison(sides, _sentence(sides))


def _side(sample: Sample, best_product: float | None, best_copy: float | None) -> Side:
    rate = _tokens(sample) / sample.seconds
    watts = sample.details.get("power_watts")
    return Side(
        operation=sample.bench.operation,
        dtype=sample.bench.dtype,
        flops_rate=_flops_rate(sample),
        bytes_rate=_bytes_rate(sample),
        compute_share=None if best_product is None else _flops_rate(sample) / best_product,
        memory_share=None if best_copy is None else _bytes_rate(sample) / best_copy,
        power_watts=watts,
        peak_memory_bytes=sample.peak_memory_bytes,
        tokens_per_second=rate,
        latency_seconds=sample.seconds,
        joules_per_token=None if watts is None else watts / rate,
    )


def _sentence(sides: Mapping[Operation, Side]) -> str:
    training = sides.get(Operation.TRAIN_STEP)
    serving = sides.get(Operation.DECODE) or sides.get(Operation.PREFILL)
    if training is None or serving is None:
        return "Training and inference were not both measured here, so they cannot be compared."
    harder, easier = _ordered(training, serving)
    by = _by_power(harder, easier) or _by_rates(harder, easier)
    return f"{SIDES[harder.operation].capitalize()} pushes this device harder than {SIDES[easier.operation]}: {by}."


def _ordered(training: Side, serving: Side) -> tuple[Side, Side]:
    """By power where both tell it, else by the share of the device's best that is in use."""
    watts = training.power_watts, serving.power_watts
    if watts[0] is not None and watts[1] is not None:
        return (training, serving) if watts[0] >= watts[1] else (serving, training)
    return (training, serving) if _use(training) >= _use(serving) else (serving, training)


def _use(side: Side) -> float:
    return max(side.compute_share or 0.0, side.memory_share or 0.0)


def _by_power(harder: Side, easier: Side) -> str:
    if harder.power_watts is None or easier.power_watts is None:
        return ""
    return (
        f"it draws {harder.power_watts:.0f} W against {easier.power_watts:.0f} W; "
        f"{_held_back(harder)}, while the other {_held_back(easier)}"
    )


def _by_rates(harder: Side, easier: Side) -> str:
    return f"{_held_back(harder)}, while the other {_held_back(easier)} (power was not told)"


def _held_back(side: Side) -> str:
    compute = "an unknown share" if side.compute_share is None else f"{side.compute_share:.0%}"
    memory = "an unknown share" if side.memory_share is None else f"{side.memory_share:.0%}"
    reason = {
        "arithmetic": "it is bound by arithmetic",
        "memory": "it is bound by memory",
        "neither": "it waits for neither most of the time: starting kernels and small work hold it back",
    }[side.bound]
    return f"reaches {compute} of the arithmetic and {memory} of the memory bandwidth measured here, so {reason}"


def _is(sample: Sample, operation: Operation, dtype: Dtype) -> bool:
    return sample.bench.operation is operation and sample.bench.dtype is dtype


def _flops_rate(sample: Sample) -> float:
    return sample.flops / sample.seconds


def _bytes_rate(sample: Sample) -> float:
    return sample.num_bytes / sample.seconds


def _tokens(sample: Sample) -> float:
    """Tokens of one execution: trained, read or written."""
    inside = sample.bench.parameters
    if sample.bench.operation is Operation.TRAIN_STEP:
        return float(inside["sequence"] * inside["micro_batch"])
    if sample.bench.operation is Operation.PREFILL:
        return float(inside["sequence"] * inside["batch"])
    return float(inside["batch"])
