"""What a bench does in theory: the FLOPs and bytes of one execution."""

from __future__ import annotations

from dataclasses import dataclass

from planner.calibration.sample import Bench, Operation
from planner.jobs.architecture import Transformer
from planner.jobs.footprint import Split, training_bytes
from planner.jobs.operations import (
    Pass,
    TrainingWork,
    Work,
    forward_work,
    model_forward_flops,
    model_training_flops,
    total_bytes,
    training_work,
)


@dataclass(frozen=True, slots=True)
class Theory:
    """Useful FLOPs and bytes to and from memory of one execution of a bench."""

    flops: float
    num_bytes: float


def bench_theory(bench: Bench) -> Theory:
    """FLOPs and bytes of one execution.

    matmul: 2·m·n·k and the three matrices once; copy: none, and the source read and written; transformer benches:
    the useful FLOPs (backward twice the forward) and the bytes of all operations. A missing parameter is a ValueError.
    """
    if bench.operation is Operation.MATMUL:
        m, n, k = (_parameter(bench, name) for name in ("m", "n", "k"))
        return Theory(2.0 * m * n * k, bench.dtype.num_bytes * (m * k + k * n + m * n))
    if bench.operation is Operation.COPY:
        return Theory(0.0, 2.0 * _parameter(bench, "num_bytes"))
    architecture, through = bench_architecture(bench), bench_pass(bench)
    if bench.operation is Operation.TRAIN_STEP:
        work = bench_training_work(bench)
        every = (*work.forward, *work.backward, *work.optimizer)
        flops = model_training_flops(architecture, through.batch, through.tokens)
        return Theory(float(flops), float(total_bytes(every)))
    flops = model_forward_flops(architecture, through.batch, through.tokens, through.context, through.head_tokens)
    return Theory(float(flops), float(total_bytes(bench_forward_work(bench))))


def bench_architecture(bench: Bench) -> Transformer:
    """The decoder that a transformer bench runs: its own output head, rotary positions."""
    return Transformer(
        name=f"{bench.operation.value} bench",
        num_layers=_parameter(bench, "layers"),
        hidden=_parameter(bench, "hidden"),
        num_heads=_parameter(bench, "heads"),
        num_kv_heads=_parameter(bench, "kv_heads"),
        ffn=_parameter(bench, "ffn"),
        vocab=_parameter(bench, "vocab"),
        gated=bool(_parameter(bench, "gated")),
    )


def bench_pass(bench: Bench) -> Pass:
    """What goes through the model in one execution; only the last position of a prompt reaches the head."""
    if bench.operation is Operation.TRAIN_STEP:
        return Pass(float(_parameter(bench, "micro_batch")), float(_parameter(bench, "sequence")), bench.dtype)
    batch = float(_parameter(bench, "batch"))
    if bench.operation is Operation.PREFILL:
        return Pass(batch, float(_parameter(bench, "sequence")), bench.dtype, head_tokens=1.0)
    if bench.operation is Operation.DECODE:
        return Pass(batch, 1.0, bench.dtype, context=float(_parameter(bench, "context")))
    raise ValueError(f"{bench.operation.value} is no transformer bench")


def bench_training_work(bench: Bench) -> TrainingWork:
    """The operations of a training step bench: every weight trained, nothing computed again."""
    architecture = bench_architecture(bench)
    return training_work(architecture, bench_pass(bench), float(architecture.num_parameters))


def bench_training_bytes(bench: Bench) -> float:
    """The itemised memory of a training step bench."""
    through = bench_pass(bench)
    items = training_bytes(
        bench_architecture(bench), _parameter(bench, "sequence"), bench.dtype, Split(micro_batch=through.batch)
    )
    return float(sum(items.values()))


def bench_forward_work(bench: Bench) -> tuple[Work, ...]:
    """The operations of a prefill or decode bench."""
    return forward_work(bench_architecture(bench), bench_pass(bench))


def _parameter(bench: Bench, name: str) -> int:
    try:
        return bench.parameters[name]
    except KeyError:
        raise ValueError(f"the {bench.operation.value} bench {bench.key} has no parameter {name!r}") from None
