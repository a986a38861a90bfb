"""Networks that take noise from pictures, one pass per step: the U-Nets of Stable Diffusion, and what a step runs.

A block of attention over pixels is written as products over those pixels: projections, the two products with all other
pixels, and the feed-forward network (Rombach et al. 2022, appendix; the models' unet/config.json).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet, Stage
from planner.jobs.pictures.sketch import over_rows
from planner.jobs.pictures.windows import blocks

LATENT = 8  # pixels of a picture per pixel of the latent, each way
BLOCKS = 2  # residual blocks per level of the encoder; the decoder has one more
TEXT = 77  # tokens of a prompt
TIME = 1280  # width of what tells the network the step (four times its first channels)
# Stable Diffusion 3 medium is a transformer of 24 blocks over 4 × 4 … latent patches and up to 333 text tokens
# (Esser et al. 2024, section 4 and its transformer/config.json).
SD3_TEXT = 333
PATCH = 16  # pixels of a picture per position of a transformer, each way


@dataclass(frozen=True, slots=True)
class UNet:
    """Channels of each level, transformer blocks behind each residual block of it, and the usual side of a picture."""

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    usual_pixels: int
    text: int = 768  # width of the text that pixels look at
    guided: bool = True  # each picture passes twice, with and without its text


UNETS = {
    "stablediffusionv1": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 512),
    "stablediffusionv14": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 512),
    "stablediffusionv2": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 512, 1024),
    "stablediffusionv15": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 512),
    "stablediffusion21": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 768, 1024),
    "stablediffusionxlbase10": UNet((320, 640, 1280), (0, 2, 10), 1024, 2048),
    "sdxlturbo": UNet((320, 640, 1280), (0, 2, 10), 512, 2048, guided=False),
    "sdxlbase10": UNet((320, 640, 1280), (0, 2, 10), 1024, 2048),
    "sdxl": UNet((320, 640, 1280), (0, 2, 10), 1024, 2048),
    "sdturbo": UNet((320, 640, 1280, 1280), (1, 1, 1, 0), 512, 1024, guided=False),
    "ssd1b": UNet((320, 640, 1280), (0, 2, 4), 1024, 2048),
}


@dataclass(frozen=True, slots=True)
class Joint:
    """A transformer over patches of the latent and the tokens of a text together, with weights of as many per position
    as plain blocks have: `layers` blocks of `width`, and whether a picture passes twice."""

    name: str
    layers: int
    width: int
    heads: int
    text: int
    guided: bool = True


# Blocks, width and heads: FLUX.1 as in black-forest-labs/flux at 1f71c43, src/flux/util.py, its text as in cli.py;
# Stable Diffusion 3 and 3.5 large as in argmaxinc/DiffusionKit at 0d55e93, python/src/diffusionkit/mlx/config.py (as
# many heads as blocks, of width 64, as in huggingface/diffusers, scripts/convert_sd3_to_diffusers.py). What was
# distilled is drawn without guidance (their cards). Of FLUX.1 19 blocks hold weights
# for text and pictures apart, 38 for both; a step of either multiplies each position with 12 · width² weights.
JOINT = {
    "stablediffusion3": Joint("Stable Diffusion 3 medium", 24, 1536, 24, SD3_TEXT),
    "stablediffusion3medium": Joint("Stable Diffusion 3 medium", 24, 1536, 24, SD3_TEXT),
    "stablediffusion35large": Joint("Stable Diffusion 3.5 large", 38, 2432, 38, SD3_TEXT),
    "stablediffusion35largeturbo": Joint("Stable Diffusion 3.5 large turbo", 38, 2432, 38, SD3_TEXT, guided=False),
    "flux1dev": Joint("FLUX.1 dev", 57, 3072, 24, 512, guided=False),
    "flux1schnell": Joint("FLUX.1 schnell", 57, 3072, 24, 256, guided=False),
}
# Other spellings and tunings of one network (their cards).
SAME_NETWORK = (
    (r"(?:stablediffusion|sd)v?(1|14|15|2)(?:base)?", r"stablediffusionv\1"),
    (r"(?:stablediffusion|sd)v?21(?:base)?", "stablediffusion21"),
    (r"(?:stablediffusion|sd)(?:v?3|v?30)(medium)?", "stablediffusion3medium"),
    (r"(?:stablediffusion|sd)v?35(large(?:turbo)?)", r"stablediffusion35\1"),
    (r"(?:stablediffusionxl|sdxl)(?:base)?(?:v?10?)?(?:base)?", "sdxl"),
    (r"playgroundv2(?:5)?(?:1024px)?(?:aesthetic)?", "sdxl"),
    (r"(?:stablediffusion|sd)xl(?:turbo)", "sdxlturbo"),
    (r"flux1?(dev|schnell)", r"flux1\1"),
)


@dataclass(frozen=True, slots=True)
class Denoiser:
    """What one step runs, the positions of a transformer, passes per picture and step, and the picture's side."""

    network: ConvNet | Transformer
    positions: int
    passes: int
    pixels: int


