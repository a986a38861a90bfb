"""Swin: transformers over windows of a picture that is halved from stage to stage (Liu et al. 2021, section 3)."""

from __future__ import annotations

import math

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet, Stage

# Liu et al. 2021, section 3.3: width of the first stage, blocks per stage, heads of the first stage.
_SWIN = {
    "tiny": (96, (2, 2, 6, 2), 3),
    "small": (96, (2, 2, 18, 2), 3),
    "base": (128, (2, 2, 18, 2), 4),
    "large": (192, (2, 2, 18, 2), 6),
}
PATCH = 4


def swin(variant: str, image_size: int) -> ConvNet:
    """Swin-T, -S, -B and -L: windows of 7 × 7 patches, of 12 × 12 on pictures of 384 pixels."""
    hidden, depths, heads = _SWIN[variant]
    window = 12 if image_size % (PATCH * 8 * 12) == 0 and image_size >= 384 else 7
    size = math.ceil(image_size / PATCH)
    convs = [Conv(size, 3, hidden, PATCH, is_linear=True)]
    stages = []
    for place, depth in enumerate(depths):
        if place:
            size = math.ceil(size / 2)
            convs.append(Conv(size, 2 * hidden, hidden, is_linear=True))  # four neighbours, at half their width each
        side = math.ceil(size / window)
        stages.append(Stage(blocks(depth, hidden, heads * 2**place), side * side, window * window))
        hidden *= 2
    return ConvNet(f"Swin-{variant}", tuple(convs), image_size, hidden // 2, stages=tuple(stages))


def blocks(depth: int, hidden: int, heads: int, ffn: int = 0) -> Transformer:
    """`depth` blocks as a vision transformer has them, without ends."""
    return Transformer(
        name="blocks",
        num_layers=depth,
        hidden=hidden,
        num_heads=heads,
        num_kv_heads=heads,
        ffn=ffn or 4 * hidden,
        vocab=1,
        gated=False,
        tied_embeddings=True,
        causal=False,
    )
