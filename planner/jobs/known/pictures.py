"""Networks for pictures under short keys, each at the size of picture that its figures are published for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.detection import detector
from planner.jobs.diffusion import denoiser
from planner.jobs.vision import patches, vision_network

TIMM = "pytorch-image-models, results/model_metadata-in1k.csv"
TORCHVISION = "torchvision, table of its models' parameters"
EFFICIENTDET = "google/automl efficientdet README; Tan et al. 2020, table 2"
YOLOV5 = "ultralytics/yolov5 README, v7.0"


@dataclass(frozen=True, slots=True)
class Picture:
    """A network as it runs on pictures of some size, and its positions per picture (1 where it is convolutions)."""

    architecture: Transformer | ConvNet
    positions: int


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A network for pictures under a short key; `pixels` is the side of the picture that it is published for (None: the
    pictures of its data set are not square)."""

    key: str
    title: str
    name: str  # as its paper calls it
    pixels: int | None
    published_parameters: float
    source: str

    def at(self, pixels: int | None = None) -> Picture:
        """The network for pictures of `pixels` a side (None: as published). Raises ValueError where they do not fit."""
        side = pixels or self.pixels
        if side is not None and side < SMALLEST:
            raise ValueError(f"{self.title} needs pictures of at least {SMALLEST} pixels a side, not {side}")
        found = picture_network(self.name, side)
        if found is None:
            raise ValueError(f"the shape of {self.name!r} is not known")
        return found


SMALLEST = 32


@lru_cache(maxsize=256)
def picture_network(name: str, pixels: int | None) -> Picture | None:
    """The network of that published name on pictures of that size (None: as published, where that is told); None where
    the name is not known."""
    noise = denoiser(name, pixels)
    if noise is not None:
        return Picture(noise.network, noise.positions)
    network = vision_network(name, pixels) if pixels else None
    if network is None:
        found = detector(name, pixels)
        return None if found is None else Picture(found, 1)
    if isinstance(network, ConvNet):
        return Picture(network, 1)
    positions = patches(name, pixels or 0)
    return None if positions is None else Picture(network, positions)


