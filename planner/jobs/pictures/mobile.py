"""Networks for small devices and those scaled up from them: MobileNet, EfficientNet, GhostNet, ShuffleNet."""

from __future__ import annotations

import math

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.sketch import Sketch, rounded, squeeze

# Tan and Le 2019, table 1: expansion, channels, repeats, stride, kernel; scaled by width and depth per variant.
_EFFICIENTNET = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
_EFFICIENTNET_SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))


def efficientnet_width(variant: int) -> float:
    """By how much the channels of a variant are more than those of B0."""
    return _EFFICIENTNET_SCALES[variant][0]


def efficientnet(variant: int, image_size: int) -> ConvNet:
    """EfficientNet-B0 … B7 (Tan and Le 2019)."""
    wide, deep = _EFFICIENTNET_SCALES[variant]
    sketch = Sketch(image_size, 3).conv(rounded(32 * wide), 3, 2)
    for expansion, channels, repeats, stride, kernel in _EFFICIENTNET:
        for block in range(math.ceil(repeats * deep)):
            inputs = sketch.channels
            if expansion > 1:
                sketch.conv(expansion * inputs)
            sketch.depthwise(kernel, stride if block == 0 else 1, excited=True).squeezed(max(1, inputs // 4))
            sketch.conv(rounded(channels * wide), linear=True)
    features = rounded(1280 * wide)
    sketch.conv(features)
    return ConvNet(f"EfficientNet-B{variant}", tuple(sketch.convs), image_size, features)


# Tan and Le 2021, table 4 (S) and its scaled forms: expansion, channels, repeats, stride, and whether the expansion is
# a full convolution of 3 × 3; those that are not have squeeze and excitation.
_EFFICIENTNET_V2 = {
    "s": (
        *((1, 24, 2, 1, True), (4, 48, 4, 2, True), (4, 64, 4, 2, True)),
        *((4, 128, 6, 2, False), (6, 160, 9, 1, False), (6, 256, 15, 2, False)),
    ),
    "m": (
        *((1, 24, 3, 1, True), (4, 48, 5, 2, True), (4, 80, 5, 2, True)),
        *((4, 160, 7, 2, False), (6, 176, 14, 1, False), (6, 304, 18, 2, False), (6, 512, 5, 1, False)),
    ),
    "l": (
        *((1, 32, 4, 1, True), (4, 64, 7, 2, True), (4, 96, 7, 2, True)),
        *((4, 192, 10, 2, False), (6, 224, 19, 1, False), (6, 384, 25, 2, False), (6, 640, 7, 1, False)),
    ),
}


def efficientnet_v2(variant: str, image_size: int) -> ConvNet:
    """EfficientNetV2-S, -M and -L (Tan and Le 2021)."""
    stages = _EFFICIENTNET_V2[variant]
    sketch = Sketch(image_size, 3).conv(stages[0][1], 3, 2)
    for expansion, channels, repeats, stride, is_fused in stages:
        for block in range(repeats):
            inputs, first = sketch.channels, stride if block == 0 else 1
            if is_fused:
                sketch.conv(channels if expansion == 1 else expansion * inputs, 3, first)
                if expansion > 1:
                    sketch.conv(channels, linear=True)
                continue
            sketch.conv(expansion * inputs).depthwise(3, first, excited=True).squeezed(inputs // 4)
            sketch.conv(channels, linear=True)
    sketch.conv(1280)
    return ConvNet(f"EfficientNetV2-{variant.upper()}", tuple(sketch.convs), image_size, 1280)


# Howard et al. 2017, table 1: channels, stride.
_MOBILENET_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


def mobilenet_v1(image_size: int) -> ConvNet:
    """MobileNet (Howard et al. 2017)."""
    sketch = Sketch(image_size, 3).conv(32, 3, 2)
    for channels, stride in _MOBILENET_V1:
        sketch.depthwise(3, stride).conv(channels)
    return ConvNet("MobileNet-V1", tuple(sketch.convs), image_size, 1024)


# Sandler et al. 2018, table 2: expansion, channels, repeats, stride.
_MOBILENET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def mobilenet_v2(image_size: int) -> ConvNet:
    """MobileNetV2 (Sandler et al. 2018)."""
    sketch = Sketch(image_size, 3).conv(32, 3, 2)
    for expansion, outputs, repeats, stride in _MOBILENET_V2:
        for block in range(repeats):
            if expansion > 1:
                sketch.conv(expansion * sketch.channels)
            sketch.depthwise(3, stride if block == 0 else 1).conv(outputs, linear=True)
    sketch.conv(1280)
    return ConvNet("MobileNet-V2", tuple(sketch.convs), image_size, 1280)


# Howard et al. 2019, tables 1 and 2: kernel, expanded width, channels, squeeze and excitation, stride; then the widths
# of the last convolution and of the layer before the classifier.
_MOBILENET_V3 = {
    "large": (
        (
            *((3, 16, 16, False, 1), (3, 64, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2)),
            *((5, 120, 40, True, 1), (5, 120, 40, True, 1), (3, 240, 80, False, 2), (3, 200, 80, False, 1)),
            *((3, 184, 80, False, 1), (3, 184, 80, False, 1), (3, 480, 112, True, 1), (3, 672, 112, True, 1)),
            *((5, 672, 160, True, 2), (5, 960, 160, True, 1), (5, 960, 160, True, 1)),
        ),
        960,
        1280,
    ),
    "small": (
        (
            *((3, 16, 16, True, 2), (3, 72, 24, False, 2), (3, 88, 24, False, 1), (5, 96, 40, True, 2)),
            *((5, 240, 40, True, 1), (5, 240, 40, True, 1), (5, 120, 48, True, 1), (5, 144, 48, True, 1)),
            *((5, 288, 96, True, 2), (5, 576, 96, True, 1), (5, 576, 96, True, 1)),
        ),
        576,
        1024,
    ),
}


def mobilenet_v3(variant: str, image_size: int) -> ConvNet:
    """MobileNetV3-Large and -Small (Howard et al. 2019)."""
    layers, last, features = _MOBILENET_V3[variant]
    sketch = Sketch(image_size, 3).conv(16, 3, 2)
    for kernel, inner, outputs, is_excited, stride in layers:
        if inner != sketch.channels:
            sketch.conv(inner)
        sketch.depthwise(kernel, stride, excited=is_excited)
        if is_excited:
            sketch.squeezed(rounded(inner / 4))
        sketch.conv(outputs, linear=True)
    sketch.conv(last)
    head = Conv(1, last, features, is_linear=True)
    return ConvNet(f"MobileNet-V3-{variant}", (*sketch.convs, head), image_size, features)


# Han et al. 2020, table 7 (the paper's network): kernel, expanded width, channels, squeeze and excitation, stride.
_GHOSTNET = (
    *((3, 16, 16, False, 1), (3, 48, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2)),
    *((5, 120, 40, True, 1), (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1)),
    *((3, 184, 80, False, 1), (3, 480, 112, True, 1), (3, 672, 112, True, 1), (5, 672, 160, True, 2)),
    *((5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1)),
)


def ghostnet(image_size: int) -> ConvNet:
    """GhostNet (Han et al. 2020): half of each layer's channels are made from the other half by cheap depthwise
    convolutions."""
    sketch = Sketch(image_size, 3).conv(16, 3, 2)
    for kernel, inner, outputs, is_excited, stride in _GHOSTNET:
        inputs = sketch.channels
        shortcut = sketch.branch()
        _ghost(sketch, inner)
        if stride > 1:
            sketch.depthwise(kernel, stride, excited=is_excited, linear=True)
        if is_excited:
            sketch.convs += squeeze(inner, rounded(inner / 4, 4))
        _ghost(sketch, outputs)
        if stride > 1 or inputs != outputs:
            sketch.join(shortcut.depthwise(kernel, stride, linear=True).conv(outputs, linear=True), channels=outputs)
    sketch.conv(960)
    head = Conv(1, 960, 1280, is_linear=True)
    return ConvNet("GhostNet", (*sketch.convs, head), image_size, 1280)


def _ghost(sketch: Sketch, outputs: int) -> None:
    """Half of the channels by a product, the other half from them by a depthwise convolution of 3 × 3."""
    sketch.conv(outputs // 2).depthwise(3)
    sketch.channels = outputs


# Ma et al. 2018, table 5: channels of the stages by width of the network, and units of each.
_SHUFFLENET = {"05": (48, 96, 192, 1024), "10": (116, 232, 464, 1024), "15": (176, 352, 704, 1024)}
_SHUFFLE_UNITS = (4, 8, 4)


def shufflenet_v2(width: str, image_size: int) -> ConvNet:
    """ShuffleNetV2 of half, whole and one and a half widths: units work on half of the channels, then mix them."""
    *stages, last = _SHUFFLENET[width]
    sketch = Sketch(image_size, 3).conv(24, 3, 2).pooled(2)
    for channels, units in zip(stages, _SHUFFLE_UNITS, strict=True):
        half = channels // 2
        through = sketch.branch().conv(half).depthwise(3, 2, linear=True).conv(half)
        sketch.join(sketch.branch().depthwise(3, 2, linear=True).conv(half), through)
        for _ in range(units - 1):
            kept = Sketch(sketch.size, half)
            sketch.join(kept, Sketch(sketch.size, half).conv(half).depthwise(3, linear=True).conv(half))
    sketch.conv(last)
    return ConvNet("ShuffleNetV2", tuple(sketch.convs), image_size, last)