def denoiser(name: str, pixels: int | None = None) -> Denoiser | None:
    """The network of that name for pictures of `pixels` a side (None: its usual size); None where it is not known."""
    wanted = re.sub(r"[^a-z0-9]+", "", name.casefold())
    is_controlled = wanted.endswith("controlnet")
    wanted = wanted.removesuffix("controlnet").removesuffix("diffusers")
    for pattern, same in SAME_NETWORK:
        known = re.fullmatch(pattern, wanted)
        wanted = known.expand(same) if known else wanted
    joint = JOINT.get(wanted)
    if joint is not None:
        return _joint(joint, pixels or 1024)
    found = re.fullmatch(r"dit(s|b|l|xl)([248])(?:256|512)?", wanted)
    if found:
        return Denoiser(_dit(found[1], int(found[2]), pixels or 256), 1, 2, pixels or 256)
    unet = UNETS.get(wanted)
    if unet is None:
        return None
    side = pixels or unet.usual_pixels
    convs = _encoder(unet, side // LATENT) + _decoder(unet, side // LATENT)
    if is_controlled:  # a second encoder steers the first (Zhang et al. 2023)
        convs += _encoder(unet, side // LATENT)
    network = ConvNet(name, tuple(convs), side, features=unet.channels[0], classes=4)
    return Denoiser(network, 1, 2 if unet.guided else 1, side)


def _joint(found: Joint, pixels: int) -> Denoiser:
    network = Transformer(
        name=found.name,
        num_layers=found.layers,
        hidden=found.width,
        num_heads=found.heads,
        num_kv_heads=found.heads,
        ffn=4 * found.width,
        vocab=64,
        gated=False,
        causal=False,
    )
    return Denoiser(network, (pixels // PATCH) ** 2 + found.text, 2 if found.guided else 1, pixels)


# Peebles and Xie 2023, table 1: blocks, width, heads.
DIT = {"s": (12, 384, 6), "b": (12, 768, 12), "l": (24, 1024, 16), "xl": (28, 1152, 16)}


def _dit(size: str, patch: int, pixels: int) -> ConvNet:
    """DiT: blocks over patches of the latent, each told the step and the class by six shifts and scales."""
    depth, width, heads = DIT[size]
    side = pixels // LATENT // patch
    convs = (
        Conv(side, 4, width, patch, is_linear=True),
        *(Conv(1, 256, width, is_linear=True), Conv(1, width, width, is_linear=True)),
        Conv(1, width, 6 * width, count=depth, is_linear=True),
        Conv(1, width, 2 * width, is_linear=True),
        Conv(side, width, 2 * 4 * patch * patch, is_linear=True),
    )
    stage = Stage(blocks(depth, width, heads), 1, side * side)
    name = f"DiT-{size.upper()}/{patch}"
    return ConvNet(name, convs, pixels, features=0, stages=(stage,))


def _encoder(unet: UNet, side: int) -> list[Conv]:
    """Down to the smallest level, and the middle."""
    convs = [Conv(side, 4, unet.channels[0], 3)]
    before = unet.channels[0]
    for level, (channels, depth) in enumerate(zip(unet.channels, unet.depths, strict=True)):
        if level:
            side = -(-side // 2)
            convs.append(Conv(side, before, before, 3))
        for _ in range(BLOCKS):
            convs += _residual(side, before, channels) + _attention(side, channels, depth, unet.text)
            before = channels
    last = max(depth for depth in unet.depths[-2:])
    return convs + 2 * _residual(side, before, before) + _attention(side, before, last, unet.text)


def _decoder(unet: UNet, side: int) -> list[Conv]:
    """Up again; each residual block also reads what the encoder wrote at its level."""
    sides = [side]
    for _ in unet.channels[1:]:
        sides.append(-(-sides[-1] // 2))
    convs: list[Conv] = []
    before = unet.channels[-1]
    for level in reversed(range(len(unet.channels))):
        channels, here = unet.channels[level], sides[level]
        for block in range(BLOCKS + 1):
            skipped = channels if block < BLOCKS or level == 0 else unet.channels[level - 1]
            convs += _residual(here, before + skipped, channels) + _attention(
                here, channels, unet.depths[level], unet.text
            )
            before = channels
        if level:
            convs.append(Conv(sides[level - 1], channels, channels, 3))
    return [*convs, Conv(side, unet.channels[0], 4, 3)]


def _residual(side: int, inputs: int, outputs: int) -> list[Conv]:
    """Two convolutions, told the step, around which the picture passes."""
    found = [Conv(side, inputs, outputs, 3), Conv(side, outputs, outputs, 3)]
    found.append(Conv(1, TIME, outputs, is_linear=True))
    return found if inputs == outputs else [*found, Conv(side, inputs, outputs, is_linear=True)]


def _attention(side: int, channels: int, depth: int, text: int) -> list[Conv]:
    """Among pixels, from pixels to text, and a gated feed-forward network of four times the width."""
    if not depth:
        return []
    pixels = side * side
    return [
        Conv(side, channels, channels, count=2, is_linear=True),  # in and out of the block
        Conv(side, channels, channels, count=6 * depth),  # query, key, value, output; query, output
        Conv(side, channels, pixels, count=depth, is_linear=True, is_weightless=True),
        Conv(side, pixels, channels, count=depth, is_linear=True, is_weightless=True),
        over_rows(TEXT, text, channels, count=2 * depth),  # key and value of the text
        Conv(side, channels, TEXT, count=depth, is_linear=True, is_weightless=True),
        Conv(side, TEXT, channels, count=depth, is_linear=True, is_weightless=True),
        Conv(side, channels, 8 * channels, count=depth),
        Conv(side, 4 * channels, channels, count=depth),
    ]
