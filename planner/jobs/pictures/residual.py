"""Networks of residual bottlenecks: ResNet, ResNeXt, SE-ResNet, Wide ResNet, RegNet, NFNet."""

from __future__ import annotations

import math

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.sketch import Sketch, squeeze

# He et al. 2016, table 1.
_RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(
    depth: int,
    image_size: int,
    groups: int = 1,
    group_width: int = 64,
    squeeze_excite: bool = False,
    strides: tuple[int, int, int, int] = (1, 2, 2, 2),
    num_stages: int = 4,
) -> ConvNet:
    """Bottlenecks from 50 layers up; `groups` × `group_width` is the inner width of the first stage. Dense predictions
    keep the picture larger (other `strides`) or end earlier (fewer stages)."""
    size = math.ceil(image_size / 2)
    convs = [Conv(size, 3, 64, 7)]
    size = math.ceil(size / 2)
    inputs = 64
    for stage, blocks in enumerate(_RESNET_BLOCKS[depth][:num_stages]):
        before, size = size, math.ceil(size / strides[stage])
        width = 64 * 2**stage
        for block in range(blocks):
            first = before if block == 0 else size
            if depth < 50:
                convs += [Conv(size, inputs, width, 3), Conv(size, width, width, 3)]
                outputs = width
            else:
                inner, outputs = groups * group_width * 2**stage, 4 * width
                convs += [Conv(first, inputs, inner), Conv(size, inner, inner, 3, groups)]
                convs.append(Conv(size, inner, outputs, is_excited=squeeze_excite))
                if squeeze_excite:
                    convs += squeeze(outputs, outputs // 16)
            if block == 0 and inputs != outputs:
                convs.append(Conv(size, inputs, outputs, is_linear=True))
            inputs = outputs
    return ConvNet(f"ResNet-{depth}", tuple(convs), image_size, inputs)


# Radosavovic et al. 2020, tables of the RegNetX and RegNetY models: blocks, widths, width of a group.
_REGNET = {
    "x160": ((2, 6, 13, 1), (256, 512, 896, 2048), 128, False),
    "x032": ((2, 6, 15, 2), (96, 192, 432, 1008), 48, False),
    "y032": ((2, 5, 13, 1), (72, 216, 576, 1512), 24, True),
    "y160": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112, True),
}


def regnet(variant: str, image_size: int) -> ConvNet | None:
    if variant not in _REGNET:
        return None
    repeats, widths, group, has_squeeze = _REGNET[variant]
    size, inputs = math.ceil(image_size / 2), 32
    convs = [Conv(size, 3, inputs, 3)]
    for blocks, width in zip(repeats, widths, strict=True):
        before, size = size, math.ceil(size / 2)
        for block in range(blocks):
            convs.append(Conv(before if block == 0 else size, inputs, width))
            convs.append(Conv(size, width, width, 3, width // group, is_excited=has_squeeze))
            convs.append(Conv(size, width, width))
            if has_squeeze:
                convs += squeeze(width, inputs // 4)
            if block == 0:
                convs.append(Conv(size, inputs, width, is_linear=True))
            inputs = width
    return ConvNet(f"RegNet-{variant}", tuple(convs), image_size, widths[-1])


# Brock et al. 2021, table 1 and appendix: channels and blocks of F0; each further variant repeats the blocks once more.
_NFNET_CHANNELS = (256, 512, 1536, 1536)
_NFNET_BLOCKS = (1, 2, 6, 3)
_NFNET_GROUP = 128


def nfnet(variant: int, image_size: int) -> ConvNet:
    """NFNet-F0 … F6: two grouped convolutions inside a bottleneck of half its width, and no batch normalisation."""
    sketch = Sketch(image_size, 3).conv(16, 3, 2).conv(32, 3).conv(64, 3).conv(128, 3, 2)
    for stage, (channels, blocks) in enumerate(zip(_NFNET_CHANNELS, _NFNET_BLOCKS, strict=True)):
        for block in range(blocks * (variant + 1)):
            stride = 2 if block == 0 and stage else 1
            inner = channels // 2
            shortcut = sketch.branch().pooled(stride)
            main = sketch.branch().conv(inner).conv(inner, 3, stride, groups=inner // _NFNET_GROUP)
            main.conv(inner, 3, groups=inner // _NFNET_GROUP).conv(channels, excited=True).squeezed(channels // 2)
            paths = (main, shortcut.conv(channels, linear=True)) if block == 0 else (main,)
            sketch.join(*paths, channels=channels)
    sketch.conv(2 * _NFNET_CHANNELS[-1])
    return ConvNet(f"NFNet-F{variant}", tuple(sketch.convs), image_size, sketch.channels)
