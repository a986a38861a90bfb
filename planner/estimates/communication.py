"""Seconds that GPUs of one node spend exchanging data, for arrays of group sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.priors import load_priors
from planner.hardware.gpu import Gpu
from planner.hardware.link import link_among
from planner.jobs.operations import Amount

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Links:
    """Bytes/s one way that a GPU reaches in a group, by the group's size (0: not known), and seconds per message."""

    by_size: Array
    latency: float

    def bandwidth(self, num_ranks: Array) -> Array:
        found: Array = self.by_size[num_ranks.astype(int)]
        return found


def node_links(gpu: Gpu, num_gpus: int) -> Links | None:
    """The links among up to `num_gpus` GPUs of a node at the share of their published bandwidth that collectives reach;
    None where they are known for no group."""
    figures = load_priors().figures
    by_size = np.zeros(num_gpus + 1)
    for size in range(2, num_gpus + 1):
        link = link_among(gpu, size)
        if link is not None:
            share = figures["pcie_share" if link.name == "PCIe" else "link_share"]
            by_size[size] = share * link.bandwidth_among(size)
    return Links(by_size, figures["collective_latency_us"] * 1e-6) if by_size.any() else None


def all_reduce_seconds(num_bytes: Amount, num_ranks: Array, links: Links) -> Array:
    """Ring: 2(n−1)/n · bytes ÷ bandwidth, and a latency that grows as log2 n; none for one rank, infinite where the
    link is not known."""
    return _ring(2.0, num_bytes, num_ranks, links)


def all_gather_seconds(num_bytes: Amount, num_ranks: Array, links: Links) -> Array:
    """Ring, bytes of the gathered whole: (n−1)/n · bytes ÷ bandwidth and latency. A reduce-scatter takes as long."""
    return _ring(1.0, num_bytes, num_ranks, links)


def _ring(passes: float, num_bytes: Amount, num_ranks: Array, links: Links) -> Array:
    bandwidth = links.bandwidth(num_ranks)
    volume = passes * (num_ranks - 1.0) / num_ranks * num_bytes
    known = np.where(bandwidth > 0, bandwidth, 1.0)
    seconds = np.where(bandwidth > 0, volume / known, np.inf) + links.latency * (1.0 + np.log2(num_ranks))
    return np.where(num_ranks > 1, seconds, 0.0)
