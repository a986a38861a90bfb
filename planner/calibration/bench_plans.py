"""The shapes and sizes that suites measure, by the device: networks, products, copies, prompts and pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from planner.inventory.device import Backend
from planner.units import GB

QUERIES_PER_KEY = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """The transformer that a suite trains and serves: as large as the device carries and as small as time allows."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int

    @property
    def grouped(self) -> Shape:
        """The same with eight query heads to each key-value head, which some kernels are far slower or faster at."""
        heads = self.heads // QUERIES_PER_KEY * QUERIES_PER_KEY
        return replace(self, heads=heads, kv_heads=heads // QUERIES_PER_KEY)

    @property
    def parameters(self) -> dict[str, int]:
        """The bench parameters that describe it (SwiGLU, untied head)."""
        return {
            "layers": self.layers,
            "hidden": self.hidden,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "ffn": self.ffn,
            "gated": 1,
            "vocab": self.vocab,
        }


TOY_SHAPE = Shape(layers=2, hidden=128, heads=4, kv_heads=2, ffn=384, vocab=1024)
CPU_SHAPE = Shape(layers=4, hidden=768, heads=12, kv_heads=4, ffn=2048, vocab=8192)  # 38 M weights: above most caches
SMALL_SHAPE = Shape(layers=8, hidden=1024, heads=16, kv_heads=8, ffn=2816, vocab=16384)  # 0.13 B, 2 GB to train
MEDIUM_SHAPE = Shape(layers=8, hidden=2048, heads=16, kv_heads=8, ffn=5632, vocab=32768)  # 0.5 B, 8 GB to train
LARGE_SHAPE = Shape(layers=8, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=32768)  # 2.0 B, 32 GB to train


@dataclass(frozen=True, slots=True)
class Pictures:
    """The networks for pictures and how many pictures go through at once."""

    vit: dict[str, int]
    cnn: dict[str, int]
    train_batch: int
    forward_batch: int


_VIT = {"kv_heads": 12, "heads": 12, "gated": 0, "vocab": 1000, "patch": 16, "image": 224}
CPU_PICTURES = Pictures(
    vit=_VIT | {"layers": 4, "hidden": 384, "ffn": 1536},
    cnn={"width": 16, "image": 128, "blocks": 2, "classes": 100},
    train_batch=4,
    forward_batch=8,
)
GPU_PICTURES = Pictures(
    vit=_VIT | {"layers": 12, "hidden": 768, "ffn": 3072},  # ViT-B/16
    cnn={"width": 64, "image": 224, "blocks": 2, "classes": 1000},  # ResNet-18
    train_batch=32,
    forward_batch=64,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a suite measures on one kind of device."""

    shape: Shape
    matmuls: tuple[tuple[int, int, int], ...]  # m, n, k: from one row against many weights to large squares
    copies: tuple[int, ...]  # bytes of the source: inside the cache and far above it
    train_steps: tuple[tuple[int, int], ...]  # sequence, micro-batch
    prefills: tuple[tuple[int, int], ...]  # sequence, batch
    decodes: tuple[tuple[int, int], ...]  # context, batch
    rows: int  # of element-wise work and norms
    lengths: tuple[int, ...]  # of attention
    pictures: Pictures
    slots: int  # of the served load, and the tokens of its prompts and answers
    prompt: int
    answer: int
    long_step: tuple[int, int] | None = None  # sequence, micro-batch of a step far beyond the caches, if others are not


CPU_PLAN = Plan(
    shape=CPU_SHAPE,
    matmuls=(
        (1, 2048, 2048),
        (8, 2048, 2048),
        (32, 2048, 768),
        (64, 768, 2048),
        (128, 1024, 1024),
        (512, 512, 512),
        (256, 2048, 768),
        (512, 768, 2048),
        (1024, 1024, 1024),
        (512, 8192, 768),
        (2048, 2048, 2048),
    ),
    copies=(256_000, 2_000_000, 64_000_000, 512_000_000),
    train_steps=((128, 1), (256, 2)),
    prefills=((64, 1), (256, 1), (512, 2)),
    decodes=((128, 1), (512, 1), (128, 8), (1024, 8)),
    rows=1024,
    lengths=(128, 256, 512, 1024),
    pictures=CPU_PICTURES,
    slots=4,
    prompt=32,
    answer=8,
    long_step=(1024, 1),
)


def _gpu_plan(backend: Backend, memory_bytes: int | None) -> Plan:
    """Sized by memory, which on boards of their own goes with speed; memory shared with the host says nothing of it."""
    memory = 0 if memory_bytes is None or backend is Backend.MPS else memory_bytes
    if memory >= 60 * GB:
        shape, train_steps = LARGE_SHAPE, ((2048, 1), (2048, 4))
    elif memory >= 20 * GB:
        shape, train_steps = MEDIUM_SHAPE, ((2048, 1), (2048, 4))
    else:
        shape, train_steps = SMALL_SHAPE, ((1024, 1), (1024, 4))
    hidden, ffn = shape.hidden, shape.ffn
    return Plan(
        shape=shape,
        matmuls=(
            (1, hidden, hidden),
            (16, hidden, hidden),
            (16, ffn, hidden),
            (64, hidden, ffn),
            (128, ffn, hidden),
            (256, hidden, hidden),
            (512, ffn, hidden),
            (1024, 1024, 1024),
            (1024, hidden, ffn),
            (2048, hidden, hidden),
            (2048, ffn, hidden),
            (4096, 4096, 4096),
            (8192, hidden, ffn),
        ),
        copies=(1_000_000, 8_000_000, 64_000_000, 256_000_000, 1_000_000_000),
        train_steps=train_steps,
        prefills=((256, 1), (1024, 1), (2048, 4)),
        decodes=((256, 1), (2048, 1), (256, 16), (2048, 16), (1024, 64)),
        rows=8192,
        lengths=(512, 2048, 8192),
        pictures=GPU_PICTURES,
        slots=8,
        prompt=512,
        answer=32,
    )


def plan_for(backend: Backend, memory_bytes: int | None) -> Plan:
    """What is measured on a device of that kind and memory (None: the smallest)."""
    return CPU_PLAN if backend is Backend.CPU else _gpu_plan(backend, memory_bytes)
