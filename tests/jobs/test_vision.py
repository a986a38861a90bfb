"""Picture networks against the parameters and multiply-adds that their papers and model tables state."""

from __future__ import annotations

import pytest

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.vision import patches, vision_network


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


def test_a_convolution_counts_by_hand() -> None:
    conv = Conv(size=10, inputs=8, outputs=16, kernel=3, groups=2, count=2)
    assert conv.num_parameters == 2 * 9 * 4 * 16
    assert conv.flops == 2 * 100 * 9 * 4 * 16


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one convolution"):
        ConvNet("empty", (), 224, 10)
