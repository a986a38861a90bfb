"""What a network for pictures does, operation by operation: convolutions as products, depthwise ones and normalisation
by their bytes, blocks of attention as a transformer's, the classifier."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from planner.hardware.gpu import Dtype
from planner.jobs.blocks import block_work, score_work
from planner.jobs.convnet import Conv, ConvNet, Stage
from planner.jobs.work import Pass, Work, WorkClass, WorkKind, plain_width, product, side_dtype

# Squeeze and excitation: channels averaged (one read), then scaled (read, written).
EXCITATION_PASSES = 3.0
# Plain fp32 convolutions of 3 × 3 use Winograd's form, with 2.25 times fewer products (Lavin and Gray 2016).
WINOGRAD = 2.25
# Batch normalisation and activation per output pixel: read twice, written, read and written.
NORM_PASSES = 5.0
NORM_LAUNCHES = 2.0
# A depthwise convolution reads neighbours again: times its input and output (assumed).
DEPTHWISE_PASSES = 1.5
# A picture that is shifted, cut into windows, put together and shifted back: each reads and writes it.
WINDOW_PASSES = 8.0


def picture_work(
    network: ConvNet,
    through: Pass,
    *,
    channels_last: bool = True,
    fused_attention: bool = True,
    is_trained: bool = False,
    keeps_narrow: bool = False,
) -> tuple[Work, ...]:
    """One forward pass of so many pictures; equal convolutions are one operation with a count. `keeps_narrow`: what a
    layer hands to the next has the format of the products, as compiled 8-bit networks do; else 16 bits."""
    merged = _counted(network.convs)
    kept = through.dtype if keeps_narrow else side_dtype(through.dtype)
    works = tuple(work for conv in merged for work in _conv_work(conv, through, channels_last, kept))
    blocks = tuple(work for stage in network.stages for work in _stage_work(stage, through, fused_attention))
    if through.dtype in (Dtype.FP32, Dtype.TF32):
        # Mixed training keeps convolutions and their normalisation in 16 bits, so plain ones move twice as much.
        works, blocks = works if is_trained else plain_width(works), plain_width(blocks)
    works += blocks
    if not network.features:
        return works
    side = side_dtype(through.dtype)
    return (*works, product("classifier", side, through.batch, network.classes, float(network.features), 1.0))


@lru_cache(maxsize=256)
def _counted(convs: tuple[Conv, ...]) -> tuple[Conv, ...]:
    """Equal convolutions once, with their count."""
    alike: dict[Conv, int] = {}
    for conv in convs:
        one = replace(conv, count=1)
        alike[one] = alike.get(one, 0) + conv.count
    return tuple(replace(conv, count=count) for conv, count in alike.items())


def _stage_work(stage: Stage, through: Pass, fused_attention: bool) -> tuple[Work, ...]:
    """Blocks over the windows of all pictures. The scores of a window get a bias per pair of positions and a mask,
    which keeps them from being fused (Liu et al. 2021, equation 4)."""
    inside = Pass(through.batch * stage.sequences, float(stage.tokens), through.dtype)
    works = block_work(stage.block, inside)
    if stage.sequences > 1:
        return *works, *score_work(stage.block, inside), _window_work(stage, inside)
    return works if fused_attention else (*works, *score_work(stage.block, inside))


def _window_work(stage: Stage, inside: Pass) -> Work:
    """Shifting a picture and cutting it into windows before the attention of a block, and both back behind it."""
    side = side_dtype(inside.dtype)
    moved = inside.rows * stage.block.hidden
    return Work(
        "windows",
        WorkKind.MEMORY,
        side,
        flops=0.0 * moved,
        num_bytes=WINDOW_PASSES * side.num_bytes * moved,
        count=float(stage.block.num_layers),
        launches=WINDOW_PASSES / 2.0,
        is_fusable=True,
        work_class=WorkClass.ELEMENTWISE,
    )


def _conv_work(conv: Conv, through: Pass, channels_last: bool, side: Dtype) -> tuple[Work, ...]:
    """A convolution as a product of pixels × (channels · taps), and the normalisation behind it; `side` is the format
    of pictures between layers."""
    pixels = through.batch * float(conv.pixels)
    count = float(conv.count)
    written = side.num_bytes * pixels * conv.outputs
    read = side.num_bytes * pixels * conv.inputs
    made = _depthwise(conv, through, side) if conv.is_depthwise else _dense(conv, through, side)
    if conv.is_linear and conv.pixels == 1:
        return (made,)
    turned: tuple[Work, ...] = ()
    if not channels_last and through.dtype is not Dtype.FP32 and made.kind is WorkKind.GEMM:
        turned = (
            Work(
                "turning of channels",
                WorkKind.MEMORY,
                side,
                flops=0.0 * pixels,
                num_bytes=2.0 * (read + written),
                count=count,
                launches=2.0,
                work_class=WorkClass.LAYOUT,
            ),
        )
    passes = NORM_PASSES - 2.0 if conv.is_linear else NORM_PASSES
    passes += EXCITATION_PASSES if conv.is_excited else 0.0
    norm = Work(
        "normalisation, activation",
        WorkKind.MEMORY,
        side,
        flops=passes * pixels * conv.outputs,
        num_bytes=passes * written,
        count=count,
        launches=NORM_LAUNCHES,
        work_class=WorkClass.NORMALISATION,
    )
    return (made, *turned, norm)


def _depthwise(conv: Conv, through: Pass, side: Dtype) -> Work:
    moved = side.num_bytes * through.batch * float(conv.pixels) * (conv.inputs + conv.outputs)
    return Work(
        "depthwise convolution",
        WorkKind.MEMORY,
        side,
        flops=conv.flops * through.batch,
        num_bytes=DEPTHWISE_PASSES * moved,
        count=float(conv.count),
        work_class=WorkClass.DEPTHWISE,
    )


def _dense(conv: Conv, through: Pass, side: Dtype) -> Work:
    pixels = through.batch * float(conv.pixels)
    inner = conv.taps * conv.inputs / conv.groups
    is_plain = conv.kernel == 3 and conv.taps == 9 and conv.groups == 1
    saved = WINOGRAD if is_plain and through.dtype is Dtype.FP32 else 1.0
    operand = through.dtype.num_bytes * inner * conv.outputs  # the weights, or the other activation of each picture
    return Work(
        "convolution",
        WorkKind.GEMM,
        through.dtype,
        flops=conv.flops * through.batch / saved,
        num_bytes=side.num_bytes * pixels * (conv.inputs + conv.outputs)
        + operand * (through.batch if conv.is_weightless else 1.0),
        count=float(conv.count),
        rows=pixels,
        columns=conv.outputs / conv.groups,
        inner=inner,
        work_class=WorkClass.CONVOLUTION,
    )
