"""A network drawn layer by layer: each convolution takes the picture that the one before left."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from planner.jobs.convnet import Conv

# Where a network was run, which tables put behind its name: it changes nothing of the network.
_PLACE = re.compile(r"\((?:mlperf|imagenet[^)]*|coco|cifar[^)]*)\)")


def plain_name(name: str) -> str:
    """A published name as letters and figures alone, without the data set that stands in brackets behind it."""
    bare = _PLACE.sub("", name.casefold()).replace("+", "plus")
    return re.sub(r"[^a-z0-9]+", "", bare)


@dataclass(slots=True)
class Sketch:
    """A picture of `size` pixels a side with so many channels, and the convolutions that led to it."""

    size: int
    channels: int
    convs: list[Conv] = field(default_factory=list)

    def conv(
        self,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        width: int = 0,
        linear: bool = False,
        excited: bool = False,
        unpadded: bool = False,
    ) -> Sketch:
        """One more convolution; padded ones keep the size (divided by the stride), others lose their rim."""
        self.size = (self.size - kernel) // stride + 1 if unpadded else math.ceil(self.size / stride)
        self.convs.append(
            Conv(self.size, self.channels, outputs, kernel, groups, 1, linear, excited, width=width),
        )
        self.channels = outputs
        return self

    def depthwise(self, kernel: int, stride: int = 1, *, excited: bool = False, linear: bool = False) -> Sketch:
        """A convolution of every channel on its own."""
        return self.conv(self.channels, kernel, stride, groups=self.channels, excited=excited, linear=linear)

    def squeezed(self, inner: int) -> Sketch:
        """Squeeze and excitation: two products on averaged channels."""
        self.convs += squeeze(self.channels, inner)
        return self

    def pooled(self, stride: int, kernel: int = 0) -> Sketch:
        """A smaller picture without a convolution; with a kernel it loses its rim."""
        self.size = (self.size - kernel) // stride + 1 if kernel else math.ceil(self.size / stride)
        return self

    def branch(self) -> Sketch:
        """Another path from the picture as it is; its convolutions are counted with `join`."""
        return Sketch(self.size, self.channels)

    def join(self, *branches: Sketch, channels: int | None = None) -> Sketch:
        """All paths together: their channels side by side, or as many as stated."""
        for branch in branches:
            self.convs += branch.convs
        self.size = branches[0].size
        self.channels = sum(branch.channels for branch in branches) if channels is None else channels
        return self


def squeeze(width: int, inner: int) -> list[Conv]:
    """Squeeze and excitation: two products on pooled channels (Hu et al. 2018)."""
    return [Conv(1, width, inner, is_linear=True), Conv(1, inner, width, is_linear=True)]


def rounded(width: float, step: int = 8) -> int:
    """A width as mobile networks round it: to a multiple of `step`, never down by more than a tenth."""
    near = max(step, int(width + step / 2) // step * step)
    return near + step if near < 0.9 * width else near


def stretched(convs: Iterable[Conv], width: int, height: int) -> tuple[Conv, ...]:
    """The same on a picture of `width` × `height` pixels, drawn for one of `width` a side."""
    return tuple(
        conv if conv.pixels == 1 else replace(conv, height=max(1, math.ceil(conv.size * height / width)))
        for conv in convs
    )


def over_rows(rows: int, inputs: int, outputs: int, *, count: int = 1) -> Conv:
    """A dense layer over so many rows per picture."""
    return Conv(rows, inputs, outputs, count=count, is_linear=True, height=1)
