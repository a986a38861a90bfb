"""What a user wants done: train something, or serve it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Batching, Engine


class Recompute(StrEnum):
    """Which activations are computed again in the backward pass instead of kept."""

    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"


class TrainingMethod(StrEnum):
    FULL = "full"  # every weight is trained: pre-training and full fine-tuning
    LORA = "lora"  # low-rank adapters on a frozen base
    QLORA = "qlora"  # the same on a base kept in 4 bits


class Sharding(StrEnum):
    """What data-parallel GPUs divide among them instead of copying it."""

    NONE = "none"
    ZERO1 = "zero1"  # optimizer states
    ZERO2 = "zero2"  # … and gradients
    ZERO3 = "zero3"  # … and weights (FSDP)


class LoraTargets(StrEnum):
    """The linear layers of a block that get adapters."""

    ALL = "all"
    ATTENTION = "attention"  # query, key and value alone


class Stack(StrEnum):
    """How a training program issues its kernels: what software can and cannot fuse."""

    EAGER = "eager"  # one kernel per operation, as plain PyTorch does
    FUSED = "fused"  # hand-fused kernels: vendors' tuned examples, DeepSpeed's kernels, Composer
    MEGATRON = "megatron"  # hand-fused kernels, sequence parallelism and interleaved pipelines: Megatron, NeMo
    COMPILED = "compiled"  # a compiler fuses: torch.compile, XLA, graph compilers


class Item(StrEnum):
    """What a request of an inference job is."""

    REQUEST = "request"  # answered token by token
    PICTURE = "picture"
    FRAME = "frame"  # of a camera, which shows the next one after a fixed time
    TEXT = "text"
    DRAWING = "drawing"


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Train `architecture` on `num_tokens` tokens in batches of `global_batch` sequences.

    `micro_batch` is the number of sequences per GPU and pass; None lets the planner choose the largest that fits, and
    likewise each way of splitting the work. `head_share` is the part of the positions that reach the output head:
    0.15 for masked language models, 0 where one position is classified. Pictures are sequences of patches for a
    transformer and of length 1 for a convolutional network. An encoder–decoder reads `sequence_length` tokens and
    writes `target_length` of them per sequence; `num_tokens` counts those that it reads.
    """

    name: str
    architecture: Transformer | ConvNet
    num_tokens: float
    sequence_length: int
    global_batch: int
    dtype: Dtype = Dtype.BF16
    method: TrainingMethod = TrainingMethod.FULL
    micro_batch: int | None = None
    recompute: Recompute = Recompute.NONE
    lora_rank: int = 16  # of the adapters, where the method is LORA or QLORA
    lora_targets: LoraTargets = LoraTargets.ALL
    data_parallel: int | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    context_parallel: int | None = None
    expert_parallel: int | None = None
    virtual_stages: int | None = None  # interleaved stages per pipeline GPU; None: 1, of Megatron what takes least
    sharding: Sharding | None = None
    stack: Stack = Stack.EAGER
    sequence_parallel: bool = True  # tensor-parallel GPUs also divide norms and residuals among them
    channels_last: bool = True  # pictures in the order that matrix cores want; False: turned around for each product
    fused_attention: bool = True  # False: the scores are written to memory, as before 2023
    head_share: float = 1.0
    updates_weights: bool = True  # False: forward and backward alone, as profiles are often taken
    target_length: int | None = None  # of an encoder–decoder; None: as sequence_length


@dataclass(frozen=True, slots=True)
class InferenceJob:
    """Answer `num_requests` requests of `prompt_tokens` in and `output_tokens` out, `concurrency` at a time.

    `num_requests` None means a service that is on all the time: time and cost are then per hour of service.
    `concurrency` None lets the planner take as many as memory holds (at most what the engine takes).
    `output_tokens` 0 is one pass per request: embeddings, encoders, pictures (`prompt_tokens` is then their positions,
    1 for a convolutional network), and `head_share` the part of the positions that reaches the output head. Such an
    item may take several `rows` of a pass and `passes` one after the other (a drawing's steps), and be answered within
    `answer_seconds`; with `frame_rate` items are the frames of so many cameras as `concurrency` says (None: as many as
    GPUs keep up with).
    """

    name: str
    architecture: Transformer | ConvNet
    prompt_tokens: int
    output_tokens: int
    num_requests: float | None = None
    concurrency: int | None = None
    dtype: Dtype = Dtype.BF16  # weights and arithmetic
    kv_dtype: Dtype | None = None  # None: as dtype
    engine: Engine = Engine.UNSTATED
    batching: Batching = Batching.CONTINUOUS
    weight_bits: float | None = None  # stored bits of a block's weight, scales counted; None: as dtype
    tensor_parallel: int | None = None  # None: what serves most
    pipeline_parallel: int | None = None  # None: 1
    head_share: float = 0.0  # of a pass without output tokens
    expert_parallel: int | None = None  # tensor-parallel groups that divide the experts; None: what serves most
    channels_last: bool = False  # pictures in the order that matrix cores want, in an eager program; engines choose it
    item: Item = Item.REQUEST
    passes: int = 1  # one after the other for each item
    rows: int = 1  # of a pass that an item takes: 2 for a drawing with and without its text
    answer_seconds: float | None = None  # the longest that an item may take in its passes; None: any time
    frame_rate: float | None = None  # frames per second of each camera

    @property
    def is_pass(self) -> bool:
        """Whether items are answered in single passes instead of token by token."""
        return self.output_tokens == 0


Job = TrainingJob | InferenceJob
