"""U-Nets and detectors against the parameters and FLOPs that their authors state."""

from __future__ import annotations

import pytest

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.detection import DETECTORS, detector
from planner.jobs.diffusion import denoiser


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("Stable Diffusion v1.5", 860),  # its model card
        ("stable-diffusion-2-1", 866),  # its model card
        ("SDXL", 2567),  # Podell et al. 2023, table 1
        ("SSD-1B", 1300),  # Gupta et al. 2024, "1.3 B"
        ("DiT-XL/2", 675),  # Peebles and Xie 2023, table 1 and appendix
        ("DiT-B/4", 130),
    ],
)
def test_a_denoiser_has_about_the_published_weights(name: str, millions: float) -> None:
    found = denoiser(name)
    assert found is not None
    assert isinstance(found.network, ConvNet)
    assert found.network.num_parameters == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize(
    ("name", "apart", "billions"),
    [
        ("FLUX.1-dev", 19, 12.0),  # its model card
        ("FLUX.1-schnell", 19, 12.0),
        ("stable-diffusion-3.5-large", 38, 8.1),  # its model card
        ("stable-diffusion-3-medium", 24, 2.0),  # its model card
    ],
)
def test_a_transformer_over_text_and_pictures_has_about_the_published_weights(
    name: str, apart: int, billions: float
) -> None:
    """Blocks hold weights for text and pictures apart, each with six shifts and scales, or for both, with three."""
    found = denoiser(name)
    assert found is not None
    shape = found.network
    assert isinstance(shape, Transformer)
    block, shift = shape.attention_parameters + shape.ffn_parameters, shape.hidden**2
    weights = apart * 2 * (block + 6 * shift) + (shape.num_layers - apart) * (block + 3 * shift)
    assert weights == pytest.approx(billions * 1e9, rel=0.025)


def test_a_step_of_stable_diffusion_takes_the_flops_that_profilers_count() -> None:
    """About 401 G products and sums at 512 pixels: 0.80 TFLOPs per pass, twice with guidance."""
    found = denoiser("Stable Diffusion v1.5")
    assert found is not None
    assert isinstance(found.network, ConvNet)
    assert found.network.forward_flops == pytest.approx(0.80e12, rel=0.03)
    assert found.passes == 2


@pytest.mark.parametrize(("name", "gigas"), [("DiT-XL/2", 118.6), ("DiT-B/4", 5.56), ("DiT-S/8", 0.36)])
def test_a_diffusion_transformer_takes_the_products_and_sums_that_are_published(name: str, gigas: float) -> None:
    """Peebles and Xie 2023, table 1 and appendix, at 256 pixels."""
    found = denoiser(name)
    assert found is not None
    assert isinstance(found.network, ConvNet)
    assert found.network.forward_flops == pytest.approx(2e9 * gigas, rel=0.02)


def test_a_second_encoder_adds_about_a_third() -> None:
    plain, steered = denoiser("Stable Diffusion v1.5"), denoiser("Stable Diffusion v1.5 + ControlNet")
    assert plain is not None
    assert steered is not None
    assert isinstance(plain.network, ConvNet)
    assert isinstance(steered.network, ConvNet)
    assert 1.25 < steered.network.forward_flops / plain.network.forward_flops < 1.45


def test_an_unknown_network_is_none_and_not_a_guess() -> None:
    assert denoiser("Dream Machine 9") is None
    assert denoiser("SD v2-base") == denoiser("SD v2-base", 512)
    assert detector("GuessNet") is None


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_detector_takes_the_flops_that_are_published(name: str) -> None:
    found = detector(name)
    assert found is not None
    assert found.forward_flops == pytest.approx(DETECTORS[name].gflops * 1e9, rel=0.08)


def test_a_detector_on_a_larger_picture_takes_as_much_more_as_it_has_pixels() -> None:
    small, large = detector("YOLOv5l"), detector("YOLOv5l", 1280)
    assert small is not None
    assert large is not None
    assert large.forward_flops == pytest.approx(4 * small.forward_flops, rel=0.02)