PICTURES: dict[str, NamedPicture] = {
    entry.key: entry
    for entry in (
        NamedPicture("resnet-18", "ResNet-18", "ResNet-18", 224, 11.69e6, TIMM),
        NamedPicture("resnet-50", "ResNet-50", "ResNet-50", 224, 25.56e6, TIMM),
        NamedPicture("resnet-101", "ResNet-101", "ResNet-101", 224, 44.55e6, TIMM),
        NamedPicture("resnet-152", "ResNet-152", "ResNet-152", 224, 60.19e6, TIMM),
        NamedPicture("resnext-101-32x8d", "ResNeXt-101 32×8d", "ResNeXt101 32x8d", 224, 88.79e6, TIMM),
        NamedPicture("efficientnet-b0", "EfficientNet-B0", "EfficientNet-B0", 224, 5.29e6, TIMM),
        NamedPicture("efficientnet-b4", "EfficientNet-B4", "EfficientNet-B4", 380, 19.34e6, TIMM),
        NamedPicture("efficientnetv2-s", "EfficientNetV2-S", "EfficientNetV2-S", 384, 21.46e6, TIMM),
        NamedPicture("mobilenetv3-large", "MobileNetV3 large", "MobileNetV3 large", 224, 5.48e6, TIMM),
        NamedPicture("ghostnet", "GhostNet", "GhostNet", 224, 5.18e6, TIMM),
        NamedPicture("inception-v4", "Inception-v4", "Inception-v4", 299, 42.68e6, TIMM),
        NamedPicture("nfnet-f0", "NFNet-F0", "NFNet-F0", 256, 71.49e6, TIMM),
        NamedPicture("convnext-base", "ConvNeXt base", "ConvNeXt base", 224, 88.59e6, TIMM),
        NamedPicture("vit-b-16", "ViT-B/16", "ViT-B/16", 224, 86.57e6, TIMM),
        NamedPicture("vit-l-16", "ViT-L/16", "ViT-L/16", 224, 304.33e6, TIMM),
        NamedPicture("vit-h-14", "ViT-H/14", "ViT-H/14", 224, 632.05e6, TIMM),
        NamedPicture("swin-t", "Swin tiny", "Swin-T", 224, 28.29e6, TIMM),
        NamedPicture("swin-b", "Swin base", "Swin-B", 224, 87.77e6, TIMM),
        NamedPicture("swin-l", "Swin large", "Swin-L", 224, 196.53e6, TIMM),
        NamedPicture("xcit-small-12-p16", "XCiT small, 12 blocks", "XCiT small 12 p16", 224, 26.25e6, TIMM),
        NamedPicture("retinanet-r50", "RetinaNet, ResNet-50", "RetinaNet ResNet-50 FPN", None, 34.01e6, TORCHVISION),
        NamedPicture(
            "faster-rcnn-r50", "Faster R-CNN, ResNet-50", "Faster R-CNN ResNet-50 FPN", None, 41.76e6, TORCHVISION
        ),
        NamedPicture("mask-rcnn-r50", "Mask R-CNN, ResNet-50", "Mask R-CNN ResNet-50 FPN", None, 44.40e6, TORCHVISION),
        NamedPicture("yolov5n", "YOLOv5n, a detector", "YOLOv5n", 640, 1.87e6, YOLOV5),
        NamedPicture("yolov5s", "YOLOv5s, a detector", "YOLOv5s", 640, 7.23e6, YOLOV5),
        NamedPicture("yolov5m", "YOLOv5m, a detector", "YOLOv5m", 640, 21.17e6, YOLOV5),
        NamedPicture("yolov5l", "YOLOv5l, a detector", "YOLOv5l", 640, 46.53e6, YOLOV5),
        NamedPicture("yolov5x", "YOLOv5x, a detector", "YOLOv5x", 640, 86.71e6, YOLOV5),
        NamedPicture("fcn-r50", "FCN, ResNet-50, a segmenter", "FCN ResNet-50", 520, 35.32e6, TORCHVISION),
        NamedPicture(
            "deeplabv3-r50", "DeepLabv3, ResNet-50, a segmenter", "DeepLabv3 ResNet-50", 520, 42.00e6, TORCHVISION
        ),
        NamedPicture(
            "deeplabv3plus-r101",
            "DeepLabv3+, ResNet-101, a segmenter",
            "DeepLabv3+ ResNet-101",
            513,
            59.34e6,
            "jfzhang95/pytorch-deeplab-xception, counted by its users",
        ),
        NamedPicture("efficientdet-d1", "EfficientDet-D1, a detector", "EfficientDet-D1", 640, 6.6e6, EFFICIENTDET),
        NamedPicture("efficientdet-d4", "EfficientDet-D4, a detector", "EfficientDet-D4", 1024, 20.7e6, EFFICIENTDET),
        NamedPicture(
            "unet", "U-Net, a segmenter", "U-Net", 572, 31.0e6, "Ronneberger et al. 2015, counted by its users"
        ),
        NamedPicture(
            "unet-3d", "3D U-Net, a segmenter of volumes", "3D U-Net", 128, 31.2e6, "Isensee et al. 2021, nnU-Net"
        ),
        NamedPicture(
            "stable-diffusion-v1.5", "Stable Diffusion 1.5", "Stable Diffusion v1.5", 512, 859.5e6, "its model card"
        ),
        NamedPicture(
            "stable-diffusion-2.1", "Stable Diffusion 2.1", "Stable Diffusion 2.1", 768, 865.9e6, "its model card"
        ),
        NamedPicture("sdxl", "Stable Diffusion XL", "SDXL", 1024, 2.567e9, "Podell et al. 2023, table 1"),
        NamedPicture(
            "dit-xl-2", "DiT-XL/2, a diffusion transformer", "DiT-XL/2", 256, 675e6, "Peebles and Xie 2023, table 1"
        ),
    )
}


def known_picture(architecture: Transformer | ConvNet) -> tuple[str, int | None] | None:
    """The key under which a network is known, and the side of its pictures (None: as published); None for others."""
    for entry in PICTURES.values():
        if entry.at().architecture == architecture:
            return entry.key, None
    pixels = _side(architecture)
    if pixels is None or pixels < SMALLEST:
        return None
    matching = (
        entry for entry in PICTURES.values() if pixels >= SMALLEST and entry.at(pixels).architecture == architecture
    )
    found = next(matching, None)
    return None if found is None else (found.key, pixels)


def drawing_rows(architecture: Transformer | ConvNet) -> int | None:
    """Rows of each step's pass that one drawing takes: 2 with and without its text, else 1. None where the network does
    not draw."""
    known = known_picture(architecture)
    found = None if known is None else denoiser(PICTURES[known[0]].name, known[1])
    return None if found is None else found.passes


def _side(architecture: Transformer | ConvNet) -> int | None:
    """The side of the pictures that a network was built for; a vision transformer has positions for patches of 8."""
    if isinstance(architecture, ConvNet):
        return architecture.image_size
    if architecture.causal or architecture.max_positions is None:
        return None
    return math.isqrt(architecture.max_positions - 1) * 8
