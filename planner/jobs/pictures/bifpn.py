"""EfficientDet: detectors that mix the scales of an EfficientNet from above and from below (Tan et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.mobile import efficientnet, efficientnet_width
from planner.jobs.pictures.sketch import rounded

ANCHORS, BOX = 9, 4
CLASSES = 90  # of COCO
TAPPED = (40, 112, 320)  # channels of EfficientNet-B0 at an eighth, a sixteenth and a 32nd of the picture


@dataclass(frozen=True, slots=True)
class Scaled:
    """Channels and layers of the pyramid, layers of the heads, and the usual side of a picture (table 1)."""

    backbone: int
    width: int
    layers: int
    head: int
    pixels: int


SCALED = (
    Scaled(0, 64, 3, 3, 512),
    Scaled(1, 88, 4, 3, 640),
    Scaled(2, 112, 5, 3, 768),
    Scaled(3, 160, 6, 4, 896),
    Scaled(4, 224, 7, 4, 1024),
    Scaled(5, 288, 7, 4, 1280),
    Scaled(6, 384, 8, 5, 1280),
    Scaled(6, 384, 8, 5, 1536),
)


def efficientdet(variant: int, image_size: int | None = None, classes: int = CLASSES) -> ConvNet:
    """EfficientDet-D0 … D7."""
    shape = SCALED[variant]
    side, width = image_size or shape.pixels, shape.width
    sizes = [math.ceil(side / 2**level) for level in range(3, 8)]
    convs = [*efficientnet(shape.backbone, side).convs[:-1], *_resampled(shape, sizes)]
    mixed = [*reversed(sizes[:4]), *sizes[1:]]  # each layer from above down to the finest, then up to the coarsest
    for _ in range(shape.layers):
        for size in mixed:
            convs += _separable(size, size, width, width)
    positions = sum(size * size for size in sizes)
    for outputs in (ANCHORS * classes, ANCHORS * BOX):  # heads are the same for all scales
        convs += _separable(1, positions, width, width, shape.head)
        convs += _separable(1, positions, width, outputs, is_last=True)
    return ConvNet(f"EfficientDet-D{variant}", tuple(convs), side, features=0, classes=classes)


def _resampled(shape: Scaled, sizes: list[int]) -> list[Conv]:
    """The backbone's scales brought to the pyramid's channels: the middle ones for each of the two ways, the coarsest
    once more for what is pooled from it."""
    channels = [rounded(each * efficientnet_width(shape.backbone)) for each in TAPPED]
    times = (1, 2, 3)
    return [
        Conv(size, inputs, shape.width, count=count, is_linear=True)
        for size, inputs, count in zip(sizes, channels, times, strict=False)
    ]


def _separable(
    size: int, height: int, inputs: int, outputs: int, count: int = 1, *, is_last: bool = False
) -> list[Conv]:
    """Each channel on its own, then a product over channels."""
    return [
        Conv(size, inputs, inputs, 3, inputs, count, is_linear=True, height=height),
        Conv(size, inputs, outputs, count=count, is_linear=is_last, height=height),
    ]
