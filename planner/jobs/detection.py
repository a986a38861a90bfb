"""Networks that find or outline objects, by their published names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.pictures.bifpn import efficientdet
from planner.jobs.pictures.dense import NNUNET_WIDTHS, deeplab, deeplab_plus, fcn, pspnet, unet
from planner.jobs.pictures.mobile import mobilenet_v1
from planner.jobs.pictures.pyramid import fcos, region_network, retinanet, ssd_resnet50, ssd_vgg16
from planner.jobs.pictures.residual import resnet
from planner.jobs.pictures.sketch import plain_name, stretched
from planner.jobs.pictures.yolo import yolov3, yolov5, yolov5_classifier


@dataclass(frozen=True, slots=True)
class Published:
    """GFLOPs (two per product and sum) of one picture of `pixels` a side, its backbone, and the width of its head.

    What is beyond the backbone is filled up with convolutions of 3 × 3: for networks whose authors state the whole and
    whose heads their submitters varied.
    """

    gflops: float
    pixels: int
    backbone: str
    head: int
    source: str


MLPERF = "Reddi et al. 2020, table 1"
DETECTORS = {
    "ssdresnet34": Published(433.0, 1200, "resnet34", 256, MLPERF),
    "ssdmobilenet": Published(2.47, 300, "mobilenetv1", 128, MLPERF),
}
COCO_PICTURE = (1344, 800)  # the usual resizing: 800 pixels the shorter way, at most 1333 the longer (He et al. 2017)
RETINA_PICTURE = 800  # of MLPerf's RetinaNet, whose pictures have 264 classes (OpenImages)
OPEN_IMAGES = 264
YOLO_PIXELS, CLASSIFIED_PIXELS = 640, 224
SSD_PIXELS = 300
SEGMENTED_PIXELS = 520  # as torchvision measures its own
DEEPLAB_PIXELS = 513  # Chen et al. 2018, section 4
UNET_PIXELS, VOLUME = 572, 128  # Ronneberger et al. 2015; MLPerf's training patches of 128 voxels a side
BRATS = (224, 160)  # Reddi et al. 2020 and its reference implementation
_ENDS = r"(?:resnet|r)?(18|34|50|101)?(?:fpn)?(?:1x|3x)?(?:coco)?"


def detector(name: str, image_size: int | None = None) -> ConvNet | None:
    """The network of that name for pictures of that size (None: as published); None where the name is not known."""
    wanted = plain_name(name)
    for pattern, build in _BUILDERS:
        found = re.fullmatch(pattern, wanted)
        if found:
            return build(found, image_size)
    published = DETECTORS.get(wanted)
    return None if published is None else _filled_up(name, published, image_size)


def _filled_up(name: str, published: Published, image_size: int | None) -> ConvNet:
    side = image_size or published.pixels
    flops = published.gflops * 1e9 * (side / published.pixels) ** 2
    convs = resnet(34, side).convs if published.backbone == "resnet34" else mobilenet_v1(side).convs
    left = flops - sum(conv.count * conv.flops for conv in convs)
    head = Conv(max(1, side // 8), published.head, published.head, 3)
    more = (Conv(head.size, head.inputs, head.outputs, 3, count=max(1, round(left / head.flops))),) if left > 0 else ()
    return ConvNet(name, (*convs, *more), side, features=published.head, classes=81)


def _depth(found: re.Match[str]) -> int:
    return int(found[1] or 50)


def _on_coco(found: re.Match[str], size: int | None, *, has_masks: bool) -> ConvNet:
    """A square picture of the size that is stated, else the usual one of COCO."""
    width, height = COCO_PICTURE if size is None else (size, size)
    return region_network(width, height, depth=_depth(found), has_masks=has_masks)


def _without_anchors(found: re.Match[str], size: int | None) -> ConvNet:
    width, height = COCO_PICTURE if size is None else (size, size)
    return fcos(width, height, depth=_depth(found))


def _brats(size: int | None) -> ConvNet:
    """The network of MLPerf's scans of brains: whole, 224 × 224 × 160 voxels of four kinds, unless told otherwise."""
    network = unet(size or BRATS[0], NNUNET_WIDTHS, dimensions=3, inputs=4, classes=4)
    return network if size else replace(network, convs=stretched(network.convs, *BRATS))


def _retina(found: re.Match[str], size: int | None) -> ConvNet:
    if found[1]:
        side = size or RETINA_PICTURE
        return retinanet(side, groups=32, group_width=4, classes=OPEN_IMAGES)
    width, height = COCO_PICTURE if size is None else (size, size)
    return retinanet(width, height, depth=int(found[2] or 50))


_Builder = Callable[[re.Match[str], int | None], ConvNet]
_BUILDERS: tuple[tuple[str, _Builder], ...] = (
    (
        r"yolov5([nsmlx])(6?)(seg)?",
        lambda found, size: yolov5(found[1], size or YOLO_PIXELS, has_p6=bool(found[2]), has_masks=bool(found[3])),
    ),
    (r"yolov5([nsmlx])cls", lambda found, size: yolov5_classifier(found[1], size or CLASSIFIED_PIXELS)),
    (r"retinanet(?:(resnext)50(?:32x4d)?|" + _ENDS + ")", lambda found, size: _retina(found, size)),
    (r"yolov3(?:darknet53)?", lambda _found, size: yolov3(size or YOLO_PIXELS)),
    (r"fcos" + _ENDS, lambda found, size: _without_anchors(found, size)),
    (r"fasterrcnn" + _ENDS, lambda found, size: _on_coco(found, size, has_masks=False)),
    (r"maskrcnn" + _ENDS, lambda found, size: _on_coco(found, size, has_masks=True)),
    (r"ssd300vgg16|ssdvgg16", lambda _found, size: ssd_vgg16(size or SSD_PIXELS)),
    (r"ssd(?:300)?(?:v11)?resnet50(?:v1|v15)?", lambda _found, size: ssd_resnet50(size or SSD_PIXELS)),
    (r"fcn" + _ENDS, lambda found, size: fcn(size or SEGMENTED_PIXELS, _depth(found))),
    (r"deeplabv?3" + _ENDS, lambda found, size: deeplab(size or SEGMENTED_PIXELS, _depth(found))),
    (
        r"deeplabv?3plus(?:resnet|r)(50|101)",
        lambda found, size: deeplab_plus(size or DEEPLAB_PIXELS, int(found[1])),
    ),
    (r"efficientdetd([0-7])", lambda found, size: efficientdet(int(found[1]), size)),
    (r"pspnet" + _ENDS, lambda found, size: pspnet(size or SEGMENTED_PIXELS, _depth(found))),
    (r"unet(?:2d)?", lambda _found, size: unet(size or UNET_PIXELS)),
    (
        r"(?:3dunet|unet3d|nnunet3d)(?:kits19)?",
        lambda _found, size: unet(size or VOLUME, NNUNET_WIDTHS, dimensions=3, classes=3),
    ),
    (
        r"(?:3dunet|unet3d|nnunet3d)brats(?:2019)?",
        lambda _found, size: _brats(size),
    ),
)
