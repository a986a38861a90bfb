"""Networks that find objects, by their published names: the shape of their backbone, filled up to the FLOPs that their
authors state, for what is beyond the backbone is convolutions of 3 × 3 again."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.vision import vision_network


@dataclass(frozen=True, slots=True)
class Published:
    """GFLOPs (two per product and sum) of one picture of `pixels` a side, its backbone, and the width of its head."""

    gflops: float
    pixels: int
    backbone: str
    head: int
    source: str


MLPERF = "Reddi et al. 2020, table 1"
YOLOV5 = "ultralytics/yolov5 README, v7.0"
DETECTORS = {
    "ssdresnet34": Published(433.0, 1200, "resnet34", 256, MLPERF),
    "ssdmobilenet": Published(2.47, 300, "mobilenetv1", 128, MLPERF),
    **{
        f"yolov5{size}": Published(gflops, 640, "", width, YOLOV5)
        for size, gflops, width in (
            ("n", 4.5, 16),
            ("s", 16.5, 32),
            ("m", 49.0, 48),
            ("l", 109.1, 64),
            ("x", 205.7, 80),
            ("n6", 4.6, 16),
            ("s6", 16.8, 32),
            ("m6", 50.0, 48),
            ("l6", 111.4, 64),
            ("x6", 209.8, 80),
            ("nseg", 7.1, 16),
            ("sseg", 26.4, 32),
            ("mseg", 70.8, 48),
            ("lseg", 147.7, 64),
            ("xseg", 265.7, 80),
        )
    },
    **{
        f"yolov5{size}cls": Published(gflops, 224, "", width, YOLOV5)
        for size, gflops, width in (("n", 0.5, 16), ("s", 1.4, 32), ("m", 3.9, 48), ("l", 8.5, 64), ("x", 15.9, 80))
    },
}


def detector(name: str, image_size: int | None = None) -> ConvNet | None:
    """The network of that name for pictures of that size (None: as published); None where the name is not known."""
    found = DETECTORS.get(re.sub(r"[^a-z0-9]+", "", name.casefold()))
    if found is None:
        return None
    side = image_size or found.pixels
    flops = found.gflops * 1e9 * (side / found.pixels) ** 2
    if not found.backbone:
        return ConvNet(name, _cross_stage(found.head, side, flops), side, features=4 * found.head, classes=80)
    network = vision_network(found.backbone, side)
    convs = network.convs if isinstance(network, ConvNet) else _depthwise(side)
    known = sum(conv.count * conv.flops for conv in convs)
    return ConvNet(name, (*convs, *_filled(side, found.head, flops - known)), side, features=found.head, classes=81)


def _filled(side: int, width: int, flops: float) -> tuple[Conv, ...]:
    """3 × 3 convolutions at an eighth of the picture's side, as many as the FLOPs that are left."""
    head = Conv(max(1, side // 8), width, width, 3)
    return (Conv(head.size, width, width, 3, count=max(1, round(flops / head.flops))),) if flops > 0 else ()


def _cross_stage(width: int, side: int, flops: float) -> tuple[Conv, ...]:
    """YOLOv5's stages: at each halving a convolution of stride 2 and pairs of 1 × 1 and 3 × 3 at half the width, as
    many per stage as the FLOPs ask for."""
    sizes = [max(1, side // 2**level) for level in range(2, 6)]
    widths = [2 * width * 2**level for level in range(4)]
    stem = [Conv(side // 2, 3, width, 6)]
    stem += [Conv(size, outputs // 2, outputs, 3) for size, outputs in zip(sizes, widths, strict=True)]
    left = flops - sum(conv.count * conv.flops for conv in stem)
    pairs = [
        (Conv(size, outputs // 2, outputs // 2), Conv(size, outputs // 2, outputs // 2, 3))
        for size, outputs in zip(sizes, widths, strict=True)
    ]
    each = sum(conv.flops for pair in pairs for conv in pair)
    count = max(1, math.floor(left / each + 0.5))
    convs = [Conv(conv.size, conv.inputs, conv.outputs, conv.kernel, count=count) for pair in pairs for conv in pair]
    return (*stem, *convs)


def _depthwise(side: int) -> tuple[Conv, ...]:
    """MobileNet v1 (Howard et al. 2017, table 1)."""
    size = math.ceil(side / 2)
    convs = [Conv(size, 3, 32, 3)]
    inputs = 32
    for outputs, stride, count in ((64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 2, 1)):
        size = math.ceil(size / stride)
        convs += [Conv(size, inputs, inputs, 3, inputs, count), Conv(size, inputs, outputs)]
        inputs = outputs
    convs += [Conv(size, 512, 512, 3, 512, 5), Conv(size, 512, 512, count=5)]
    size = math.ceil(size / 2)
    return (*convs, Conv(size, 512, 512, 3, 512), Conv(size, 512, 1024), Conv(size, 1024, 1024))
