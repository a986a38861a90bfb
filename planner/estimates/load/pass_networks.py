"""Networks that answer in passes instead of tokens, by name: pictures, objects in frames, texts to embed, drawings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.detection import detector
from planner.jobs.diffusion import denoiser
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import patches, vision_network

USUAL_IMAGE = 224
EFFICIENTNET_IMAGES = (224, 240, 260, 300, 380, 456, 528, 600)  # of B0 to B7 (Tan and Le 2019, table 1)
USUAL_TEXT = 256  # tokens of a text to embed (assumed)
USUAL_STEPS = 30  # of a drawing (assumed; samplers of 2023 and later need 20 to 50)
PICTURES = (
    *("ResNet-18", "ResNet-50", "ResNet-101", "ResNet-152", "ResNeXt-101-32x8d", "SE-ResNet-50"),
    *("EfficientNet-B0", "EfficientNet-B4", "EfficientNet-B7", "MobileNet-v2", "VGG-16", "DenseNet-121"),
    *("ConvNeXt-tiny", "ConvNeXt-base", "ConvNeXt-large"),
    *("ViT-base-patch16", "ViT-large-patch16", "ViT-huge-patch14"),
)
OBJECTS = (
    *("YOLOv5n", "YOLOv5s", "YOLOv5m", "YOLOv5l", "YOLOv5x", "YOLOv5m6", "YOLOv5x6"),
    *("SSD-ResNet34", "SSD-MobileNet"),
)
DRAWINGS = (
    *("stable-diffusion-v1-5", "stable-diffusion-2-1", "stable-diffusion-xl-base-1.0", "sdxl-turbo"),
    "stable-diffusion-3-medium",
)


@dataclass(frozen=True, slots=True)
class PassNetwork:
    """A network, the positions of one item in it, passes per item that share a batch, and passes one after the other.

    A drawing with guidance takes each step twice (with its text and without) and so many steps one after the other.
    `assumed` says what was not given.
    """

    name: str
    network: Transformer | ConvNet
    positions: int
    together: int = 1
    in_turn: int = 1
    assumed: tuple[str, ...] = ()


def pass_network(
    name: str, image_size: int | None = None, tokens: int | None = None, steps: int | None = None
) -> PassNetwork | None:
    """The network of that name for pictures of `image_size` pixels a side, or for texts of so many tokens, or drawing
    in so many steps; None where the name is not known. What is not given is the usual size, and told."""
    if name in ARCHITECTURES:
        text = tokens or USUAL_TEXT
        assumed = () if tokens else (f"Texts of {USUAL_TEXT} tokens are assumed.",)
        return PassNetwork(name, ARCHITECTURES[name].architecture, text, assumed=assumed)
    drawn = denoiser(name, image_size)
    if drawn is not None:
        told = [] if image_size else [f"Drawings of {drawn.pixels} pixels a side are taken, as the model was made for."]
        told += [] if steps else [f"{USUAL_STEPS} steps of denoising are assumed."]
        told.append("The text encoder and the decoder of the picture are not in it: a few per cent of the time.")
        return PassNetwork(
            drawn.network.name, drawn.network, drawn.positions, drawn.passes, steps or USUAL_STEPS, tuple(told)
        )
    found = detector(name, image_size)
    if found is not None:
        told = [] if image_size else [f"Frames of {found.image_size} pixels a side are taken, as published."]
        return PassNetwork(name, found, 1, assumed=tuple(told))
    side = image_size or _usual_image(name)
    network = vision_network(name, side)
    if network is None:
        return None
    positions = 1 if isinstance(network, ConvNet) else patches(name, side)
    if positions is None:
        return None
    told = [] if image_size else [f"Pictures of {side} pixels a side are taken, as published."]
    return PassNetwork(name, network, positions, assumed=tuple(told))


def is_text(name: str) -> bool:
    """Whether the items of a network of that name are texts."""
    return name in ARCHITECTURES


def is_drawing(name: str) -> bool:
    """Whether the items of a network of that name are drawn in steps."""
    return denoiser(name) is not None


def _usual_image(name: str) -> int:
    """Pixels a side that a network was published for: EfficientNets grow with their number."""
    found = re.search(r"efficientnet.*b([0-7])", name.casefold())
    return EFFICIENTNET_IMAGES[int(found[1])] if found else USUAL_IMAGE
