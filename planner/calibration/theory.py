"""What a bench does in theory: the FLOPs and bytes of one execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.convolutions import picture_work
from planner.jobs.footprint import Split, training_bytes
from planner.jobs.job import Recompute
from planner.jobs.operations import (
    Pass,
    TrainingWork,
    Work,
    forward_work,
    model_forward_flops,
    model_training_flops,
    optimizer_work,
    total_bytes,
    training_work,
)


@dataclass(frozen=True, slots=True)
class Theory:
    """Useful FLOPs and bytes to and from memory of one execution of a bench."""

    flops: float
    num_bytes: float


def bench_theory(bench: Bench) -> Theory:
    """FLOPs and bytes of one execution; those that are not here stand with their own function below.

    matmul: 2·m·n·k and the three matrices once; copy: none, and the source read and written; transformer benches:
    the useful FLOPs (backward twice the forward) and the bytes of all operations. A missing parameter is a ValueError.
    """
    if bench.operation is Operation.MATMUL:
        m, n, k = (_parameter(bench, name) for name in ("m", "n", "k"))
        return Theory(2.0 * m * n * k, bench.dtype.num_bytes * (m * k + k * n + m * n))
    if bench.operation is Operation.COPY:
        return Theory(0.0, 2.0 * _parameter(bench, "num_bytes"))
    if bench.operation in _OF_ITS_OWN:
        return _OF_ITS_OWN[bench.operation](bench)
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
        causal=bench.operation not in _SEES_ALL,
        num_experts=bench.parameters.get("experts", 1),
        experts_per_token=bench.parameters.get("experts_per_token", 1),
    )


def bench_pass(bench: Bench) -> Pass:
    """What goes through the model in one execution; only the last position of a prompt reaches the head."""
    if bench.operation in _STEPS:
        return Pass(float(_parameter(bench, "micro_batch")), float(_parameter(bench, "sequence")), bench.dtype)
    if bench.operation in (Operation.VIT_STEP, Operation.VIT_FORWARD):
        return Pass(float(_parameter(bench, "batch")), float(num_patches(bench)), bench.dtype, head_tokens=1.0)
    batch = float(_parameter(bench, "batch"))
    if bench.operation in (Operation.CNN_STEP, Operation.CNN_FORWARD):
        return Pass(batch, 1.0, bench.dtype)
    if bench.operation is Operation.PREFILL:
        return Pass(batch, float(_parameter(bench, "sequence")), bench.dtype, head_tokens=1.0)
    if bench.operation in (Operation.DECODE, Operation.GRAPH_DECODE):
        return Pass(batch, 1.0, bench.dtype, context=float(_parameter(bench, "context")))
    raise ValueError(f"{bench.operation.value} is no transformer bench")


def bench_network(bench: Bench) -> Transformer | ConvNet:
    """The network whose whole pass a bench runs."""
    if bench.operation not in (Operation.CNN_STEP, Operation.CNN_FORWARD):
        return bench_architecture(bench)
    width, image, blocks, classes = (_parameter(bench, name) for name in ("width", "image", "blocks", "classes"))
    convs = tuple(
        Conv(conv.size, conv.inputs, conv.outputs, conv.kernel) for conv in convolutions(width, image, blocks)
    )
    return ConvNet(f"{bench.operation.value} bench", convs, image, convs[-1].outputs, classes)


def bench_works(bench: Bench) -> tuple[Work, ...]:
    """The operations of one execution of a bench that is a whole pass, as an estimate of the same job counts them.

    Raises ValueError for a bench that is only a part of one.
    """
    network, through = bench_network(bench), bench_pass(bench)
    if bench.operation in TRAINING_BENCHES:
        again = Recompute.FULL if bench.operation is Operation.RECOMPUTE_STEP else Recompute.NONE
        work = training_work(network, through, float(network.num_parameters), again)
        return (*work.forward, *work.recompute, *work.backward, *work.optimizer)
    if isinstance(network, ConvNet):
        return picture_work(network, through, channels_last=False)
    return forward_work(network, through)


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


# Element-wise work reads two inputs and writes one (silu(gate) · up); a norm reads and writes once.
ELEMENTWISE_FLOPS = 5.0
NORM_FLOPS = 4.0
# Attention's backward pass: the scores again and four products where the forward has two; it reads and writes each of
# q, k, v and the result twice as often.
ATTENTION_BACKWARD_FLOPS = 2.5
ATTENTION_BACKWARD_BYTES = 2.0
TRAINING_FLOPS = 3.0  # forward, and backward twice that
CHANNELS = 3


def num_patches(bench: Bench) -> int:
    """Positions of a vision transformer: the patches of one picture."""
    return (_parameter(bench, "image") // _parameter(bench, "patch")) ** 2


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution: `size` × `size` output pixels."""

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1


