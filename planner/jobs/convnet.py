"""The shape of a convolutional network: its convolutions one by one, enough to count weights, FLOPs and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conv:
    """`count` equal convolutions that write `outputs` channels of `size` × `size` pixels.

    `groups` divides the channels; as many groups as inputs is a depthwise convolution. `is_linear` marks one without
    normalisation and activation behind it, `is_excited` one whose channels are averaged and scaled.
    """

    size: int
    inputs: int
    outputs: int
    kernel: int = 1
    groups: int = 1
    count: int = 1
    is_linear: bool = False
    is_excited: bool = False

    @property
    def num_parameters(self) -> int:
        """Weights of all of them, biases and normalisation left out."""
        return self.count * self.kernel**2 * self.inputs // self.groups * self.outputs

    @property
    def flops(self) -> float:
        """Forward FLOPs of one of them on one picture: two per weight and pixel."""
        return 2.0 * self.size**2 * self.kernel**2 * (self.inputs // self.groups) * self.outputs


@dataclass(frozen=True, slots=True)
class ConvNet:
    """A network for pictures of `image_size` pixels a side; `classes` is the width of its last product."""

    name: str
    convs: tuple[Conv, ...]
    image_size: int
    features: int  # inputs of the classifier
    classes: int = 1000

    def __post_init__(self) -> None:
        if not self.convs:
            raise ValueError("a convolutional network has at least one convolution")

    @property
    def num_parameters(self) -> int:
        """Weights of convolutions and classifier."""
        return sum(conv.num_parameters for conv in self.convs) + self.features * self.classes

    @property
    def num_active_parameters(self) -> int:
        """All of them: nothing is routed."""
        return self.num_parameters

    @property
    def max_positions(self) -> None:
        """Pictures have no positions."""
        return

    @property
    def forward_flops(self) -> float:
        """FLOPs of one picture forward."""
        return sum(conv.count * conv.flops for conv in self.convs) + 2.0 * self.features * self.classes
