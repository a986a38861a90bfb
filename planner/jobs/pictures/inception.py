"""Inception-v3 and -v4: blocks of parallel paths (Szegedy et al. 2016, table 1; 2017, figures 3 to 9)."""

from __future__ import annotations

from planner.jobs.convnet import ConvNet
from planner.jobs.pictures.sketch import Sketch

FLAT, TALL = 1, 7  # kernels of 1 × 7 and 7 × 1 have seven taps alike


def inception_v3(image_size: int) -> ConvNet:
    """Inception-v3 without its second classifier."""
    sketch = Sketch(image_size, 3).conv(32, 3, 2, unpadded=True).conv(32, 3, unpadded=True).conv(64, 3).pooled(2, 3)
    sketch.conv(80).conv(192, 3, unpadded=True).pooled(2, 3)
    for pooled in (32, 64, 64):
        five = sketch.branch().conv(48).conv(64, 5)
        double = sketch.branch().conv(64).conv(96, 3).conv(96, 3)
        sketch.join(sketch.branch().conv(64), five, double, sketch.branch().conv(pooled))
    double = sketch.branch().conv(64).conv(96, 3).conv(96, 3, 2, unpadded=True)
    sketch.join(sketch.branch().conv(384, 3, 2, unpadded=True), double, sketch.branch().pooled(2, 3))
    for width in (128, 160, 160, 192):
        short = _long(sketch.branch().conv(width), width, 192)
        long = _long(sketch.branch().conv(width), width, width, width, 192)
        sketch.join(sketch.branch().conv(192), short, long, sketch.branch().conv(192))
    narrow = sketch.branch().conv(192).conv(320, 3, 2, unpadded=True)
    wide = _long(sketch.branch().conv(192), 192, 192).conv(192, 3, 2, unpadded=True)
    sketch.join(narrow, wide, sketch.branch().pooled(2, 3))
    for _ in range(2):
        near, far = sketch.branch().conv(384), sketch.branch().conv(448).conv(384, 3)
        near.join(*_forked(near, 384))
        far.join(*_forked(far, 384))
        sketch.join(sketch.branch().conv(320), near, far, sketch.branch().conv(192))
    return ConvNet("Inception-v3", tuple(sketch.convs), image_size, sketch.channels)


def inception_v4(image_size: int) -> ConvNet:
    """Pure Inception-v4, without residual connections."""
    sketch = Sketch(image_size, 3).conv(32, 3, 2, unpadded=True).conv(32, 3, unpadded=True).conv(64, 3)
    sketch.join(sketch.branch().pooled(2, 3), sketch.branch().conv(96, 3, 2, unpadded=True))
    short = sketch.branch().conv(64).conv(96, 3, unpadded=True)
    long = _long(sketch.branch().conv(64), 64, 64).conv(96, 3, unpadded=True)
    sketch.join(short, long)
    sketch.join(sketch.branch().conv(192, 3, 2, unpadded=True), sketch.branch().pooled(2, 3))
    for _ in range(4):
        sketch.join(*_block_a(sketch))
    middle = sketch.branch().conv(192).conv(224, 3).conv(256, 3, 2, unpadded=True)
    sketch.join(sketch.branch().conv(384, 3, 2, unpadded=True), middle, sketch.branch().pooled(2, 3))
    for _ in range(7):
        sketch.join(*_block_b(sketch))
    narrow = sketch.branch().conv(192).conv(192, 3, 2, unpadded=True)
    wide = _long(sketch.branch().conv(256), 256, 320).conv(320, 3, 2, unpadded=True)
    sketch.join(narrow, wide, sketch.branch().pooled(2, 3))
    for _ in range(3):
        sketch.join(*_block_c(sketch))
    return ConvNet("Inception-v4", tuple(sketch.convs), image_size, sketch.channels)


def _long(sketch: Sketch, *widths: int) -> Sketch:
    """Convolutions of 1 × 7 and 7 × 1 in turn."""
    for width in widths:
        sketch.conv(width, TALL, width=FLAT)
    return sketch


def _block_a(sketch: Sketch) -> tuple[Sketch, ...]:
    return (
        sketch.branch().conv(96),
        sketch.branch().conv(64).conv(96, 3),
        sketch.branch().conv(64).conv(96, 3).conv(96, 3),
        sketch.branch().conv(96),  # behind an average of 3 × 3
    )


def _block_b(sketch: Sketch) -> tuple[Sketch, ...]:
    return (
        sketch.branch().conv(384),
        _long(sketch.branch().conv(192), 224, 256),
        _long(sketch.branch().conv(192), 192, 224, 224, 256),
        sketch.branch().conv(128),
    )


def _block_c(sketch: Sketch) -> tuple[Sketch, ...]:
    split = sketch.branch().conv(384)
    far = sketch.branch().conv(384).conv(448, 3, width=1).conv(512, 3, width=1)
    split.join(*_forked(split, 256))
    far.join(*_forked(far, 256))
    return sketch.branch().conv(256), split, far, sketch.branch().conv(256)


def _forked(sketch: Sketch, width: int) -> tuple[Sketch, Sketch]:
    """The same picture through 1 × 3 and 3 × 1, side by side."""
    return sketch.branch().conv(width, 3, width=1), sketch.branch().conv(width, 3, width=1)
