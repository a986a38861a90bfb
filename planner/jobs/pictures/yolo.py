"""YOLOv3 and YOLOv5: down a picture, up again (and down once more), and what is predicted at each scale.

YOLOv3 from Redmon and Farhadi 2018, table 1 and section 2.3; YOLOv5's layers and multiples of depth and width from the
models' own definitions (ultralytics/yolov5 v7.0, models/*.yaml).
"""

from __future__ import annotations

import math
from itertools import pairwise

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.sketch import Sketch

# Multiples of depth and of width.
_SCALES = {"n": (1 / 3, 0.25), "s": (1 / 3, 0.5), "m": (2 / 3, 0.75), "l": (1.0, 1.0), "x": (4 / 3, 1.25)}
CLASSES = 80  # of COCO
ANCHORS = 3  # boxes per position and scale
BOX = 5  # coordinates and a score
MASKS, PROTOTYPES = 32, 256  # of segmentation
WIDEST = 1024
REPEATS = (3, 6, 9, 3)  # bottlenecks of the stages on the way down


def yolov5(size: str, image_size: int, *, has_p6: bool = False, has_masks: bool = False) -> ConvNet:
    """A detector of that size; `has_p6` adds a scale at a 64th of the picture, `has_masks` outlines of objects."""
    deep, wide = _SCALES[size]
    widths = [_width(base, wide) for base in ((128, 256, 512, 768, WIDEST) if has_p6 else (128, 256, 512, WIDEST))]
    sketch = Sketch(image_size, 3).conv(_width(64, wide), 6, 2)
    repeats = (*REPEATS, 3) if has_p6 else REPEATS
    scales: list[Sketch] = []
    for outputs, number in zip(widths, repeats, strict=True):
        _cross_stage(sketch.conv(outputs, 3, 2), outputs, _depth(number, deep))
        scales.append(sketch.branch())
    _pyramid_pooling(sketch)
    predicted = _neck(sketch, scales[1:-1], widths[1:], _depth(3, deep))
    outputs = ANCHORS * (CLASSES + BOX + (MASKS if has_masks else 0))
    heads = [Conv(side, channels, outputs, is_linear=True) for side, channels in predicted]
    if has_masks:
        largest, channels = predicted[0]
        middle = _width(PROTOTYPES, wide)
        heads += [Conv(largest, channels, middle, 3), Conv(2 * largest, middle, middle, 3)]
        heads.append(Conv(2 * largest, middle, MASKS))
    name = f"YOLOv5{size}{'6' if has_p6 else ''}{'-seg' if has_masks else ''}"
    return ConvNet(name, (*sketch.convs, *heads), image_size, features=0)


# Residual blocks behind each halving of Darknet-53.
_DARKNET = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))


def yolov3(image_size: int) -> ConvNet:
    """YOLOv3 on Darknet-53: five convolutions and two more at each of three scales."""
    sketch = Sketch(image_size, 3).conv(32, 3)
    scales: list[Sketch] = []
    for outputs, number in _DARKNET:
        sketch.conv(outputs, 3, 2)
        for _ in range(number):
            sketch.conv(outputs // 2).conv(outputs, 3)
        scales.append(sketch.branch())
    for place, width in enumerate((512, 256, 128)):
        if place:
            beside = scales[-1 - place]
            sketch.conv(width)
            sketch.size, sketch.channels = beside.size, width + beside.channels
        sketch.conv(width).conv(2 * width, 3).conv(width).conv(2 * width, 3).conv(width)
        head = sketch.branch().conv(2 * width, 3).conv(ANCHORS * (CLASSES + BOX), linear=True)
        sketch.convs += head.convs
    return ConvNet("YOLOv3", tuple(sketch.convs), image_size, features=0)


def yolov5_classifier(size: str, image_size: int) -> ConvNet:
    """The way down alone, and a classifier of 1,000 classes behind a product of 1,280 channels."""
    deep, wide = _SCALES[size]
    sketch = Sketch(image_size, 3).conv(_width(64, wide), 6, 2)
    for base, number in zip((128, 256, 512, WIDEST), REPEATS, strict=True):
        outputs = _width(base, wide)
        _cross_stage(sketch.conv(outputs, 3, 2), outputs, _depth(number, deep))
    sketch.conv(1280)
    return ConvNet(f"YOLOv5{size}-cls", tuple(sketch.convs), image_size, features=1280)


def _neck(sketch: Sketch, earlier: list[Sketch], widths: list[int], depth: int) -> list[tuple[int, int]]:
    """Up to the largest scale and down to the smallest again; (side, channels) of each, the largest first."""
    kept: list[Sketch] = []
    for scale in reversed(earlier):
        sketch.conv(scale.channels)
        kept.append(sketch.branch())
        sketch.size, sketch.channels = scale.size, sketch.channels + scale.channels
        _cross_stage(sketch, scale.channels, depth)
    found = [(sketch.size, sketch.channels)]
    for (_, outputs), before in zip(pairwise(widths), reversed(kept), strict=True):
        sketch.conv(sketch.channels, 3, 2)
        sketch.channels += before.channels
        _cross_stage(sketch, outputs, depth)
        found.append((sketch.size, sketch.channels))
    return found


def _cross_stage(sketch: Sketch, outputs: int, depth: int) -> None:
    """Half of the channels through bottlenecks of 1 × 1 and 3 × 3, half around them, joined by a product."""
    inner = outputs // 2
    through, around = sketch.branch().conv(inner), sketch.branch().conv(inner)
    for _ in range(depth):
        through.conv(inner).conv(inner, 3)
    sketch.join(through, around).conv(outputs)


def _pyramid_pooling(sketch: Sketch) -> None:
    """Maxima over three neighbourhoods beside the picture itself, between two products."""
    outputs = sketch.channels
    sketch.conv(outputs // 2)
    sketch.channels *= 4
    sketch.conv(outputs)


def _width(base: int, wide: float) -> int:
    return math.ceil(base * wide / 8) * 8


def _depth(number: int, deep: float) -> int:
    return max(1, math.floor(number * deep + 0.5))
