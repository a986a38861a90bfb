"""U-Nets and detectors against the parameters and FLOPs that their authors state."""

from __future__ import annotations

import pytest

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
    ],
)
def test_a_denoiser_has_about_the_published_weights(name: str, millions: float) -> None:
    found = denoiser(name)
    assert found is not None
    assert isinstance(found.network, ConvNet)
    assert found.network.num_parameters == pytest.approx(millions * 1e6, rel=0.06)


def test_a_step_of_stable_diffusion_takes_the_flops_that_profilers_count() -> None:
    """About 401 G products and sums at 512 pixels: 0.80 TFLOPs per pass, twice with guidance."""
    found = denoiser("Stable Diffusion v1.5")
    assert found is not None
    assert isinstance(found.network, ConvNet)
    assert found.network.forward_flops == pytest.approx(0.80e12, rel=0.03)
    assert found.passes == 2


def test_a_second_encoder_adds_about_a_third() -> None:
    plain, steered = denoiser("Stable Diffusion v1.5"), denoiser("Stable Diffusion v1.5 + ControlNet")
    assert plain is not None
    assert steered is not None
    assert isinstance(plain.network, ConvNet)
    assert isinstance(steered.network, ConvNet)
    assert 1.25 < steered.network.forward_flops / plain.network.forward_flops < 1.45


def test_an_unknown_network_is_none_and_not_a_guess() -> None:
    assert denoiser("Dream Machine 9") is None
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
