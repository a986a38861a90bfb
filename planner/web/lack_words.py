"""What rejected places lack, in words for somebody who reads his first estimate, and the way out of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planner.estimates.estimate import Bottleneck


@dataclass(frozen=True, slots=True)
class LackWords:
    """What is lacking, and what would help."""

    lacks: str
    way_out: str


LACK_WORDS: Mapping[Bottleneck, LackWords] = MappingProxyType(
    {
        Bottleneck.MEMORY: LackWords(
            "memory", "a larger GPU or more of them, a smaller number format, adapters, or activations computed again"
        ),
        Bottleneck.DTYPE: LackWords("the number format", "another number format"),
        Bottleneck.FRACTION: LackWords(
            "a number of GPUs that the job can be divided over", "another layout, another batch, or whole GPUs"
        ),
        Bottleneck.UNKNOWN_GPU: LackWords(
            "published or measured figures", "calibrate the device, or map its name to a catalogue entry"
        ),
        Bottleneck.UNKNOWN_FIGURE: LackWords("one published figure", "calibrate a device of this kind"),
        Bottleneck.CONTEXT: LackWords("a context as long as that", "shorter sequences, or another model"),
        Bottleneck.PRICE: LackWords(
            "a price that may be used", "a newer price, older ones allowed, or what an hour of an own device costs"
        ),
        Bottleneck.DEADLINE: LackWords("the speed for the deadline", "a later deadline, more nodes, or other GPUs"),
        Bottleneck.BUDGET: LackWords("a cost within the budget", "a larger budget, or a smaller job"),
        Bottleneck.POWER: LackWords("the power that its GPUs draw", "a higher power limit, or fewer or leaner GPUs"),
        Bottleneck.INTERRUPTIONS: LackWords(
            "the peace to come to an end", "offers that nobody interrupts, or checkpoints that take less time"
        ),
        Bottleneck.COMPUTE: LackWords("arithmetic", "other GPUs"),
        Bottleneck.BANDWIDTH: LackWords("memory bandwidth", "other GPUs"),
        Bottleneck.OVERHEAD: LackWords("speed of its host", "other GPUs, or larger batches"),
        Bottleneck.COMMUNICATION: LackWords("speed between its GPUs", "other GPUs, or fewer of them"),
        Bottleneck.DATA: LackWords("speed of its data loading", "faster data loading"),
    }
)
