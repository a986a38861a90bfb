"""Networks that label every pixel: FCN, DeepLab and PSPNet on a residual network that keeps its picture, and U-Nets of
two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.residual import resnet
from planner.jobs.pictures.sketch import Sketch

CLASSES = 21  # of Pascal VOC
KEPT = (1, 2, 1, 1)  # strides of the stages: the last two dilate their kernels instead (Chen et al. 2017)
KEPT_SIXTEENTH = (1, 2, 2, 1)  # the last stage alone dilates
FEWER = 48  # channels of the first stage that a decoder sees (Chen et al. 2018, section 4.1)
AUXILIARY = 256  # width of the second head that looks at the third stage in training
ATROUS = 256  # channels of each of DeepLab's parallel convolutions
BINS = (1, 2, 3, 6)  # sides of PSPNet's pooled pictures (Zhao et al. 2017)


def fcn(image_size: int, depth: int = 50, classes: int = CLASSES) -> ConvNet:
    """A convolution of a quarter of the channels, and the labels (Long et al. 2015, as torchvision builds it)."""
    return _labelled("FCN", depth, image_size, classes, lambda sketch: sketch.conv(sketch.channels // 4, 3))


def deeplab(image_size: int, depth: int = 50, classes: int = CLASSES) -> ConvNet:
    """DeepLabv3: a product, three dilated convolutions and the picture's mean side by side (Chen et al. 2017)."""

    return _labelled("DeepLabv3", depth, image_size, classes, lambda sketch: _at_several_rates(sketch).conv(ATROUS, 3))


def deeplab_plus(image_size: int, depth: int = 50, classes: int = CLASSES) -> ConvNet:
    """DeepLabv3+: the same head on a sixteenth of the picture, and a decoder that puts it beside the first stage's
    channels, made fewer, on a quarter of it (Chen et al. 2018, figure 2; plain convolutions)."""
    backbone = resnet(depth, image_size, strides=KEPT_SIXTEENTH)
    sketch = _at_several_rates(Sketch(math.ceil(image_size / 16), backbone.features, list(backbone.convs)))
    side, first = math.ceil(image_size / 4), backbone.features // 8
    decoder = Sketch(side, ATROUS + FEWER, [Conv(side, first, FEWER)]).conv(ATROUS, 3).conv(ATROUS, 3)
    decoder.conv(classes, linear=True)
    convs = (*sketch.convs, *decoder.convs)
    return ConvNet(f"DeepLabv3+ ResNet-{depth}", convs, image_size, features=0, classes=classes)


def _at_several_rates(sketch: Sketch) -> Sketch:
    """A product, three dilated convolutions and the picture's mean side by side, and a product over all of them."""
    paths = [sketch.branch().conv(ATROUS), *(sketch.branch().conv(ATROUS, 3) for _ in range(3))]
    mean = Sketch(1, sketch.channels).conv(ATROUS)
    return sketch.join(*paths, mean).conv(ATROUS)


def pspnet(image_size: int, depth: int = 50, classes: int = CLASSES) -> ConvNet:
    """PSPNet: means over 1, 2, 3 and 6 bins a side beside the picture itself (Zhao et al. 2017)."""

    def head(sketch: Sketch) -> Sketch:
        quarter = sketch.channels // 4
        for side in BINS:
            sketch.convs.append(Conv(side, sketch.channels, quarter))
        sketch.channels *= 2
        return sketch.conv(quarter, 3)

    return _labelled("PSPNet", depth, image_size, classes, head)


def _labelled(name: str, depth: int, image_size: int, classes: int, head: Callable[[Sketch], Sketch]) -> ConvNet:
    backbone = resnet(depth, image_size, strides=KEPT)
    sketch = head(Sketch(math.ceil(image_size / 8), backbone.features, list(backbone.convs)))
    sketch.conv(classes, linear=True)
    third = backbone.features // 2
    second = [Conv(sketch.size, third, AUXILIARY, 3), Conv(sketch.size, AUXILIARY, classes, is_linear=True)]
    return ConvNet(f"{name} ResNet-{depth}", (*sketch.convs, *second), image_size, features=0, classes=classes)


# Ronneberger et al. 2015, figure 1; Isensee et al. 2021 (nnU-Net's full-resolution network, which MLPerf trains on
# KiTS19): channels of the scales.
UNET_WIDTHS = (64, 128, 256, 512, 1024)
NNUNET_WIDTHS = (32, 64, 128, 256, 320, 320)


def unet(
    image_size: int,
    widths: tuple[int, ...] = UNET_WIDTHS,
    *,
    dimensions: int = 2,
    inputs: int = 1,
    classes: int = 2,
) -> ConvNet:
    """Two convolutions at each scale on the way down and up again, with the picture of the way down beside that from
    below, which a transposed convolution doubles."""
    sides = [math.ceil(image_size / 2**level) for level in range(len(widths))]
    convs: list[Conv] = []
    before = inputs
    for side, width in zip(sides, widths, strict=True):
        convs.append(Conv(side, before, width, 3, dimensions=dimensions))
        convs.append(Conv(side, width, width, 3, dimensions=dimensions))
        before = width
    for level in reversed(range(len(widths) - 1)):
        side, width = sides[level], widths[level]
        # Every output pixel of the doubling reads one pixel; its weights are those of 2 × 2 (× 2).
        convs.append(Conv(sides[level + 1], before, width * 2**dimensions, dimensions=dimensions, is_linear=True))
        convs.append(Conv(side, 2 * width, width, 3, dimensions=dimensions))
        convs.append(Conv(side, width, width, 3, dimensions=dimensions))
        before = width
    convs.append(Conv(sides[0], before, classes, dimensions=dimensions, is_linear=True))
    name = "U-Net" if dimensions == 2 else "3D U-Net"
    return ConvNet(name, tuple(convs), image_size, features=0, classes=classes)
