"""Picture networks against the parameters and multiply-adds that their papers and model tables state."""

from __future__ import annotations

import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet, Stage
from planner.jobs.detection import detector
from planner.jobs.operations import training_work
from planner.jobs.pictures.windows import blocks
from planner.jobs.vision import patches, vision_network
from planner.jobs.work import Pass, WorkKind


@pytest.mark.parametrize(
    ("name", "image", "parameters", "multiply_adds"),
    [  # pytorch-image-models, results/model_metadata-in1k.csv and benchmark tables: millions and billions
        ("resnet18", 224, 11.69, 1.82),
        ("ResNet-50 v1.5", 224, 25.56, 4.11),
        ("resnet152", 224, 60.19, 11.56),
        ("resnext101_32x8d", 224, 88.79, 16.48),
        ("wide_resnet50_2", 224, 68.88, 11.43),
        ("seresnet50", 224, 28.09, 4.13),
        ("efficientnet_b0", 224, 5.29, 0.40),
        ("efficientnet-b4", 380, 19.34, 4.39),
        ("mobilenetv2_100", 224, 3.50, 0.31),
        ("vgg16", 224, 138.36, 15.47),
        ("densenet121", 224, 7.98, 2.87),
        ("convnext_base", 224, 88.59, 15.38),
        ("regnety_032", 224, 19.44, 3.20),
        ("mobilenetv3_large_100", 224, 5.48, 0.217),
        ("mobilenetv3_small_100", 224, 2.54, 0.057),
        ("ghostnet_100", 224, 5.18, 0.142),
        ("tf_efficientnetv2_s", 384, 21.46, 8.37),
        ("efficientnetv2_m", 480, 54.14, 24.58),
        ("ShuffleNetV2", 224, 2.28, 0.146),
        ("alexnet", 224, 61.10, 0.71),
        ("Inception v3", 299, 23.83, 5.73),
        ("inception_v4", 299, 42.68, 12.28),
        ("nfnet_f0", 256, 71.49, 12.62),
        ("xcit_small_12_p16_224", 224, 26.25, 4.82),
        ("swin_tiny_patch4_window7_224", 224, 28.29, 4.51),
        ("Swin-B CIFAR-10 fine-tune", 224, 87.77, 15.47),
        ("swin_large_patch4_window7_224", 224, 196.53, 34.53),
        ("mixer_b16_224", 224, 59.88, 12.62),
    ],
)
def test_weights_and_flops_are_the_published_ones(
    name: str, image: int, parameters: float, multiply_adds: float
) -> None:
    network = vision_network(name, image)
    assert isinstance(network, ConvNet)
    assert network.num_parameters / 1e6 == pytest.approx(parameters, rel=0.015)
    assert network.forward_flops / 2e9 == pytest.approx(multiply_adds, rel=0.04)


@pytest.mark.parametrize(
    ("name", "millions", "positions"),
    [
        ("vit_base_patch16_224", 86.6, 197),
        ("deit_small_patch16_224", 22.05, 197),
        ("vit_large_patch14_224", 304.2, 257),
    ],
)
def test_vision_transformers_have_their_published_size(name: str, millions: float, positions: int) -> None:
    network = vision_network(name, 224)
    assert isinstance(network, Transformer)
    assert network.num_parameters / 1e6 == pytest.approx(millions, rel=0.01)
    assert patches(name, 224) == positions


def test_a_name_that_is_not_known_gives_no_network() -> None:
    assert vision_network("resnet51", 224) is None
    assert patches("vit_base", 224) is None
    assert patches("DeiT-S", 224) == 197


def test_the_data_set_behind_a_name_changes_nothing_and_a_plus_does() -> None:
    assert vision_network("ResNet-50 (ImageNet)", 224) == vision_network("ResNet-50", 224)
    assert detector("DeepLabv3 ResNet-50") != detector("DeepLabv3+ ResNet-50")
    assert detector("DeepLabv3+") is None  # on which network is not said


