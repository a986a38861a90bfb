"""Suites: versioned lists of benches, chosen by what the device computes through, its memory and its number formats.

A suite's version is raised when its list changes; a bench's version when the way of measuring it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.calibration.theory import bench_theory
from planner.calibration.visits import NUM_VISITS
from planner.calibration.whole_passes import Base, forward_passes, plain_passes, products_within, training_passes
from planner.errors import NotFound
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.units import GB

BENCH_VERSION = 2  # 2: visited twice, far apart (planner.calibration.visits)
BENCH_VERSIONS: Mapping[Operation, int] = MappingProxyType({Operation.SERVE: 3})  # 3: batches continuously
STARTUP_SECONDS = 4.0  # child start, torch import, first contact with the device
COLLECTIVE_BYTES = (65_536, 1_048_576, 16_777_216, 268_435_456)
HOST_COLLECTIVE_BYTES = COLLECTIVE_BYTES[:-1]  # between processes of a host, where a large one would take all the time
COLLECTIVE_SECONDS = 15.0  # mostly the start of the other ranks
QUERIES_PER_KEY = 8
SCALES_LOSSES = frozenset({Backend.CUDA, Backend.XPU})  # where fp16 trains: its loss must be scaled (torch.amp)
MIN_COPY_SOURCES = 8  # a copy source is at most this part of the memory (two buffers are live at a time)

# Number formats that torch computes in on each backend, most wanted first. On the CPU torch computes bf16 whether or
# not the processor has instructions for it, so the catalogue does not narrow that list.
_DTYPES: Mapping[Backend, tuple[Dtype, ...]] = MappingProxyType(
    {
        Backend.CUDA: (Dtype.BF16, Dtype.FP16, Dtype.TF32, Dtype.FP32, Dtype.FP8, Dtype.INT8),
        Backend.CPU: (Dtype.BF16, Dtype.FP32),
        Backend.XPU: (Dtype.BF16, Dtype.FP16, Dtype.FP32),
        Backend.MPS: (Dtype.FP16, Dtype.FP32),
    }
)


class _Depth(StrEnum):
    """How much a suite measures."""

    SMOKE = "smoke"
    QUICK = "quick"
    STANDARD = "standard"
    LINKS = "links"  # between devices


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
class Suite:
    """A named list of benches with a hard stop; `operations` and `formats` narrow it where they hold any."""

    name: str
    version: int
    title: str
    time_limit_seconds: float
    depth: _Depth
    operations: frozenset[Operation] = frozenset()
    formats: frozenset[Dtype] = frozenset()

    @property
    def needs_several(self) -> bool:
        """Whether it is about several devices of a node at once, and measures nothing on a single one."""
        return self.depth is _Depth.LINKS

    def benches_for(
        self,
        backend: Backend,
        memory_bytes: int | None,
        dtypes: Collection[Dtype] | None = None,
        num_devices: int = 1,
    ) -> tuple[Bench, ...]:
        """The benches for one device, or for `num_devices` of a node at once where the suite is about several.

        `memory_bytes` None sizes them for the smallest device; `dtypes` (what the catalogue says the GPU has) None
        takes all that torch computes in there, and a format that turns out to be missing becomes a stored failure.
        """
        if self.needs_several:
            return tuple(bench for bench in collective_benches(backend, num_devices) if self._wants(bench))
        chosen = _dtypes_for(backend, dtypes)
        benches: dict[str, Bench] = {}
        for bench in _MAKERS[self.depth](backend, memory_bytes, chosen):
            if self._wants(bench):
                benches.setdefault(bench.key, bench)
        listed = list(benches.values())
        if self.depth is not _Depth.SMOKE and listed:
            for number, place in enumerate((0, len(listed) // 2 + 1, len(listed) + 2), start=1):
                listed.insert(place, _sentinel(backend, chosen, number))
        return tuple(listed)

    def _wants(self, bench: Bench) -> bool:
        is_chosen = not self.operations or bench.operation in self.operations
        return is_chosen and (not self.formats or bench.dtype in self.formats)

    def expected_seconds(
        self, backend: Backend, memory_bytes: int | None, dtypes: Collection[Dtype] | None = None
    ) -> float:
        """Seconds the whole suite takes on a typical device of this kind, start-up included."""
        return total_expected_seconds(self.benches_for(backend, memory_bytes, dtypes))


def total_expected_seconds(benches: Collection[Bench]) -> float:
    """Seconds for these benches with the start of the measuring process."""
    return STARTUP_SECONDS + sum(bench.expected_seconds for bench in benches)


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite("smoke", 2, "A few seconds: proves that measuring works here", 60.0, _Depth.SMOKE),
            Suite("quick", 3, "A minute or two: enough for estimates from this device", 300.0, _Depth.QUICK),
            Suite("standard", 3, "Under ten minutes: every kind of work at several sizes", 1200.0, _Depth.STANDARD),
            Suite("links", 1, "All equal devices of a node at once: what they tell each other", 1200.0, _Depth.LINKS),
        )
    }
)
FULL = frozenset({"quick", "standard"})  # those from which alone a fit can be drawn that estimates rest on
CUSTOM = "custom:"
CUSTOM_VERSION = 2


def get_suite(name: str) -> Suite:
    """The suite of that name, "custom:matmul+attention/bf16" among them. Raises NotFound naming those there are."""
    if name.startswith(CUSTOM):
        return _custom_of(name)
    try:
        return SUITES[name]
    except KeyError:
        raise NotFound(f"there is no suite {name!r}; there are: {', '.join(SUITES)}") from None


def is_suite(name: str) -> bool:
    """Whether this code knows a suite of that name."""
    try:
        get_suite(name)
    except NotFound:
        return False
    return True


def custom_suite(operations: Collection[Operation], formats: Collection[Dtype] = ()) -> Suite:
    """The part of the standard suite that measures these operations, in these formats or in all; its name says it.

    Of operations between devices it is a part of the suite that holds those. Raises ValueError without any operation (a
    suite of everything has a name already) and for a mixture of both kinds: they want other devices.
    """
    if not operations:
        raise ValueError("a custom suite needs an operation")
    is_between = COLLECTIVES.issuperset(operations)
    if not is_between and COLLECTIVES.intersection(operations):
        raise ValueError("what devices tell each other is measured apart from the work of one device")
    whole = SUITES["links" if is_between else "standard"]
    name = CUSTOM + "+".join(sorted(operation.value for operation in operations))
    if formats:
        name += "/" + "+".join(sorted(dtype.value for dtype in formats))
    return Suite(
        name,
        CUSTOM_VERSION,
        f"What you chose of the suite “{whole.name}”",
        whole.time_limit_seconds,
        whole.depth,
        frozenset(operations),
        frozenset(formats),
    )


def _custom_of(name: str) -> Suite:
    operations, _, formats = name.removeprefix(CUSTOM).partition("/")
    try:
        return custom_suite(
            [Operation(part) for part in operations.split("+")], [Dtype(part) for part in formats.split("+") if part]
        )
    except ValueError as error:
        raise NotFound(f"there is no suite {name!r}: {error}; operations: {', '.join(Operation)}") from None


def bench_of(backend: Backend, operation: Operation, dtype: Dtype, parameters: Mapping[str, int]) -> Bench:
    """A bench of one's own shape, with the time it takes on a typical device of the kind. Raises ValueError."""
    return _bench(backend, operation, dtype, dict(parameters))


