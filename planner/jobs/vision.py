"""Networks that classify pictures, by their published names; vision transformers have their shapes here."""

from __future__ import annotations

import re
from collections.abc import Callable

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.pictures.chains import alexnet, convnext, densenet121, vgg16
from planner.jobs.pictures.covariance import xcit
from planner.jobs.pictures.inception import inception_v3, inception_v4
from planner.jobs.pictures.mixer import mixer
from planner.jobs.pictures.mobile import (
    efficientnet,
    efficientnet_v2,
    ghostnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    shufflenet_v2,
)
from planner.jobs.pictures.residual import nfnet, regnet, resnet
from planner.jobs.pictures.sketch import plain_name
from planner.jobs.pictures.windows import swin

CLASSES = 1000
DEIT_PATCH = 16  # of all networks of Touvron et al. 2021


def vision_network(name: str, image_size: int) -> ConvNet | Transformer | None:
    """The network of that name for pictures of that size; None where the name is not known."""
    wanted = plain_name(name)
    transformer = _vision_transformer(wanted, image_size, name)
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
    patch = int(found[1]) if found else DEIT_PATCH if plain_name(architecture_name).startswith("deit") else None
    return None if patch is None else (image_size // patch) ** 2 + 1


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


def _vision_transformer(wanted: str, image_size: int, name: str) -> Transformer | None:
    found = re.match(
        r"(?:mae|openclip|dinov2|timm)?(?:vit|deit|beit)(tiny|small|base|large|huge|giant|ti|[tsblhg])", wanted
    )
    if not found:
        return None
    layers, hidden, heads = _VIT[_VIT_LETTERS.get(found[1], found[1])]
    return Transformer(
        name=name,
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


_Builder = Callable[[re.Match[str], int], ConvNet | None]
_SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large"}
_BUILDERS: tuple[tuple[str, _Builder], ...] = (
    (r"(?:tv)?resnet(18|34|50|101|152)(?:v1|v15|v2|d)?", lambda found, size: resnet(int(found[1]), size)),
    (r"seresnet(50|101|152)", lambda found, size: resnet(int(found[1]), size, squeeze_excite=True)),
    (
        r"(?:tv)?(se)?resnext(50|101)(32)x(4|8)d",
        lambda found, size: resnet(int(found[2]), size, 32, int(found[4]), squeeze_excite=bool(found[1])),
    ),
    (r"wideresnet(50|101)2", lambda found, size: resnet(int(found[1]), size, 1, 128)),
    (r"(?:tf)?efficientnetb([0-7])", lambda found, size: efficientnet(int(found[1]), size)),
    (r"(?:tf)?efficientnetv2([sml])", lambda found, size: efficientnet_v2(found[1], size)),
    (r"mobilenetv1(?:100)?", lambda _found, size: mobilenet_v1(size)),
    (r"mobilenetv2(?:100)?", lambda _found, size: mobilenet_v2(size)),
    (r"(?:tf)?mobilenetv3(large|small)(?:100)?", lambda found, size: mobilenet_v3(found[1], size)),
    (r"ghostnet(?:100)?", lambda _found, size: ghostnet(size)),
    (r"shufflenetv2(?:x)?(05|10|15)?", lambda found, size: shufflenet_v2(found[1] or "10", size)),
    (r"alexnet", lambda _found, size: alexnet(size)),
    (r"inceptionv3", lambda _found, size: inception_v3(size)),
    (r"inceptionv4", lambda _found, size: inception_v4(size)),
    (r"(?:dm)?nfnetf([0-6])", lambda found, size: nfnet(int(found[1]), size)),
    (
        r"xcit(nano|tiny|small|medium|large)(12|24)p(8|16)(?:224|384)?(?:dist)?",
        lambda found, size: xcit(found[1], int(found[2]), int(found[3]), size),
    ),
    (
        r"swin(?:transformer)?(tiny|small|base|large|[tsbl])(?:patch4window(?:7|12)(?:224|384))?(?:cifar10|in22k|imagenet1k)?(?:finetune)?",
        lambda found, size: swin(_SIZES.get(found[1], found[1]), size),
    ),
    (r"mixer([sbl])(16|32)(?:224)?", lambda found, size: mixer(found[1], int(found[2]), size)),
    (r"vgg16", lambda _found, size: vgg16(size)),
    (r"densenet121", lambda _found, size: densenet121(size)),
    (
        r"convnext(tiny|small|base|large|[tsbl])",
        lambda found, size: convnext(_SIZES.get(found[1], found[1]), size),
    ),
    (r"regnet([xy]\d{3})", lambda found, size: regnet(found[1], size)),
)