@pytest.mark.parametrize(
    ("name", "millions", "multiply_adds"),
    [  # google/automl efficientdet README; normalisation, which is left out, is most of what D0 lacks
        ("EfficientDet-D0", 3.9, 2.54),
        ("efficientdet_d1", 6.6, 6.10),
        ("EfficientDet-D2", 8.1, 11.0),
        ("EfficientDet-D3", 12.0, 24.9),
        ("EfficientDet-D4", 20.7, 55.2),
        ("EfficientDet-D5", 33.7, 130.0),
        ("EfficientDet-D6", 51.9, 226.0),
        ("EfficientDet-D7", 51.9, 325.0),
    ],
)
def test_detectors_that_mix_scales_both_ways_have_their_published_weights_and_flops(
    name: str, millions: float, multiply_adds: float
) -> None:
    network = detector(name)
    assert network is not None
    assert network.num_parameters / 1e6 == pytest.approx(millions, rel=0.025)
    assert network.forward_flops / 2e9 == pytest.approx(multiply_adds, rel=0.04)


def test_a_decoder_behind_a_segmenter_has_its_published_weights_and_nearly_its_flops() -> None:
    """59.34 M as users of jfzhang95/pytorch-deeplab-xception count; 101.28 B multiply-adds (Chen et al. 2018, table 3),
    whose residual network begins with three convolutions of 3 × 3 in place of one of 7 × 7, some 7 B more."""
    network = detector("DeepLabv3+ ResNet-101")
    assert network is not None
    assert network.num_parameters / 1e6 == pytest.approx(59.34, rel=0.002)
    assert network.forward_flops / 2e9 + 6.8 == pytest.approx(101.28, rel=0.02)


def test_a_convolution_counts_by_hand() -> None:
    conv = Conv(size=10, inputs=8, outputs=16, kernel=3, groups=2, count=2)
    assert conv.num_parameters == 2 * 9 * 4 * 16
    assert conv.flops == 2 * 100 * 9 * 4 * 16


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one convolution"):
        ConvNet("empty", (), 224, 10)


def test_a_stage_counts_by_hand() -> None:
    """Two windows of four positions, one block of width 8 and two heads: per position 4·8² + 2·8·32 weights."""
    stage = Stage(blocks(1, 8, 2), sequences=2, tokens=4)
    weights = 4 * 8 * 8 + 2 * 8 * 32
    assert stage.num_parameters == weights
    assert stage.flops == 2 * 8 * weights + 4 * (2 * 4 * 4) * 8


def test_a_volume_and_a_picture_that_is_not_square_have_their_own_pixels() -> None:
    volume = Conv(size=8, inputs=2, outputs=4, kernel=3, dimensions=3)
    assert (volume.pixels, volume.taps, volume.num_parameters) == (512, 27, 27 * 2 * 4)
    flat = Conv(size=16, inputs=2, outputs=4, kernel=7, height=4, width=1)
    assert (flat.pixels, flat.taps) == (64, 7)


def test_a_product_of_activations_has_work_and_no_weights() -> None:
    conv = Conv(size=4, inputs=8, outputs=16, is_weightless=True)
    assert conv.num_parameters == 0
    assert conv.flops == 2 * 16 * 8 * 16


def test_the_blocks_of_a_picture_network_are_part_of_a_training_step() -> None:
    """Three passes of the forward FLOPs, but attention that is computed again: 7 products where the forward has 2."""
    network = vision_network("Swin-T", 224)
    assert isinstance(network, ConvNet)
    work = training_work(network, Pass(1.0, 1.0, Dtype.FP16), 0.0)
    products = sum(w.flops * w.count for w in work.forward if w.kind is not WorkKind.MEMORY)
    assert products == pytest.approx(network.forward_flops, rel=1e-6)
    attention = [w for w in work.forward if w.kind is WorkKind.ATTENTION]
    assert len(attention) == 4
    assert any(w.name == "windows" for w in work.forward)
