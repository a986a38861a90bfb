"""Detectors over a pyramid of scales: RetinaNet, Faster and Mask R-CNN, and SSD (Lin et al. 2017, He et al. 2017, Liu
et al. 2016; shapes as torchvision and the tuned examples of NVIDIA build them)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.residual import resnet
from planner.jobs.pictures.sketch import Sketch, over_rows, stretched

WIDTH = 256  # channels of a pyramid
RETINA_ANCHORS = 9
RPN_ANCHORS = 3
BOX = 4
# Regions per picture that the second stage of a network sees in training, and those of them that hold an object
# (He et al. 2017, section 3.1: 512 regions, one in four positive).
REGIONS, OBJECTS = 512, 128
POOLED, MASK = 7, 14  # sides of a region's picture for boxes and for masks
STEP = 32  # pictures are padded to multiples of it
# Small operations per picture with which training chooses regions, counted in the usual programs' order of work: of
# each scale the best boxes without overlaps, anchors and regions matched with objects and drawn (lots of which depend
# on how many were found, so that the host waits); then for every object its mask cut out, resized and put aside.
CHOOSING_STEPS, OBJECT_STEPS = 200, 3


def retinanet(
    width: int, height: int | None = None, *, depth: int = 50, groups: int = 1, group_width: int = 64, classes: int = 91
) -> ConvNet:
    """RetinaNet on a residual network: two heads of four convolutions at five scales."""
    backbone = resnet(depth, _padded(width), groups, group_width)
    return _one_stage("RetinaNet", backbone, height or width, RETINA_ANCHORS * (classes + BOX), classes)


def fcos(width: int, height: int | None = None, *, depth: int = 50, classes: int = 91) -> ConvNet:
    """FCOS on a residual network: the same heads without anchors, and how central a position is (Tian et al. 2019)."""
    return _one_stage("FCOS", resnet(depth, _padded(width)), height or width, classes + BOX + 1, classes)


def _one_stage(name: str, backbone: ConvNet, height: int, outputs: int, classes: int) -> ConvNet:
    """Five scales, the last two made from the third, and two heads of four convolutions that all share."""
    side, lines = backbone.image_size, _padded(height)
    sizes = [math.ceil(side / 2**level) for level in range(3, 8)]
    convs = [*backbone.convs, *_pyramid(sizes[:3], (512, 1024, 2048))]
    convs += [Conv(size, WIDTH, WIDTH, 3, is_linear=True) for size in sizes[3:]]
    positions = _positions(sizes, side, lines)
    heads = (
        Conv(1, WIDTH, WIDTH, 3, count=8, height=positions),
        Conv(1, WIDTH, outputs, 3, is_linear=True, height=positions),
    )
    return ConvNet(name, (*stretched(convs, side, lines), *heads), side, features=0, classes=classes)


def region_network(
    width: int, height: int | None = None, *, depth: int = 50, classes: int = 91, has_masks: bool = False
) -> ConvNet:
    """Faster R-CNN on a residual network with a pyramid, or with `has_masks` Mask R-CNN."""
    side = _padded(width)
    sizes = [math.ceil(side / 2**level) for level in range(2, 7)]
    convs = [*resnet(depth, side).convs, *_pyramid(sizes[:4], (256, 512, 1024, 2048))]
    lines = _padded(height or width)
    positions = _positions(sizes, side, lines)
    regions = [
        Conv(1, WIDTH, WIDTH, 3, is_linear=True, height=positions),
        Conv(1, WIDTH, RPN_ANCHORS * (1 + BOX), is_linear=True, height=positions),
        over_rows(REGIONS, POOLED * POOLED * WIDTH, 1024),
        over_rows(REGIONS, 1024, 1024),
        over_rows(REGIONS, 1024, classes * (1 + BOX)),
    ]
    if has_masks:
        inside, grown = OBJECTS * MASK, OBJECTS * 2 * MASK
        regions += [
            Conv(MASK, WIDTH, WIDTH, 3, count=4, is_linear=True, height=inside),
            Conv(
                2 * MASK, WIDTH, WIDTH, 1, is_linear=True, height=grown
            ),  # each output pixel reads one: 2 × 2, stride 2
            Conv(2 * MASK, WIDTH, classes, is_linear=True, height=grown),
        ]
    name = "Mask R-CNN" if has_masks else "Faster R-CNN"
    steps = CHOOSING_STEPS + (OBJECTS * OBJECT_STEPS if has_masks else 0)
    shapes = (*stretched(convs, side, lines), *regions)
    return ConvNet(name, shapes, side, features=0, classes=classes, host_steps=steps)


def ssd_resnet50(image_size: int = 300, classes: int = 81) -> ConvNet:
    """SSD on ResNet-50 up to its third stage, which keeps the size of the second; six scales, of which the last two
    lose their rim (NVIDIA's SSD300 v1.1)."""
    backbone = resnet(50, image_size, strides=(1, 2, 1, 1), num_stages=3)
    sketch = Sketch(math.ceil(image_size / 8), backbone.features, list(backbone.convs))
    scales = [sketch.branch()]
    for inner, outputs, is_padded in (
        *((256, 512, True), (256, 512, True), (128, 256, True)),
        *((128, 256, False), (128, 256, False)),
    ):
        sketch.conv(inner).conv(outputs, 3, 2 if is_padded else 1, unpadded=not is_padded)
        scales.append(sketch.branch())
    return _with_boxes("SSD300 ResNet-50", sketch, scales, classes, image_size)


def ssd_vgg16(image_size: int = 300, classes: int = 91) -> ConvNet:
    """SSD300 on VGG-16, whose dense layers are convolutions (Liu et al. 2016, figure 2; classes as torchvision)."""
    sketch = Sketch(image_size, 3)
    scales: list[Sketch] = []
    for outputs, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            sketch.conv(outputs, 3)
        if len(scales) == 0 and outputs == 512:
            scales.append(sketch.branch())
            sketch.pooled(2)
        elif not scales:
            sketch.pooled(2)
    sketch.conv(1024, 3).conv(1024)
    scales.append(sketch.branch())
    for inner, outputs, is_padded in ((256, 512, True), (128, 256, True), (128, 256, False), (128, 256, False)):
        sketch.conv(inner).conv(outputs, 3, 2 if is_padded else 1, unpadded=not is_padded)
        scales.append(sketch.branch())
    return _with_boxes("SSD300 VGG-16", sketch, scales, classes, image_size)


def _with_boxes(name: str, sketch: Sketch, scales: list[Sketch], classes: int, image_size: int) -> ConvNet:
    """The boxes of six scales: four or six per position (Liu et al. 2016, section 2.2)."""
    heads = [
        Conv(scale.size, scale.channels, anchors * (classes + BOX), 3, is_linear=True)
        for scale, anchors in zip(scales, (4, 6, 6, 6, 4, 4), strict=True)
    ]
    return ConvNet(name, (*sketch.convs, *heads), image_size, features=0, classes=classes)


def _pyramid(sizes: Iterable[int], widths: Iterable[int]) -> list[Conv]:
    """A product from each scale of the backbone, and a convolution over the sum with the coarser ones."""
    found: list[Conv] = []
    for size, inputs in zip(sizes, widths, strict=True):
        found += [Conv(size, inputs, WIDTH, is_linear=True), Conv(size, WIDTH, WIDTH, 3, is_linear=True)]
    return found


def _positions(sizes: Iterable[int], width: int, height: int) -> int:
    """Pixels of all scales together: a head that they share is one convolution over them."""
    return sum(size * math.ceil(size * height / width) for size in sizes)


def _padded(pixels: int) -> int:
    return math.ceil(pixels / STEP) * STEP