def collective_benches(backend: Backend, num_devices: int) -> tuple[Bench, ...]:
    """What several devices of one node tell each other, by size: nothing for a single one.

    Sums, which tensor and data parallelism consist of, also among the first 2, 4, … of them: a group that does not
    reach all may have other links.
    """
    if num_devices < 2:
        return ()
    is_host = backend is Backend.CPU
    dtype = Dtype.FP32 if is_host else Dtype.BF16
    benches = []
    for operation in sorted(COLLECTIVES):
        groups = [num_devices]
        if operation is Operation.POINT_TO_POINT:
            groups = [2]
        elif operation is Operation.ALL_REDUCE:
            groups = [2**power for power in range(1, num_devices.bit_length()) if 2**power < num_devices] + groups
        for ranks in groups:
            for num_bytes in HOST_COLLECTIVE_BYTES if is_host else COLLECTIVE_BYTES:
                bench = _bench(backend, operation, dtype, {"ranks": ranks, "num_bytes": num_bytes})
                benches.append(replace(bench, expected_seconds=COLLECTIVE_SECONDS))
    return tuple(benches)


def _dtypes_for(backend: Backend, dtypes: Collection[Dtype] | None) -> tuple[Dtype, ...]:
    wanted = _DTYPES[backend]
    if dtypes is None or backend is Backend.CPU:
        return wanted
    return tuple(dtype for dtype in wanted if dtype in dtypes or dtype is Dtype.FP32)


