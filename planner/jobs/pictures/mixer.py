"""MLP-Mixer: products over positions and over channels in turn (Tolstikhin et al. 2021, table 1)."""

from __future__ import annotations

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.sketch import over_rows

# Tolstikhin et al. 2021, table 1: layers, channels, widths between the products over positions and over channels.
_MIXER = {"s": (8, 512, 256, 2048), "b": (12, 768, 384, 3072), "l": (24, 1024, 512, 4096)}


def mixer(variant: str, patch: int, image_size: int) -> ConvNet:
    """Mixer-S, -B and -L with patches of 16 or 32 pixels."""
    layers, channels, across, along = _MIXER[variant]
    side = image_size // patch
    positions = side * side
    convs = (
        Conv(side, 3, channels, patch, is_linear=True),
        over_rows(channels, positions, across, count=layers),
        over_rows(channels, across, positions, count=layers),
        over_rows(positions, channels, along, count=layers),
        over_rows(positions, along, channels, count=layers),
    )
    return ConvNet(f"Mixer-{variant.upper()}/{patch}", convs, image_size, channels)