@pytest.mark.parametrize(
    ("name", "image", "millions", "gflops"),
    [  # torchvision's table of its models: millions of parameters, twice its billions of products and sums
        ("RetinaNet ResNet-50 FPN", 800, 34.01, 2 * 151.54),
        ("FCN ResNet-50", 520, 35.32, 2 * 152.72),
        ("FCN ResNet-101", 520, 54.31, 2 * 232.74),
        ("DeepLabv3 ResNet-50", 520, 42.00, 2 * 178.72),
        ("DeepLabv3 ResNet-101", 520, 61.00, 2 * 258.74),
        ("FCOS ResNet-50", 800, 32.27, 2 * 128.21),
        ("YOLOv3", 416, 61.95, 65.86),  # Redmon and Farhadi 2018, darknet's own count
        ("SSD300 VGG16", 300, 35.64, 2 * 34.86),
        # ultralytics/yolov5 README, v7.0
        ("YOLOv5n", 640, 1.87, 4.5),
        ("YOLOv5s", 640, 7.2, 16.5),
        ("YOLOv5m", 640, 21.2, 49.0),
        ("YOLOv5l", 640, 46.5, 109.1),
        ("YOLOv5x", 640, 86.7, 205.7),
        ("YOLOv5s6", 640, 12.6, 16.8),
        ("YOLOv5l6", 640, 76.8, 111.4),
        ("YOLOv5n-seg", 640, 2.0, 7.1),
        ("YOLOv5l-seg", 640, 47.9, 147.7),
        ("YOLOv5x-cls", 224, 48.1, 15.9),
    ],
)
def test_detectors_and_segmenters_have_the_published_weights_and_flops(
    name: str, image: int, millions: float, gflops: float
) -> None:
    found = detector(name, image)
    assert found is not None
    assert found.num_parameters / 1e6 == pytest.approx(millions, rel=0.02)
    assert found.forward_flops / 1e9 == pytest.approx(gflops, rel=0.02)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("Faster R-CNN ResNet-50 FPN", 41.76),  # torchvision
        ("Mask R-CNN ResNet-50 FPN", 44.40),  # torchvision
        ("U-Net", 31.03),  # counted from Ronneberger et al. 2015, figure 1
        ("3D U-Net", 31.2),  # nnU-Net's full-resolution network
    ],
)
def test_networks_whose_work_depends_on_their_pictures_have_the_published_weights(name: str, millions: float) -> None:
    found = detector(name)
    assert found is not None
    assert found.num_parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_regions_add_to_what_the_picture_takes() -> None:
    """torchvision counts 134.4 G products and sums at 800 pixels with 1,000 regions, training looks at 512 of them."""
    found = detector("Faster R-CNN", 800)
    assert found is not None
    per_region = 7 * 7 * 256 * 1024 + 1024 * 1024 + 1024 * 91 * 5
    assert found.forward_flops / 2e9 + (1000 - 512) * per_region / 1e9 == pytest.approx(134.38, rel=0.01)


def test_ssd_sees_its_published_boxes() -> None:
    """8,732 boxes at 300 pixels (Liu et al. 2016, section 2.2): 38² · 4 + 19² · 6 + 10² · 6 + 5² · 6 + 3² · 4 + 4."""
    found = detector("SSD300 ResNet-50")
    assert found is not None
    heads = found.convs[-6:]
    assert sum(head.pixels * head.outputs for head in heads) == 8732 * (81 + 4)


def test_scans_of_brains_are_seen_whole() -> None:
    whole, cube = detector("3D-UNet (BraTS 2019)"), detector("3D-UNet (BraTS 2019)", 224)
    assert whole is not None
    assert cube is not None
    assert whole.num_parameters == cube.num_parameters
    assert whole.forward_flops == pytest.approx(cube.forward_flops * 160 / 224, rel=0.01)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Stable Diffusion v2.1", "stable-diffusion-2-1"),
        ("stable-diffusion-xl-base-1.0", "SDXL 1.0"),
        ("playground-v2.5-1024px-aesthetic", "SDXL"),
        ("SD3", "stable-diffusion-3-medium"),
        ("FLUX.1-dev", "flux1dev"),
    ],
)
def test_spellings_of_a_network_mean_the_same(name: str, other: str) -> None:
    first, second = denoiser(name), denoiser(other)
    assert first is not None
    assert second is not None
    assert (first.positions, first.passes, first.pixels) == (second.positions, second.passes, second.pixels)
    assert first.network.num_parameters == second.network.num_parameters


def test_a_position_of_flux_is_multiplied_with_as_many_weights_as_its_card_has_of_one_stream() -> None:
    """12 B weights in all, those of the 19 doubled blocks counted once: (19 + 38) · 12 · 3072²."""
    found = denoiser("FLUX.1-schnell")
    assert found is not None
    assert found.network.num_parameters == pytest.approx(57 * 12 * 3072**2, rel=0.001)
    assert (found.positions, found.passes) == (64 * 64 + 256, 1)
