"""An operation on one GPU, what goes through a network at once, and the phases of a training step.

Amounts may be numbers or arrays over candidate layouts, which broadcast.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from planner.hardware.gpu import Dtype

Amount = float | NDArray[np.float64]

# Mixed precision keeps about half of the elementwise work in fp32, so plain fp32 moves 4 bytes where it moves 3, not 2.
PLAIN_WIDTH = 2.0 / 3.0


class WorkClass(StrEnum):
    """Kinds of operations that reach different shares of what bounds them."""

    PRODUCT = "product"
    EXPERT = "expert"
    DISPATCH = "dispatch"
    CONVOLUTION = "convolution"
    DEPTHWISE = "depthwise"
    LAYOUT = "layout"
    ATTENTION = "attention"
    SCORES = "scores"
    ELEMENTWISE = "elementwise"
    NORMALISATION = "normalisation"
    UNPACKING = "unpacking"
    UPDATE = "update"


class WorkKind(StrEnum):
    """What bounds an operation at best."""

    GEMM = "gemm"
    ATTENTION = "attention"
    MEMORY = "memory"  # elementwise, normalisation, softmax, embedding, optimizer: bytes decide


@dataclass(frozen=True, slots=True)
class Work:
    """One operation, executed `count` times; `flops`, `num_bytes` and `launches` are those of one execution.

    A GEMM multiplies rows × inner by inner × columns.
    """

    name: str
    kind: WorkKind
    dtype: Dtype
    flops: Amount
    num_bytes: Amount
    count: Amount = 1.0
    launches: Amount = 1.0
    rows: Amount = 0.0
    columns: Amount = 0.0
    inner: Amount = 0.0
    is_fusable: bool = False  # elementwise work that software may fold into its neighbours
    is_waited: bool = False  # the host waits for the device before it, so that none of its time to launch hides
    work_class: WorkClass = WorkClass.PRODUCT


@dataclass(frozen=True, slots=True)
class Pass:
    """What goes through the model at once: `batch` sequences of `tokens` new tokens after `context` earlier ones."""

    batch: Amount
    tokens: Amount
    dtype: Dtype
    context: Amount = 0.0
    tensor_parallel: Amount = 1.0
    kv_dtype: Dtype | None = None
    head_tokens: Amount | None = None  # rows per sequence that reach the output head; None: all (all that are written)
    pipeline_parallel: Amount = 1.0
    context_parallel: Amount = 1.0
    expert_parallel: Amount = 1.0
    norm_parallel: Amount = 1.0  # GPUs that divide norms and residuals: as tensor_parallel, or 1
    weight_bytes: float | None = None  # stored bytes of a block's weight where fewer than those of `dtype`
    target_tokens: Amount | None = None  # of an encoder-decoder: tokens that are written; None: as many as are read
    attention_dtype: Dtype | None = None  # of attention's projections, stored as it is; None: as the rest

    @property
    def projected(self) -> tuple[Dtype, float | None]:
        """The format of attention's projections, and the stored bytes of their weights where fewer."""
        return (self.dtype, self.weight_bytes) if self.attention_dtype is None else (self.attention_dtype, None)

    @property
    def rows(self) -> Amount:
        """Rows on one GPU of a context-parallel group."""
        return self.batch * self.tokens / self.context_parallel

    @property
    def head_rows(self) -> Amount:
        return self.rows if self.head_tokens is None else self.batch * self.head_tokens / self.context_parallel


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """The phases of one micro-batch on one GPU, and the optimizer of one step."""

    forward: tuple[Work, ...]
    backward: tuple[Work, ...]
    recompute: tuple[Work, ...]
    optimizer: tuple[Work, ...]


def side_dtype(dtype: Dtype) -> Dtype:
    """The format of what is not multiplied in `dtype`: bf16 beside the 8- and 4-bit formats, else the same."""
    return Dtype.BF16 if dtype in (Dtype.FP8, Dtype.INT8, Dtype.FP4) else dtype


def total_flops(works: Iterable[Work]) -> Amount:
    """FLOPs of all executions."""
    return sum((work.flops * work.count for work in works), start=0.0)


def total_bytes(works: Iterable[Work]) -> Amount:
    """Bytes moved to and from memory by all executions."""
    return sum((work.num_bytes * work.count for work in works), start=0.0)


def product(
    name: str,
    dtype: Dtype,
    rows: Amount,
    columns: Amount,
    inner: Amount,
    count: Amount,
    launches: Amount = 1.0,
    weight_bytes: float | None = None,
) -> Work:
    """A product of rows × inner by inner × columns; its weights take `weight_bytes` each where they are packed."""
    side = side_dtype(dtype).num_bytes
    stored = dtype.num_bytes if weight_bytes is None else weight_bytes
    return Work(
        name,
        WorkKind.GEMM,
        dtype,
        flops=2.0 * rows * columns * inner,
        num_bytes=stored * columns * inner + side * rows * (inner + columns),
        count=count,
        launches=launches,
        rows=rows,
        columns=columns,
        inner=inner,
    )


def plain_width(works: tuple[Work, ...]) -> tuple[Work, ...]:
    """The same where nothing is kept in fewer than 32 bits."""
    return tuple(
        replace(work, num_bytes=PLAIN_WIDTH * work.num_bytes) if work.kind is WorkKind.MEMORY else work
        for work in works
    )
