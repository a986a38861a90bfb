"""The words of the pages, said once for somebody who meets them for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Word:
    """A word, what it means here, and its anchor on the page of words."""

    word: str
    means: str

    @property
    def anchor(self) -> str:
        return self.word.lower().replace(" ", "-").replace(",", "")


BASES: Mapping[str, str] = MappingProxyType(  # from the surest to none at all
    {
        "measured": "measured on this very device",
        "interpolated": "between measurements of this device",
        "transferred": "from measurements of another device",
        "derived": "arithmetic on published figures",
        "assumed": "rests on a labelled default",
        "unknown": "nothing to go by",
    }
)
WORDS: tuple[tuple[str, tuple[Word, ...]], ...] = (
    (
        "Estimates",
        (
            Word(
                "Estimate", "Time, memory, energy and cost of one job on every device and offer, kept as it was made."
            ),
            Word("Option", "One place that can do the job, with its figures; options are ranked by cost or by time."),
            Word("Rejection", "A place that cannot do the job as asked, with the figure that decided it."),
            Word("Range", "Low – middle – high. The truth is meant to lie inside nine times in ten."),
            Word(
                "Cause", "What widens a range, and by how much: a missing measurement, an assumption, a small sample."
            ),
            Word("Basis", "Where a number comes from, from measured to unknown; the list stands above."),
            Word("Layout", "How the work is split over the GPUs: data, tensor, pipeline, context and expert parallel."),
            Word("Bound by", "What the time is mostly spent on: arithmetic, memory bandwidth, the host, or exchange."),
            Word("Ledger", "What finished jobs really took and cost, beside what was estimated."),
        ),
    ),
    (
        "Hardware and measurements",
        (
            Word("GPU", "An entry of the catalogue with its published figures, as H100-80GB-SXM; not one card."),
            Word("Device", "One physical GPU, or the processor of a machine, known by its UUID."),
            Word("Node", "The machine that a device sits in."),
            Word("Calibration", "Measuring a device with a suite of benches, so that estimates rest on it."),
            Word("Bench", "One thing that is measured, as a matrix product of one size."),
            Word("Suite", "A list of benches: smoke takes seconds, quick a minute or two, standard some minutes."),
            Word("Sample", "What one bench took: the median of several visits, with its spread."),
            Word("Fit", "The speeds drawn from all samples of a device; the newest one is used."),
            Word("Drift", "A device becomes slower than its own earlier runs say."),
            Word("Quarantine", "A device that is kept from work until a check succeeds or somebody lets it out."),
        ),
    ),
    (
        "Money",
        (
            Word("Offer", "One way to get GPU time: owned, on demand, spot, reserved or negotiated."),
            Word(
                "Price", "What an offer costs per hour from a day on, with its source. Prices are added, never changed."
            ),
            Word("As of", "The moment whose prices are used. As known at: what was known then, later news left out."),
            Word("Stated", "How long ago the source gave the price: fresh within 30 days, old from 180 on."),
            Word("On demand", "Rented by the hour, kept as long as it is wanted."),
            Word(
                "Spot",
                "Rented for less; the provider may take it back at any time. The job goes on from its last checkpoint.",
            ),
            Word("Reserved", "Paid for one year or three, used or not, for less per hour."),
            Word("Break-even", "The use from which owning costs less than renting."),
            Word("Unknown", "Nobody has said it. It is never counted as zero, and left out of every sum."),
        ),
    ),
    (
        "Services and plans",
        (
            Word("Level", "What a service promises, as: 95 % of requests get their first token within 500 ms."),
            Word("p95", "The time that 95 of 100 requests stay within; p50 is the middle one."),
            Word(
                "First token",
                "How long a request waits until its answer begins. The prompt is read meanwhile (prefill).",
            ),
            Word("Per token", "How long each further token of an answer takes (decode)."),
            Word("Replica", "One copy of a model with all the GPUs that it needs."),
            Word("Head-room", "The part of what a replica could serve that is kept free."),
            Word("Plan", "Which job runs where and when, and what to own, reserve or rent for it, at least cost."),
            Word("Commitment", "What is paid for whether or not it is used: bought or reserved GPUs."),
            Word("Gap", "How much cheaper a better plan could be at most, as proven by the search."),
            Word("Regret", "What a choice costs beyond the choice that would have been best, once demand is known."),
        ),
    ),
)