def _smoke(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    work = _work_dtype(dtypes)
    yield _bench(backend, Operation.MATMUL, work, {"m": 128, "n": 256, "k": 256})
    yield _bench(backend, Operation.MATMUL, Dtype.FP32, {"m": 256, "n": 256, "k": 256})
    yield _bench(backend, Operation.COPY, Dtype.FP32, {"num_bytes": _copy_bytes(16_000_000, memory_bytes)})
    shape = TOY_SHAPE.parameters
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield _bench(backend, Operation.TRAIN_STEP, training, shape | {"sequence": 64, "micro_batch": 2})
    yield _bench(backend, Operation.PREFILL, work, shape | {"sequence": 64, "batch": 1})
    yield _bench(backend, Operation.DECODE, work, shape | {"context": 64, "batch": 2})


def _quick(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    plan = _CPU_PLAN if backend is Backend.CPU else _gpu_plan(backend, memory_bytes)
    for num_bytes in plan.copies:
        yield _bench(backend, Operation.COPY, Dtype.FP32, {"num_bytes": _copy_bytes(num_bytes, memory_bytes)})
    whole = _transformer_dtypes(backend, dtypes)
    # One format after the other, so that a run cut short still has the most wanted one whole.
    for dtype in (dtype for dtype in dtypes if dtype is not Dtype.INT8):
        for m, n, k in plan.matmuls:
            if dtype is Dtype.FP8 and m % 16:
                continue  # the fp8 kernels take rows by 16
            yield _bench(backend, Operation.MATMUL, dtype, {"m": m, "n": n, "k": k})
        if dtype in whole:
            yield from _transformer_benches(backend, plan, dtype)

    yield from _quick_parts(backend, plan, _work_dtype(dtypes))


def _quick_parts(backend: Backend, plan: _Plan, work: Dtype) -> Iterator[Bench]:
    """What is between the products and the whole passes, once each."""
    shape = plan.shape
    yield _bench(backend, Operation.LAUNCH, Dtype.FP32, {"kernels": 100, "graph": 0})
    rows = {"rows": plan.rows, "columns": shape.hidden}
    yield _bench(backend, Operation.NORM, work, rows)
    yield _bench(backend, Operation.ELEMENTWISE, work, {"rows": plan.rows, "columns": shape.ffn})
    heads = {"heads": shape.heads, "kv_heads": shape.kv_heads, "head_width": shape.hidden // shape.heads}
    length = plan.train_steps[0][0]
    square = {"batch": 1, "queries": length, "keys": length, "causal": 1}
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield _bench(backend, Operation.ATTENTION, training, heads | square | {"backward": 1})
    context, batch = plan.decodes[-1]
    one = {"batch": batch, "queries": 1, "keys": context, "causal": 1, "backward": 0}
    yield _bench(backend, Operation.ATTENTION, work, heads | one)


def _standard(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    """All of quick, and every other kind of work there is a bench for."""
    yield from _quick(backend, memory_bytes, dtypes)
    plan = _CPU_PLAN if backend is Backend.CPU else _gpu_plan(backend, memory_bytes)
    work = _work_dtype(dtypes)
    if backend is Backend.CUDA and Dtype.INT8 in dtypes:
        for m, n, k in plan.matmuls:
            if m > 16:  # the int8 kernels take more than 16 rows
                yield _bench(backend, Operation.MATMUL, Dtype.INT8, {"m": m, "n": n, "k": k})
    for num_bytes in plan.copies:
        inside = {"num_bytes": _copy_bytes(num_bytes * 2 // 3 // 64 * 64, memory_bytes)}
        yield _bench(backend, Operation.TRIAD, Dtype.FP32, inside)
    for rows in (plan.rows // 16, plan.rows * 4):
        yield _bench(backend, Operation.NORM, work, {"rows": rows, "columns": plan.shape.hidden})
        yield _bench(backend, Operation.ELEMENTWISE, work, {"rows": rows, "columns": plan.shape.ffn})
    yield from _attentions(backend, plan, work)
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield from _trainings(backend, plan, training)
    yield from _other_passes(backend, plan, work, training)
    if work is Dtype.BF16 and Dtype.FP16 in dtypes and backend in SCALES_LOSSES:
        sequence, micro_batch = plan.train_steps[0]
        inside = plan.shape.parameters | {"sequence": sequence, "micro_batch": micro_batch}
        yield _bench(backend, Operation.TRAIN_STEP, Dtype.FP16, inside)
    yield from _inferences(backend, plan, work)
    for workers in (1, 2, 8) if backend is not Backend.CPU else (1, 2):
        yield _bench(backend, Operation.FEED, Dtype.FP32, {"batch": 32, "image": 224, "workers": workers})
    if backend in (Backend.CUDA, Backend.XPU):
        yield from _links(backend)


def _other_passes(backend: Backend, plan: _Plan, work: Dtype, training: Dtype) -> Iterator[Bench]:
    """Whole passes of other shapes; a second format where a device trains in two."""
    sequence, micro_batch = plan.train_steps[0]
    pictures = plan.pictures
    base = Base(plan.shape.parameters, pictures.vit, pictures.cnn, sequence, micro_batch, pictures.train_batch)
    for operation, parameters in products_within(base):
        yield _bench(backend, operation, work, parameters)
    for operation, parameters in training_passes(base):
        yield _bench(backend, operation, training, parameters)
    for operation, parameters in plain_passes(base) if backend is Backend.CPU else ():
        yield _bench(backend, operation, Dtype.FP32, parameters)
    for operation, parameters in forward_passes(base):
        yield _bench(backend, operation, work, parameters)


def _attentions(backend: Backend, plan: _Plan, work: Dtype) -> Iterator[Bench]:
    """Several lengths and head widths, forward and in training, and one query on a long context."""
    training = Dtype.FP32 if work is Dtype.FP16 else work
    for width in (64, 128):
        heads = {"heads": plan.shape.hidden // width, "kv_heads": plan.shape.hidden // width, "head_width": width}
        for length in plan.lengths:
            square = {"batch": 1, "queries": length, "keys": length, "causal": 1}
            yield _bench(backend, Operation.ATTENTION, work, heads | square | {"backward": 0})
            yield _bench(backend, Operation.ATTENTION, training, heads | square | {"backward": 1})
            one = {"batch": 8, "queries": 1, "keys": length, "causal": 1, "backward": 0}
            yield _bench(backend, Operation.ATTENTION, work, heads | one)
            if (
                width == plan.shape.hidden // plan.shape.heads
            ):  # … and with keys and values shared as the suite's own do
                yield _bench(
                    backend, Operation.ATTENTION, work, heads | one | {"kv_heads": plan.shape.kv_heads, "batch": 4}
                )


def _trainings(backend: Backend, plan: _Plan, training: Dtype) -> Iterator[Bench]:
    """A step of each other kind of network, on the shapes of the plan's training step."""
    shape = plan.shape.parameters
    sequence, micro_batch = plan.train_steps[0]
    step = {"sequence": sequence, "micro_batch": micro_batch}
    experts = {"experts": 4, "experts_per_token": 2, "ffn": plan.shape.ffn // 4}
    yield _bench(backend, Operation.MOE_STEP, training, shape | step | experts)
    yield _bench(backend, Operation.RECOMPUTE_STEP, training, shape | step)
    encoder = {"kv_heads": plan.shape.heads, "gated": 0}
    yield _bench(backend, Operation.ENCODER_STEP, training, shape | step | encoder)
    yield _bench(backend, Operation.VIT_STEP, training, plan.pictures.vit | {"batch": plan.pictures.train_batch})
    yield _bench(backend, Operation.CNN_STEP, training, plan.pictures.cnn | {"batch": plan.pictures.train_batch})


def _inferences(backend: Backend, plan: _Plan, work: Dtype) -> Iterator[Bench]:
    """Pictures one by one and many at a time, a served load, and decode from a captured graph where there are such."""
    for batch in (1, plan.pictures.forward_batch):
        yield _bench(backend, Operation.VIT_FORWARD, work, plan.pictures.vit | {"batch": batch})
        yield _bench(backend, Operation.CNN_FORWARD, work, plan.pictures.cnn | {"batch": batch})
    load = {"requests": 2 * plan.slots, "slots": plan.slots, "prompt": plan.prompt, "answer": plan.answer}
    yield _bench(backend, Operation.SERVE, work, plan.shape.parameters | load)
    if backend is Backend.CUDA:
        for context, batch in plan.decodes:
            inside = plan.shape.parameters | {"context": context, "batch": batch}
            yield _bench(backend, Operation.GRAPH_DECODE, work, inside)
        yield _bench(backend, Operation.LAUNCH, Dtype.FP32, {"kernels": 100, "graph": 1})


def _links(backend: Backend) -> Iterator[Bench]:
    for num_bytes in (65_536, 4_194_304, 268_435_456):
        for pinned in (1, 0):
            for to_device in (1, 0):
                inside = {"num_bytes": num_bytes, "pinned": pinned, "to_device": to_device}
                yield _bench(backend, Operation.HOST_COPY, Dtype.FP32, inside)


def _sentinel(backend: Backend, dtypes: tuple[Dtype, ...], place: int) -> Bench:
    size = 512 if backend is Backend.CPU else 4096
    inside = {"m": size, "n": size, "k": size, "place": place}
    return _bench(backend, Operation.SENTINEL, _work_dtype(dtypes), inside)


def _transformer_benches(backend: Backend, plan: _Plan, dtype: Dtype) -> Iterator[Bench]:
    shape = plan.shape.parameters
    if dtype is not Dtype.FP16 or backend in SCALES_LOSSES:
        for sequence, micro_batch in plan.train_steps:
            inside = shape | {"sequence": sequence, "micro_batch": micro_batch}
            yield _bench(backend, Operation.TRAIN_STEP, dtype, inside)
    for sequence, batch in plan.prefills:
        yield _bench(backend, Operation.PREFILL, dtype, shape | {"sequence": sequence, "batch": batch})
    for context, batch in plan.decodes:
        yield _bench(backend, Operation.DECODE, dtype, shape | {"context": context, "batch": batch})
    context, batch = plan.decodes[-1]
    grouped = plan.shape.grouped.parameters
    yield _bench(backend, Operation.DECODE, dtype, grouped | {"context": context, "batch": batch})


def _work_dtype(dtypes: tuple[Dtype, ...]) -> Dtype:
    """The format that transformers mostly run in on this device."""
    return next((dtype for dtype in (Dtype.BF16, Dtype.FP16) if dtype in dtypes), Dtype.FP32)


def _transformer_dtypes(backend: Backend, dtypes: tuple[Dtype, ...]) -> tuple[Dtype, ...]:
    """The working format, and fp32 beside it where people do use it: on CPUs and where nothing shorter trains."""
    work = _work_dtype(dtypes)
    if backend is Backend.CPU or work is Dtype.FP16:
        return (work, Dtype.FP32)
    return (work,)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The networks for pictures and how many pictures go through at once."""

    vit: dict[str, int]
    cnn: dict[str, int]
    train_batch: int
    forward_batch: int


_VIT = {"kv_heads": 12, "heads": 12, "gated": 0, "vocab": 1000, "patch": 16, "image": 224}
_CPU_PICTURES = _Pictures(
    vit=_VIT | {"layers": 4, "hidden": 384, "ffn": 1536},
    cnn={"width": 16, "image": 128, "blocks": 2, "classes": 100},
    train_batch=4,
    forward_batch=8,
)
_GPU_PICTURES = _Pictures(
    vit=_VIT | {"layers": 12, "hidden": 768, "ffn": 3072},  # ViT-B/16
    cnn={"width": 64, "image": 224, "blocks": 2, "classes": 1000},  # ResNet-18
    train_batch=32,
    forward_batch=64,
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a suite measures on one kind of device."""

    shape: Shape
    matmuls: tuple[tuple[int, int, int], ...]  # m, n, k: from one row against many weights to large squares
    copies: tuple[int, ...]  # bytes of the source: inside the cache and far above it
    train_steps: tuple[tuple[int, int], ...]  # sequence, micro-batch
    prefills: tuple[tuple[int, int], ...]  # sequence, batch
    decodes: tuple[tuple[int, int], ...]  # context, batch
    rows: int  # of element-wise work and norms
    lengths: tuple[int, ...]  # of attention
    pictures: _Pictures
    slots: int  # of the served load, and the tokens of its prompts and answers
    prompt: int
    answer: int


_CPU_PLAN = _Plan(
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
    lengths=(256, 1024),
    pictures=_CPU_PICTURES,
    slots=4,
    prompt=32,
    answer=8,
)


def _gpu_plan(backend: Backend, memory_bytes: int | None) -> _Plan:
    """Sized by memory, which on boards of their own goes with speed; memory shared with the host says nothing of it."""
    memory = 0 if memory_bytes is None or backend is Backend.MPS else memory_bytes
    if memory >= 60 * GB:
        shape, train_steps = LARGE_SHAPE, ((2048, 1), (2048, 4))
    elif memory >= 20 * GB:
        shape, train_steps = MEDIUM_SHAPE, ((2048, 1), (2048, 4))
    else:
        shape, train_steps = SMALL_SHAPE, ((1024, 1), (1024, 4))
    hidden, ffn = shape.hidden, shape.ffn
    return _Plan(
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
        pictures=_GPU_PICTURES,
        slots=8,
        prompt=512,
        answer=32,
    )


def _copy_bytes(num_bytes: int, memory_bytes: int | None) -> int:
    """The source size, cut where two such buffers would crowd the memory."""
    if memory_bytes is None:
        return num_bytes
    return min(num_bytes, memory_bytes // MIN_COPY_SOURCES // 4096 * 4096)


_MAKERS = {_Depth.SMOKE: _smoke, _Depth.QUICK: _quick, _Depth.STANDARD: _standard}

# What a typical device of each backend reaches (FLOP/s in 16-bit, bytes/s), for the plan shown before the start only:
# two cores of a server CPU, and a data-centre card of the middle. Assumed; no estimate ever uses them.
_TYPICAL_FLOPS: Mapping[Backend, float] = MappingProxyType(
    {Backend.CPU: 1.5e11, Backend.CUDA: 1.0e14, Backend.XPU: 5e13, Backend.MPS: 5e12}
)
_TYPICAL_BANDWIDTH: Mapping[Backend, float] = MappingProxyType(
    {Backend.CPU: 1.2e10, Backend.CUDA: 1.0e12, Backend.XPU: 5e11, Backend.MPS: 1e11}
)
_FP32_SLOWER: Mapping[Backend, float] = MappingProxyType({Backend.CUDA: 8.0, Backend.XPU: 8.0, Backend.MPS: 2.0})
_SETTLE_SECONDS = 0.15  # per visit: warm-up and repeats of a bench whose single execution is short
_SETUP_SECONDS = 0.25  # per visit: making the data and checking a small case
_NUM_EXECUTIONS = 8  # per visit: executions of a bench whose single execution is long: warm-up and repeats

# How many times longer than a plain training step's, by its own theory, such work took on two CPU cores (2026-11-21):
# small pieces, work done twice, and waiting after each token.
_SLOWER: Mapping[Operation, float] = MappingProxyType(
    {
        Operation.MOE_STEP: 2.5,
        Operation.RECOMPUTE_STEP: 1.8,
        Operation.ENCODER_STEP: 1.8,
        Operation.VIT_STEP: 2.1,
        Operation.VIT_FORWARD: 1.5,
        Operation.SERVE: 3.8,
    }
)


def _bench(backend: Backend, operation: Operation, dtype: Dtype, parameters: dict[str, int]) -> Bench:
    version = BENCH_VERSIONS.get(operation, BENCH_VERSION)
    bench = Bench(operation, version, dtype, parameters, 0.0)
    theory = bench_theory(bench)
    longer = _SLOWER.get(operation, 1.0)
    slower = longer * (_FP32_SLOWER.get(backend, 1.0) if dtype is Dtype.FP32 else 1.0)
    arithmetic = slower * theory.flops / _TYPICAL_FLOPS[backend]
    once = max(arithmetic, longer * theory.num_bytes / _TYPICAL_BANDWIDTH[backend])
    seconds = NUM_VISITS * (_SETUP_SECONDS + max(_SETTLE_SECONDS, _NUM_EXECUTIONS * once))
    return Bench(operation, version, dtype, parameters, round(seconds, 3))
