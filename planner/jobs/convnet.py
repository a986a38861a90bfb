"""The shape of a network for pictures: its convolutions and its blocks of attention one by one, enough to count
weights, FLOPs and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from planner.jobs.architecture import Transformer


@dataclass(frozen=True, slots=True)
class Conv:
    """`count` equal convolutions that write `outputs` channels of `size` × `size` pixels.

    `height` is the number of lines where a picture is not square, `dimensions` 3 for volumes of `size` a side.
    `groups` divides the channels; as many groups as inputs is a depthwise convolution. `is_linear` marks one without
    normalisation and activation behind it, `is_excited` one whose channels are averaged and scaled, `is_weightless` a
    product of two activations, which has the shape of a convolution and no weights. A dense layer over some rows is a
    convolution of kernel 1 whose pixels are the rows. `width` is the kernel's second side where it is not square.
    """

    size: int
    inputs: int
    outputs: int
    kernel: int = 1
    groups: int = 1
    count: int = 1
    is_linear: bool = False
    is_excited: bool = False
    height: int = 0  # 0: as size
    dimensions: int = 2
    is_weightless: bool = False
    width: int = 0  # 0: as kernel

    @property
    def pixels(self) -> int:
        """Positions that it writes."""
        return int(self.size ** (self.dimensions - 1)) * (self.height or self.size)

    @property
    def taps(self) -> int:
        """Positions that it reads for each of them."""
        return int(self.kernel ** (self.dimensions - 1)) * (self.width or self.kernel)

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel is on its own."""
        return self.groups == self.inputs and self.groups > 1

    @property
    def num_parameters(self) -> int:
        """Weights of all of them, biases and normalisation left out."""
        return 0 if self.is_weightless else self.count * self.taps * self.inputs // self.groups * self.outputs

    @property
    def flops(self) -> float:
        """Forward FLOPs of one of them on one picture: two per weight and pixel."""
        return 2.0 * self.pixels * self.taps * (self.inputs // self.groups) * self.outputs


@dataclass(frozen=True, slots=True)
class Stage:
    """Transformer blocks over the positions of a picture, which attend within `sequences` windows of `tokens` each.

    `block` is the shape of the blocks; its vocabulary stands for nothing.
    """

    block: Transformer
    sequences: int
    tokens: int

    @property
    def num_parameters(self) -> int:
        """Weights of all blocks."""
        return self.block.num_parameters - self.block.embedding_parameters

    @property
    def flops(self) -> float:
        """Forward FLOPs of all blocks on one picture: two per weight and position, 4·d per pair and head."""
        pairs = float(self.sequences * self.tokens**2)
        attention = 4.0 * pairs * self.block.num_heads * self.block.head_dim * self.block.num_layers
        return 2.0 * self.sequences * self.tokens * self.num_parameters + attention


@dataclass(frozen=True, slots=True)
class ConvNet:
    """A network for pictures of `image_size` pixels a side; `classes` is the width of its last product, a dense layer
    over `features` (0: it has none). `host_steps` are small operations per picture that its training waits for, one
    after the other."""

    name: str
    convs: tuple[Conv, ...]
    image_size: int
    features: int  # inputs of the classifier
    classes: int = 1000
    stages: tuple[Stage, ...] = ()
    host_steps: int = 0

    def __post_init__(self) -> None:
        if not self.convs:
            raise ValueError("a convolutional network has at least one convolution")

    @property
    def num_parameters(self) -> int:
        """Weights of convolutions, blocks and classifier."""
        inside = sum(conv.num_parameters for conv in self.convs) + sum(stage.num_parameters for stage in self.stages)
        return inside + self.features * self.classes

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
        inside = sum(conv.count * conv.flops for conv in self.convs) + sum(stage.flops for stage in self.stages)
        return inside + 2.0 * self.features * self.classes
