"""Networks that answer in passes instead of tokens, by name: pictures, objects in frames, texts to embed, drawings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.diffusion import denoiser
from planner.jobs.known.pictures import PICTURES, picture_network
from planner.jobs.presets import ARCHITECTURES

USUAL_IMAGE = 224
USUAL_TEXT = 256  # tokens of a text to embed (assumed)
USUAL_STEPS = 30  # of a drawing (assumed; samplers of 2023 and later need 20 to 50)


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
    """The network of that key or published name for pictures of `image_size` pixels a side, or for texts of so many
    tokens, or drawing in so many steps; None where it is not known. What is not given is the usual size, and told.

    Raises ValueError for pictures that the network does not take.
    """
    if is_text(name):
        usual = () if tokens else (f"Texts of {USUAL_TEXT} tokens are assumed.",)
        return PassNetwork(name, ARCHITECTURES[name].architecture, tokens or USUAL_TEXT, assumed=usual)
    named = PICTURES.get(name)
    published = named.name if named else name
    drawn = denoiser(published, image_size)
    if drawn is not None:
        told: tuple[str, ...] = ()
        if image_size is None:
            told += (f"Drawings of {drawn.pixels} pixels a side are taken, as published.",)
        told += () if steps else (f"{USUAL_STEPS} steps of denoising are assumed.",)
        told += ("The text encoder and the decoder of the picture are not in it: a few per cent of the time.",)
        return PassNetwork(name, drawn.network, drawn.positions, drawn.passes, steps or USUAL_STEPS, told)
    pixels = image_size or (named.pixels if named else None)
    found = picture_network(published, pixels)
    if found is None and pixels is None:
        pixels = USUAL_IMAGE
        found = picture_network(published, pixels)
    if found is None:
        return None
    network = found.architecture
    side = pixels or (network.image_size if isinstance(network, ConvNet) else USUAL_IMAGE)
    usual = () if image_size else (f"Pictures of about {side} pixels a side are taken, as is usual for it.",)
    return PassNetwork(name, network, found.positions, assumed=usual)


def is_text(name: str) -> bool:
    """Whether the items of a network of that name are texts: every architecture that reads them in one go."""
    return name in ARCHITECTURES and not ARCHITECTURES[name].architecture.encoder_layers


def is_drawing(name: str) -> bool:
    """Whether the items of a network of that name are drawn in steps."""
    return denoiser(PICTURES[name].name if name in PICTURES else name) is not None


def named_networks() -> list[tuple[str, str]]:
    """(Key, title) of every network that has a key: those for pictures, then those for texts."""
    pictures = [(key, _titled(named.title, is_drawing(key))) for key, named in PICTURES.items()]
    texts = [(key, f"{found.title}: embed texts") for key, found in ARCHITECTURES.items() if is_text(key)]
    return [*pictures, *sorted(texts, key=lambda pair: pair[1].casefold())]


def _titled(title: str, is_drawn: bool) -> str:
    return f"{title}: draw" if is_drawn else re.sub(r", an? (detector|segmenter)", r": \1", title)
