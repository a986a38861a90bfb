"""Networks that are one chain of convolutions: AlexNet, VGG, DenseNet, ConvNeXt."""

from __future__ import annotations

import math

from planner.jobs.convnet import Conv, ConvNet


def alexnet(image_size: int) -> ConvNet:
    """Krizhevsky 2014, one weird trick's single column, as torchvision builds it."""
    size = (image_size + 4 - 11) // 4 + 1
    convs = [Conv(size, 3, 64, 11)]
    size = (size - 3) // 2 + 1
    convs.append(Conv(size, 64, 192, 5))
    size = (size - 3) // 2 + 1
    convs += [Conv(size, 192, 384, 3), Conv(size, 384, 256, 3), Conv(size, 256, 256, 3)]
    convs += [Conv(1, 256 * 6 * 6, 4096, is_linear=True), Conv(1, 4096, 4096, is_linear=True)]
    return ConvNet("AlexNet", tuple(convs), image_size, 4096)


def vgg16(image_size: int) -> ConvNet:
    """Simonyan and Zisserman 2015, configuration D; its three dense layers as products on one pixel."""
    convs: list[Conv] = []
    size, inputs = image_size, 3
    for outputs, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            convs.append(Conv(size, inputs, outputs, 3, is_linear=True))  # an activation alone, no normalisation
            inputs = outputs
        size //= 2
    convs += [Conv(1, 512 * 7 * 7, 4096, is_linear=True), Conv(1, 4096, 4096, is_linear=True)]
    return ConvNet("VGG-16", tuple(convs), image_size, 4096)


def densenet121(image_size: int) -> ConvNet:
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


def convnext(variant: str, image_size: int) -> ConvNet:
    repeats, widths = _CONVNEXT[variant]
    size = image_size // 4
    convs = [Conv(size, 3, widths[0], 4)]
    for stage, (blocks, width) in enumerate(zip(repeats, widths, strict=True)):
        if stage:
            size //= 2
            convs.append(Conv(size, widths[stage - 1], width, 2))
        convs += [
            Conv(size, width, width, 7, width, blocks, is_linear=True),
            Conv(size, width, 4 * width, count=blocks, is_linear=True),
            Conv(size, 4 * width, width, count=blocks, is_linear=True),
        ]
    return ConvNet(f"ConvNeXt-{variant}", tuple(convs), image_size, widths[-1])
