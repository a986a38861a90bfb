"""XCiT: attention among channels instead of positions (El-Nouby et al. 2021, sections 3 and 4, table 2)."""

from __future__ import annotations

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.sketch import Sketch, over_rows

# El-Nouby et al. 2021, table 2: width and heads; the number of blocks stands in the name.
_XCIT = {"nano": (128, 4), "tiny": (192, 4), "small": (384, 8), "medium": (512, 8), "large": (768, 16)}
CLASS_BLOCKS = 2  # in which one class token looks at all positions


def xcit(variant: str, blocks: int, patch: int, image_size: int) -> ConvNet:
    """XCiT of that size with patches of 16 or 8 pixels, which convolutions of 3 × 3 make."""
    width, heads = _XCIT[variant]
    sketch = Sketch(image_size, 3)
    halvings = {16: (8, 4, 2, 1), 8: (4, 2, 1)}[patch]
    for divisor in halvings:
        sketch.conv(width // divisor, 3, 2)
    size = sketch.size
    block = (
        Conv(size, width, 3 * width, count=blocks),
        Conv(size, width, width, groups=heads, count=2 * blocks, is_linear=True, is_weightless=True),
        Conv(size, width, width, count=blocks),
        Conv(size, width, width, 3, width, count=2 * blocks),
        *(Conv(size, width, 4 * width, count=blocks), Conv(size, 4 * width, width, count=blocks, is_linear=True)),
    )
    positions = size * size + 1
    last = (
        over_rows(positions, width, 3 * width, count=CLASS_BLOCKS),
        *(over_rows(1, width, 4 * width, count=CLASS_BLOCKS), over_rows(1, 4 * width, width, count=CLASS_BLOCKS)),
        over_rows(1, width, width, count=CLASS_BLOCKS),
    )
    return ConvNet(f"XCiT-{variant}-{blocks}-p{patch}", (*sketch.convs, *block, *last), image_size, width)
