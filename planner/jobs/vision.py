"""Picture networks by their published names: ResNets and their kin, EfficientNets, VGG, DenseNet, MobileNet, ConvNeXt,
RegNet and vision transformers. Shapes from the papers that introduced them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet

CLASSES = 1000


def vision_network(name: str, image_size: int) -> ConvNet | Transformer | None:
    """The network of that name for pictures of that size; None where the name is not known."""
    wanted = re.sub(r"[^a-z0-9]+", "", name.casefold())
    transformer = _vision_transformer(wanted, image_size)
    if transformer is not None:
        return transformer
    for pattern, build in _BUILDERS:
        found = re.fullmatch(pattern, wanted)
        if found:
            return build(found, image_size)
    return None


def patches(architecture_name: str, image_size: int) -> int | None:
    """Positions of a vision transformer: patches and one class token; None where the name states no patch."""
    found = re.search(r"(?:patch|p|/)(\d+)", architecture_name.casefold())
    if not found:
        return None
    return (image_size // int(found[1])) ** 2 + 1


# Dosovitskiy et al. 2021, table 1; Touvron et al. 2021, table 1 (tiny, small); Zhai et al. 2022 (giant).
_VIT = {
    "tiny": (12, 192, 3),
    "small": (12, 384, 6),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
    "huge": (32, 1280, 16),
    "giant": (40, 1408, 16),
}
_VIT_LETTERS = {"ti": "tiny", "t": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge", "g": "giant"}


def _vision_transformer(wanted: str, image_size: int) -> Transformer | None:
    found = re.match(
        r"(?:mae|openclip|dinov2|timm)?(?:vit|deit|beit)(tiny|small|base|large|huge|giant|ti|[tsblhg])", wanted
    )
    if not found:
        return None
    layers, hidden, heads = _VIT[_VIT_LETTERS.get(found[1], found[1])]
    return Transformer(
        name=wanted,
        num_layers=layers,
        hidden=hidden,
        num_heads=heads,
        num_kv_heads=heads,
        ffn=4 * hidden,
        vocab=CLASSES,
        gated=False,
        causal=False,
        max_positions=(image_size // 8) ** 2 + 1,
    )


# He et al. 2016, table 1.
_RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _resnet(depth: int, image_size: int, groups: int = 1, group_width: int = 64, squeeze: bool = False) -> ConvNet:
    """Bottlenecks from 50 layers up; `groups` × `group_width` is the inner width of the first stage."""
    size = math.ceil(image_size / 2)
    convs = [Conv(size, 3, 64, 7)]
    size = math.ceil(size / 2)
    inputs = 64
    for stage, blocks in enumerate(_RESNET_BLOCKS[depth]):
        before, size = size, size if stage == 0 else math.ceil(size / 2)
        width = 64 * 2**stage
        for block in range(blocks):
            first = before if block == 0 else size
            if depth < 50:
                convs += [Conv(size, inputs, width, 3), Conv(size, width, width, 3)]
                outputs = width
            else:
                inner, outputs = groups * group_width * 2**stage, 4 * width
                convs += [Conv(first, inputs, inner), Conv(size, inner, inner, 3, groups)]
                convs.append(Conv(size, inner, outputs, is_excited=squeeze))
                if squeeze:
                    convs += _squeeze(outputs, outputs // 16)
            if block == 0 and inputs != outputs:
                convs.append(Conv(size, inputs, outputs, is_linear=True))
            inputs = outputs
    return ConvNet(f"ResNet-{depth}", tuple(convs), image_size, inputs)


def _squeeze(width: int, inner: int) -> list[Conv]:
    """Squeeze and excitation: two products on pooled channels."""
    return [Conv(1, width, inner, is_linear=True), Conv(1, inner, width, is_linear=True)]


# Tan and Le 2019, table 1: expansion, channels, repeats, stride, kernel; scaled by width and depth per variant.
_EFFICIENTNET = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
_EFFICIENTNET_SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))


def _rounded(width: float, step: int = 8) -> int:
    near = max(step, int(width + step / 2) // step * step)
    return near + step if near < 0.9 * width else near


def _efficientnet(variant: int, image_size: int) -> ConvNet:
    wide, deep = _EFFICIENTNET_SCALES[variant]
    size = math.ceil(image_size / 2)
    inputs = _rounded(32 * wide)
    convs = [Conv(size, 3, inputs, 3)]
    for expansion, channels, repeats, stride, kernel in _EFFICIENTNET:
        outputs = _rounded(channels * wide)
        for block in range(math.ceil(repeats * deep)):
            before, size = size, math.ceil(size / stride) if block == 0 else size
            inner = expansion * inputs
            if expansion > 1:
                convs.append(Conv(before, inputs, inner))
            convs.append(Conv(size, inner, inner, kernel, inner, is_excited=True))
            convs += _squeeze(inner, max(1, inputs // 4))
            convs.append(Conv(size, inner, outputs, is_linear=True))
            inputs = outputs
    features = _rounded(1280 * wide)
    convs.append(Conv(size, inputs, features))
    return ConvNet(f"EfficientNet-B{variant}", tuple(convs), image_size, features)


# Sandler et al. 2018, table 2.
_MOBILENET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def _mobilenet_v2(image_size: int) -> ConvNet:
    size, inputs = math.ceil(image_size / 2), 32
    convs = [Conv(size, 3, inputs, 3)]
    for expansion, outputs, repeats, stride in _MOBILENET_V2:
        for block in range(repeats):
            before, size = size, math.ceil(size / stride) if block == 0 else size
            inner = expansion * inputs
            if expansion > 1:
                convs.append(Conv(before, inputs, inner))
            convs += [Conv(size, inner, inner, 3, inner), Conv(size, inner, outputs, is_linear=True)]
            inputs = outputs
    convs.append(Conv(size, inputs, 1280))
    return ConvNet("MobileNet-V2", tuple(convs), image_size, 1280)


def _vgg16(image_size: int) -> ConvNet:
    """Simonyan and Zisserman 2015, configuration D; its three dense layers as products on one pixel."""
    convs: list[Conv] = []
    size, inputs = image_size, 3
    for outputs, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            convs.append(Conv(size, inputs, outputs, 3))
            inputs = outputs
        size //= 2
    convs += [Conv(1, 512 * 7 * 7, 4096, is_linear=True), Conv(1, 4096, 4096, is_linear=True)]
    return ConvNet("VGG-16", tuple(convs), image_size, 4096)


def _densenet121(image_size: int) -> ConvNet:
    """Huang et al. 2017, table 1, growth 32: every layer reads all that its block wrote before."""
    size, width, growth = math.ceil(image_size / 2), 64, 32
    convs = [Conv(size, 3, width, 7)]
    size = math.ceil(size / 2)
    for stage, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            convs += [Conv(size, width, 4 * growth), Conv(size, 4 * growth, growth, 3)]
            width += growth
        if stage < 3:
            convs.append(Conv(size, width, width // 2))
            width //= 2
            size //= 2
    return ConvNet("DenseNet-121", tuple(convs), image_size, width)


# Liu et al. 2022, section 2: blocks and channels.
_CONVNEXT = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}


def _convnext(variant: str, image_size: int) -> ConvNet:
    repeats, widths = _CONVNEXT[variant]
    size = image_size // 4
    convs = [Conv(size, 3, widths[0], 4)]
    for stage, (blocks, width) in enumerate(zip(repeats, widths, strict=True)):
        if stage:
            size //= 2
            convs.append(Conv(size, widths[stage - 1], width, 2))
        convs += [
            Conv(size, width, width, 7, width, blocks),
            Conv(size, width, 4 * width, count=blocks),
            Conv(size, 4 * width, width, count=blocks, is_linear=True),
        ]
    return ConvNet(f"ConvNeXt-{variant}", tuple(convs), image_size, widths[-1])


# Radosavovic et al. 2020, tables of the RegNetX and RegNetY models: blocks, widths, width of a group.
_REGNET = {
    "x160": ((2, 6, 13, 1), (256, 512, 896, 2048), 128, False),
    "x032": ((2, 6, 15, 2), (96, 192, 432, 1008), 48, False),
    "y032": ((2, 5, 13, 1), (72, 216, 576, 1512), 24, True),
    "y160": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112, True),
}


def _regnet(variant: str, image_size: int) -> ConvNet | None:
    if variant not in _REGNET:
        return None
    repeats, widths, group, squeeze = _REGNET[variant]
    size, inputs = math.ceil(image_size / 2), 32
    convs = [Conv(size, 3, inputs, 3)]
    for blocks, width in zip(repeats, widths, strict=True):
        before, size = size, math.ceil(size / 2)
        for block in range(blocks):
            convs.append(Conv(before if block == 0 else size, inputs, width))
            convs.append(Conv(size, width, width, 3, width // group, is_excited=squeeze))
            convs.append(Conv(size, width, width))
            if squeeze:
                convs += _squeeze(width, inputs // 4)
            if block == 0:
                convs.append(Conv(size, inputs, width, is_linear=True))
            inputs = width
    return ConvNet(f"RegNet-{variant}", tuple(convs), image_size, widths[-1])


_Builder = Callable[[re.Match[str], int], ConvNet | None]
_BUILDERS: tuple[tuple[str, _Builder], ...] = (
    (r"(?:tv)?resnet(18|34|50|101|152)(?:v1|v15|v2|d)?", lambda found, size: _resnet(int(found[1]), size)),
    (r"seresnet(50|101|152)", lambda found, size: _resnet(int(found[1]), size, squeeze=True)),
    (
        r"(?:tv)?(se)?resnext(50|101)(32)x(4|8)d",
        lambda found, size: _resnet(int(found[2]), size, 32, int(found[4]), squeeze=bool(found[1])),
    ),
    (r"wideresnet(50|101)2", lambda found, size: _resnet(int(found[1]), size, 1, 128)),
    (r"(?:tf)?efficientnetb([0-7])", lambda found, size: _efficientnet(int(found[1]), size)),
    (r"mobilenetv2(?:100)?", lambda _found, size: _mobilenet_v2(size)),
    (r"vgg16", lambda _found, size: _vgg16(size)),
    (r"densenet121", lambda _found, size: _densenet121(size)),
    (r"convnext(tiny|small|base|large)", lambda found, size: _convnext(found[1], size)),
    (r"regnet([xy]\d{3})", lambda found, size: _regnet(found[1], size)),
)
