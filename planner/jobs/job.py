"""What a user wants done: train something, or serve it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer


class Recompute(StrEnum):
    """Which activations are computed again in the backward pass instead of kept."""

    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"


class TrainingMethod(StrEnum):
    FULL = "full"  # every weight is trained: pre-training and full fine-tuning
    LORA = "lora"  # low-rank adapters on a frozen base


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Train `architecture` on `num_tokens` tokens in batches of `global_batch` sequences.

    `micro_batch` is the number of sequences per GPU and pass; None lets the planner choose the largest that fits.
    """

    name: str
    architecture: Transformer
    num_tokens: float
    sequence_length: int
    global_batch: int
    dtype: Dtype = Dtype.BF16
    method: TrainingMethod = TrainingMethod.FULL
    micro_batch: int | None = None
    recompute: Recompute = Recompute.NONE
    lora_rank: int = 16  # of the adapters on every linear layer, where the method is LORA


@dataclass(frozen=True, slots=True)
class InferenceJob:
    """Answer `num_requests` requests of `prompt_tokens` in and `output_tokens` out, `concurrency` at a time.

    `num_requests` None means a service that is on all the time: time and cost are then per hour of service.
    `concurrency` None lets the planner take as many as memory holds (at most `MAX_AUTO_CONCURRENCY`).
    """

    name: str
    architecture: Transformer
    prompt_tokens: int
    output_tokens: int
    num_requests: float | None = None
    concurrency: int | None = None
    dtype: Dtype = Dtype.BF16  # weights and arithmetic
    kv_dtype: Dtype | None = None  # None: as dtype


MAX_AUTO_CONCURRENCY = 256

Job = TrainingJob | InferenceJob