def convolutions(width: int, image: int, blocks: int) -> tuple[Convolution, ...]:
    """The small residual network of the CNN benches, in calling order: stem, then four stages of `blocks` basic blocks.

    The plan of ResNet-18 and 34 (He et al. 2016, table 1), its first stage `width` wide: a stage halves the picture and
    doubles the channels; where it does, a 1 × 1 convolution takes the input along.
    """
    size = -(-image // 2)
    convs = [Convolution(size, CHANNELS, width, 7, 2)]
    size, inputs = -(-size // 2), width
    for stage in range(4):
        outputs = width * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            size = -(-size // stride)
            convs += [Convolution(size, inputs, outputs, 3, stride), Convolution(size, outputs, outputs, 3)]
            if inputs != outputs:
                convs.append(Convolution(size, inputs, outputs, 1, stride))
            inputs = outputs
    return tuple(convs)


def _triad(bench: Bench) -> Theory:
    num_bytes = float(_parameter(bench, "num_bytes"))
    return Theory(2.0 * num_bytes / bench.dtype.num_bytes, 3.0 * num_bytes)


def _elementwise(bench: Bench) -> Theory:
    elements = float(_parameter(bench, "rows") * _parameter(bench, "columns"))
    return Theory(ELEMENTWISE_FLOPS * elements, 3.0 * bench.dtype.num_bytes * elements)


def _norm(bench: Bench) -> Theory:
    elements = float(_parameter(bench, "rows") * _parameter(bench, "columns"))
    return Theory(NORM_FLOPS * elements, 2.0 * bench.dtype.num_bytes * elements)


def _launch(bench: Bench) -> Theory:
    """One number is read and written by each kernel."""
    kernels = float(_parameter(bench, "kernels"))
    return Theory(kernels, 8.0 * kernels)


def _moved_once(bench: Bench) -> Theory:
    return Theory(0.0, float(_parameter(bench, "num_bytes")))


def _attention(bench: Bench) -> Theory:
    """4·D FLOPs per query, key and head; q and the result, k and v once."""
    batch, heads, kv_heads, width, queries, keys = (
        _parameter(bench, name) for name in ("batch", "heads", "kv_heads", "head_width", "queries", "keys")
    )
    causal = bool(_parameter(bench, "causal"))
    pairs = queries * (keys - queries) + queries * (queries + 1) / 2 if causal else queries * keys
    flops = 4.0 * batch * heads * width * pairs
    num_bytes = bench.dtype.num_bytes * batch * width * (2.0 * queries * heads + 2.0 * keys * kv_heads)
    if _parameter(bench, "backward"):
        return Theory(flops * (1 + ATTENTION_BACKWARD_FLOPS), num_bytes * (1 + ATTENTION_BACKWARD_BYTES))
    return Theory(flops, num_bytes)


def _step(bench: Bench) -> Theory:
    """A training step of another kind of transformer; what is computed again is no useful FLOP, but it moves bytes."""
    architecture, through = bench_architecture(bench), bench_pass(bench)
    again = Recompute.FULL if bench.operation is Operation.RECOMPUTE_STEP else Recompute.NONE
    work = training_work(architecture, through, float(architecture.num_parameters), again)
    every = (*work.forward, *work.backward, *work.recompute, *work.optimizer)
    flops = model_training_flops(architecture, through.batch, through.tokens)
    return Theory(float(flops), float(total_bytes(every)))


def _vit(bench: Bench) -> Theory:
    """Patches as rows of one product, the blocks, and one position per picture at the head."""
    architecture, through = bench_architecture(bench), bench_pass(bench)
    embedding = 2.0 * through.rows * architecture.hidden * CHANNELS * _parameter(bench, "patch") ** 2
    flops = model_forward_flops(architecture, through.batch, through.tokens, 0.0, 1.0) + embedding
    if bench.operation is Operation.VIT_FORWARD:
        return Theory(float(flops), float(total_bytes(forward_work(architecture, through))))
    work = training_work(architecture, through, float(architecture.num_parameters))
    every = (*work.forward, *work.backward, *work.optimizer)
    return Theory(float(TRAINING_FLOPS * flops), float(total_bytes(every)))


def _cnn(bench: Bench) -> Theory:
    """Every convolution's products, its input, weights and output once; in training thrice, and the optimizer."""
    batch, width, image, blocks = (_parameter(bench, name) for name in ("batch", "width", "image", "blocks"))
    convs = convolutions(width, image, blocks)
    weights = sum(conv.kernel**2 * conv.inputs * conv.outputs for conv in convs)
    flops = sum(2.0 * batch * conv.size**2 * conv.kernel**2 * conv.inputs * conv.outputs for conv in convs)
    pixels = sum(batch * conv.size**2 * (conv.inputs * conv.stride**2 + conv.outputs) for conv in convs)
    num_bytes = bench.dtype.num_bytes * (pixels + weights)
    if bench.operation is Operation.CNN_FORWARD:
        return Theory(flops, num_bytes)
    optimizer = optimizer_work(float(weights))
    return Theory(TRAINING_FLOPS * flops, TRAINING_FLOPS * num_bytes + float(optimizer.num_bytes))


def _serve(bench: Bench) -> Theory:
    """Every prompt read once and every token of every answer written, at the mean context; weights per request."""
    architecture = bench_architecture(bench)
    requests, prompt, answer = (float(_parameter(bench, name)) for name in ("requests", "prompt", "answer"))
    read = model_forward_flops(architecture, requests, prompt, 0.0, 1.0)
    written = answer * model_forward_flops(architecture, requests, 1.0, prompt + answer / 2.0, 1.0)
    prefill = forward_work(architecture, Pass(1.0, prompt, bench.dtype, head_tokens=1.0))
    decode = forward_work(
        architecture, Pass(float(_parameter(bench, "slots")), 1.0, bench.dtype, context=prompt + answer / 2.0)
    )
    steps = answer * requests / _parameter(bench, "slots")
    return Theory(float(read + written), float(requests * total_bytes(prefill) + steps * total_bytes(decode)))


def _feed(bench: Bench) -> Theory:
    """A byte read and a float written per value of every picture."""
    values = float(_parameter(bench, "batch") * CHANNELS * _parameter(bench, "image") ** 2)
    return Theory(2.0 * values, values + Dtype.FP32.num_bytes * values)


def _collective(bench: Bench) -> Theory:
    """What each rank must send at least; `num_bytes` is the whole buffer of one rank.

    All-reduce 2(n−1)/n of it; all-gather (num_bytes is the gathered whole) and all-to-all (n−1)/n; one to one goes
    there and back.
    """
    ranks, num_bytes = _parameter(bench, "ranks"), float(_parameter(bench, "num_bytes"))
    share = {Operation.ALL_REDUCE: 2.0 * (ranks - 1) / ranks, Operation.POINT_TO_POINT: 2.0}
    return Theory(0.0, num_bytes * share.get(bench.operation, (ranks - 1) / ranks))


def _sentinel(bench: Bench) -> Theory:
    m, n, k = (_parameter(bench, name) for name in ("m", "n", "k"))
    return Theory(2.0 * m * n * k, bench.dtype.num_bytes * (m * k + k * n + m * n))


_STEPS = frozenset({Operation.TRAIN_STEP, Operation.MOE_STEP, Operation.RECOMPUTE_STEP, Operation.ENCODER_STEP})
TRAINING_BENCHES = _STEPS | {Operation.VIT_STEP, Operation.CNN_STEP}
_SEES_ALL = frozenset({Operation.ENCODER_STEP, Operation.VIT_STEP, Operation.VIT_FORWARD})
_OF_ITS_OWN: Mapping[Operation, Callable[[Bench], Theory]] = MappingProxyType(
    {
        Operation.TRIAD: _triad,
        Operation.ELEMENTWISE: _elementwise,
        Operation.NORM: _norm,
        Operation.LAUNCH: _launch,
        Operation.HOST_COPY: _moved_once,
        Operation.ATTENTION: _attention,
        **dict.fromkeys((Operation.MOE_STEP, Operation.RECOMPUTE_STEP, Operation.ENCODER_STEP), _step),
        **dict.fromkeys((Operation.VIT_STEP, Operation.VIT_FORWARD), _vit),
        **dict.fromkeys((Operation.CNN_STEP, Operation.CNN_FORWARD), _cnn),
        Operation.SERVE: _serve,
        Operation.FEED: _feed,
        **dict.fromkeys(COLLECTIVES, _collective),
        Operation.SENTINEL: _sentinel,
    }
)
