"""The benches of each suite for one device, in the order in which they run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from planner.calibration.bench_plans import TOY_SHAPE, Plan, plan_for
from planner.calibration.bench_time import bench_of
from planner.calibration.sample import Bench, Operation
from planner.calibration.whole_passes import (
    Base,
    forward_passes,
    more_training_passes,
    plain_passes,
    products_within,
    training_passes,
)
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

SCALES_LOSSES = frozenset({Backend.CUDA, Backend.XPU})  # where fp16 trains: its loss must be scaled (torch.amp)
HEAD_WIDTHS = (48, 64, 80, 128)  # what networks have; some kernels are slower at those between
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


def dtypes_for(backend: Backend, dtypes: Collection[Dtype] | None) -> tuple[Dtype, ...]:
    """The formats to measure on a device of that kind which has these (None: not known)."""
    wanted = _DTYPES[backend]
    if dtypes is None or backend is Backend.CPU:
        return wanted
    return tuple(dtype for dtype in wanted if dtype in dtypes or dtype is Dtype.FP32)


def smoke(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    """A few seconds of everything that a fit needs."""
    work = _work_dtype(dtypes)
    yield bench_of(backend, Operation.MATMUL, work, {"m": 128, "n": 256, "k": 256})
    yield bench_of(backend, Operation.MATMUL, Dtype.FP32, {"m": 256, "n": 256, "k": 256})
    yield bench_of(backend, Operation.COPY, Dtype.FP32, {"num_bytes": _copy_bytes(16_000_000, memory_bytes)})
    shape = TOY_SHAPE.parameters
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield bench_of(backend, Operation.TRAIN_STEP, training, shape | {"sequence": 64, "micro_batch": 2})
    yield bench_of(backend, Operation.PREFILL, work, shape | {"sequence": 64, "batch": 1})
    yield bench_of(backend, Operation.DECODE, work, shape | {"context": 64, "batch": 2})


def quick(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    """What estimates need: products, whole passes, and once what is between."""
    plan = plan_for(backend, memory_bytes)
    for num_bytes in plan.copies:
        yield bench_of(backend, Operation.COPY, Dtype.FP32, {"num_bytes": _copy_bytes(num_bytes, memory_bytes)})
    whole = _transformer_dtypes(backend, dtypes)
    # One format after the other, so that a run cut short still has the most wanted one whole.
    for dtype in (dtype for dtype in dtypes if dtype is not Dtype.INT8):
        for m, n, k in plan.matmuls:
            if dtype is Dtype.FP8 and m % 16:
                continue  # the fp8 kernels take rows by 16
            yield bench_of(backend, Operation.MATMUL, dtype, {"m": m, "n": n, "k": k})
        if dtype in whole:
            yield from _transformer_benches(backend, plan, dtype)

    yield from _quick_parts(backend, plan, _work_dtype(dtypes))


def _quick_parts(backend: Backend, plan: Plan, work: Dtype) -> Iterator[Bench]:
    """What is between the products and the whole passes, once each."""
    shape = plan.shape
    yield bench_of(backend, Operation.LAUNCH, Dtype.FP32, {"kernels": 100, "graph": 0})
    rows = {"rows": plan.rows, "columns": shape.hidden}
    yield bench_of(backend, Operation.NORM, work, rows)
    yield bench_of(backend, Operation.ELEMENTWISE, work, {"rows": plan.rows, "columns": shape.ffn})
    heads = {"heads": shape.heads, "kv_heads": shape.kv_heads, "head_width": shape.hidden // shape.heads}
    length = plan.train_steps[0][0]
    square = {"batch": 1, "queries": length, "keys": length, "causal": 1}
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield bench_of(backend, Operation.ATTENTION, training, heads | square | {"backward": 1})
    if plan.long_step is not None:
        length, micro_batch = plan.long_step
        inside = shape.parameters | {"sequence": length, "micro_batch": micro_batch}
        yield bench_of(backend, Operation.TRAIN_STEP, training, inside)
        one_long = {"batch": 1, "queries": length, "keys": length, "causal": 1, "backward": 1}
        yield bench_of(backend, Operation.ATTENTION, training, heads | one_long)
    context, batch = plan.decodes[-1]
    one = {"batch": batch, "queries": 1, "keys": context, "causal": 1, "backward": 0}
    yield bench_of(backend, Operation.ATTENTION, work, heads | one)


def standard(backend: Backend, memory_bytes: int | None, dtypes: tuple[Dtype, ...]) -> Iterator[Bench]:
    """All of quick, and every other kind of work there is a bench for."""
    yield from quick(backend, memory_bytes, dtypes)
    plan = plan_for(backend, memory_bytes)
    work = _work_dtype(dtypes)
    if backend is Backend.CUDA and Dtype.INT8 in dtypes:
        for m, n, k in plan.matmuls:
            if m > 16:  # the int8 kernels take more than 16 rows
                yield bench_of(backend, Operation.MATMUL, Dtype.INT8, {"m": m, "n": n, "k": k})
    for num_bytes in plan.copies:
        inside = {"num_bytes": _copy_bytes(num_bytes * 2 // 3 // 64 * 64, memory_bytes)}
        yield bench_of(backend, Operation.TRIAD, Dtype.FP32, inside)
    for rows in (plan.rows // 16, plan.rows * 4):
        yield bench_of(backend, Operation.NORM, work, {"rows": rows, "columns": plan.shape.hidden})
        yield bench_of(backend, Operation.ELEMENTWISE, work, {"rows": rows, "columns": plan.shape.ffn})
    yield from _attentions(backend, plan, work)
    training = Dtype.FP32 if work is Dtype.FP16 else work
    yield from _trainings(backend, plan, training)
    yield from _other_passes(backend, plan, work, training)
    if work is Dtype.BF16 and Dtype.FP16 in dtypes and backend in SCALES_LOSSES:
        sequence, micro_batch = plan.train_steps[0]
        inside = plan.shape.parameters | {"sequence": sequence, "micro_batch": micro_batch}
        yield bench_of(backend, Operation.TRAIN_STEP, Dtype.FP16, inside)
    yield from _inferences(backend, plan, work)
    for workers in (1, 2, 8) if backend is not Backend.CPU else (1, 2):
        yield bench_of(backend, Operation.FEED, Dtype.FP32, {"batch": 32, "image": 224, "workers": workers})
    if backend in (Backend.CUDA, Backend.XPU):
        yield from _links(backend)


def _other_passes(backend: Backend, plan: Plan, work: Dtype, training: Dtype) -> Iterator[Bench]:
    """Whole passes of other shapes; a second format where a device trains in two."""
    sequence, micro_batch = plan.train_steps[0]
    pictures = plan.pictures
    base = Base(plan.shape.parameters, pictures.vit, pictures.cnn, sequence, micro_batch, pictures.train_batch)
    for operation, parameters in products_within(base):
        yield bench_of(backend, operation, work, parameters)
    for operation, parameters in training_passes(base):
        yield bench_of(backend, operation, training, parameters)
    # Where there is time: the other kinds of devices are slower for their memory.
    for operation, parameters in more_training_passes(base) if backend in (Backend.CPU, Backend.CUDA) else ():
        yield bench_of(backend, operation, training, parameters)
    for operation, parameters in plain_passes(base) if backend is Backend.CPU else ():
        yield bench_of(backend, operation, Dtype.FP32, parameters)
    for operation, parameters in forward_passes(base):
        yield bench_of(backend, operation, work, parameters)


def _attentions(backend: Backend, plan: Plan, work: Dtype) -> Iterator[Bench]:
    """Several lengths and head widths, forward and in training, and one query on a long context."""
    training = Dtype.FP32 if work is Dtype.FP16 else work
    for width in HEAD_WIDTHS:
        heads = {"heads": plan.shape.hidden // width, "kv_heads": plan.shape.hidden // width, "head_width": width}
        for length in plan.lengths:
            square = {"batch": 1, "queries": length, "keys": length, "causal": 1}
            yield bench_of(backend, Operation.ATTENTION, work, heads | square | {"backward": 0})
            yield bench_of(backend, Operation.ATTENTION, training, heads | square | {"backward": 1})
            one = {"batch": 8, "queries": 1, "keys": length, "causal": 1, "backward": 0}
            yield bench_of(backend, Operation.ATTENTION, work, heads | one)
            if (
                width == plan.shape.hidden // plan.shape.heads
            ):  # … and with keys and values shared as the suite's own do
                yield bench_of(
                    backend, Operation.ATTENTION, work, heads | one | {"kv_heads": plan.shape.kv_heads, "batch": 4}
                )


def _trainings(backend: Backend, plan: Plan, training: Dtype) -> Iterator[Bench]:
    """A step of each other kind of network, on the shapes of the plan's training step."""
    shape = plan.shape.parameters
    sequence, micro_batch = plan.train_steps[0]
    step = {"sequence": sequence, "micro_batch": micro_batch}
    experts = {"experts": 4, "experts_per_token": 2, "ffn": plan.shape.ffn // 4}
    yield bench_of(backend, Operation.MOE_STEP, training, shape | step | experts)
    yield bench_of(backend, Operation.RECOMPUTE_STEP, training, shape | step)
    encoder = {"kv_heads": plan.shape.heads, "gated": 0}
    yield bench_of(backend, Operation.ENCODER_STEP, training, shape | step | encoder)
    yield bench_of(backend, Operation.VIT_STEP, training, plan.pictures.vit | {"batch": plan.pictures.train_batch})
    yield bench_of(backend, Operation.CNN_STEP, training, plan.pictures.cnn | {"batch": plan.pictures.train_batch})


def _inferences(backend: Backend, plan: Plan, work: Dtype) -> Iterator[Bench]:
    """Pictures one by one and many at a time, a served load, and decode from a captured graph where there are such."""
    for batch in (1, plan.pictures.forward_batch):
        yield bench_of(backend, Operation.VIT_FORWARD, work, plan.pictures.vit | {"batch": batch})
        yield bench_of(backend, Operation.CNN_FORWARD, work, plan.pictures.cnn | {"batch": batch})
    load = {"requests": 2 * plan.slots, "slots": plan.slots, "prompt": plan.prompt, "answer": plan.answer}
    yield bench_of(backend, Operation.SERVE, work, plan.shape.parameters | load)
    if backend is Backend.CUDA:
        for context, batch in plan.decodes:
            inside = plan.shape.parameters | {"context": context, "batch": batch}
            yield bench_of(backend, Operation.GRAPH_DECODE, work, inside)
        yield bench_of(backend, Operation.LAUNCH, Dtype.FP32, {"kernels": 100, "graph": 1})


def _links(backend: Backend) -> Iterator[Bench]:
    for num_bytes in (65_536, 4_194_304, 268_435_456):
        for pinned in (1, 0):
            for to_device in (1, 0):
                inside = {"num_bytes": num_bytes, "pinned": pinned, "to_device": to_device}
                yield bench_of(backend, Operation.HOST_COPY, Dtype.FP32, inside)


def sentinel(backend: Backend, dtypes: tuple[Dtype, ...], place: int) -> Bench:
    """The same product, at the start, in the middle and at the end of a run."""
    size = 512 if backend is Backend.CPU else 4096
    inside = {"m": size, "n": size, "k": size, "place": place}
    return bench_of(backend, Operation.SENTINEL, _work_dtype(dtypes), inside)


def _transformer_benches(backend: Backend, plan: Plan, dtype: Dtype) -> Iterator[Bench]:
    shape = plan.shape.parameters
    if dtype is not Dtype.FP16 or backend in SCALES_LOSSES:
        for sequence, micro_batch in plan.train_steps:
            inside = shape | {"sequence": sequence, "micro_batch": micro_batch}
            yield bench_of(backend, Operation.TRAIN_STEP, dtype, inside)
    for sequence, batch in plan.prefills:
        yield bench_of(backend, Operation.PREFILL, dtype, shape | {"sequence": sequence, "batch": batch})
    for context, batch in plan.decodes:
        yield bench_of(backend, Operation.DECODE, dtype, shape | {"context": context, "batch": batch})
    context, batch = plan.decodes[-1]
    grouped = plan.shape.grouped.parameters
    yield bench_of(backend, Operation.DECODE, dtype, grouped | {"context": context, "batch": batch})


def _work_dtype(dtypes: tuple[Dtype, ...]) -> Dtype:
    """The format that transformers mostly run in on this device."""
    return next((dtype for dtype in (Dtype.BF16, Dtype.FP16) if dtype in dtypes), Dtype.FP32)


def _transformer_dtypes(backend: Backend, dtypes: tuple[Dtype, ...]) -> tuple[Dtype, ...]:
    """The working format, and fp32 beside it where people do use it: on CPUs and where nothing shorter trains."""
    work = _work_dtype(dtypes)
    if backend is Backend.CPU or work is Dtype.FP16:
        return (work, Dtype.FP32)
    return (work,)


def _copy_bytes(num_bytes: int, memory_bytes: int | None) -> int:
    """The source size, cut where two such buffers would crowd the memory."""
    if memory_bytes is None:
        return num_bytes
    return min(num_bytes, memory_bytes // MIN_COPY_SOURCES // 4096 * 4096)
