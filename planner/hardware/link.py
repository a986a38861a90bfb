"""Links between the GPUs of one node, and the seconds of collectives over them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from planner.hardware.gpu import Figure, Gpu, LinkTopology

# PCI-SIG base specifications: giga-transfers per second and lane, and the share of payload in the line code
# (8b/10b up to 2.0, 128b/130b from 3.0, 242 of 256 bytes of a flit in 6.0). One transfer carries one bit.
_PCIE_LANES = {
    1.0: (2.5, 8 / 10),
    2.0: (5.0, 8 / 10),
    3.0: (8.0, 128 / 130),
    4.0: (16.0, 128 / 130),
    5.0: (32.0, 128 / 130),
    6.0: (64.0, 242 / 256),
}
_PCIE_AS_OF = date(2026, 11, 20)


@dataclass(frozen=True, slots=True)
class NodeLink:
    """What joins one GPU to the others of its node. `bandwidth` is one way, all links of the GPU together.

    `max_ranks` is how many GPUs such links join; None where only the node's size limits it, as on a bus.
    """

    name: str
    topology: LinkTopology
    bandwidth: Figure
    max_ranks: int | None

    def reaches(self, num_ranks: int) -> bool:
        """Whether so many GPUs can be joined by these links alone."""
        return self.max_ranks is None or num_ranks <= self.max_ranks

    def bandwidth_among(self, num_ranks: int) -> float:
        """Bytes/s one way that one GPU has towards a group of `num_ranks` (itself included).

        All of it through a switch or a bus. In a mesh a group of n out of N uses (n−1)/(N−1) of the links. Partial
        meshes, where some pairs have more links than others, are taken as even meshes, which is low for
        neighbours. The slot's figure takes no account of other cards behind the same PCIe switch.
        """
        if num_ranks < 2:
            raise ValueError(f"a group has at least 2 ranks, not {num_ranks}")
        if not self.reaches(num_ranks):
            raise ValueError(f"{self.name} joins {self.max_ranks} GPUs, not {num_ranks}")
        if self.max_ranks is None or self.topology not in (LinkTopology.MESH, LinkTopology.PARTIAL):
            return self.bandwidth.value
        return self.bandwidth.value * (num_ranks - 1) / (self.max_ranks - 1)


def node_link(gpu: Gpu) -> NodeLink | None:
    """The links that `gpu` has of its own to the others of its node, or else its slot; None where not known.

    Links that lead out of the node are left out (Gaudi), and links to the CPU join no GPUs (Grace Hopper).
    """
    if gpu.link_topology in (LinkTopology.BUS, LinkTopology.HOST):
        return slot_link(gpu)
    bandwidth = gpu.node_bandwidth or gpu.link_bandwidth
    if gpu.link_topology is LinkTopology.UNKNOWN or bandwidth is None or (gpu.link_domain_gpus or 0) < 2:
        return None
    return NodeLink(gpu.link_name, gpu.link_topology, bandwidth, gpu.link_domain_gpus)


def slot_link(gpu: Gpu) -> NodeLink | None:
    """The PCIe slot of `gpu` as a link to any number of others; None where the slot is not known."""
    if gpu.pcie_generation is None or gpu.pcie_lanes is None:
        return None
    bandwidth = Figure(
        value=pcie_bandwidth(gpu.pcie_generation, gpu.pcie_lanes),
        source="PCI Express base specification: transfer rate times lanes times line code",
        as_of=_PCIE_AS_OF,
        note=f"PCIe {gpu.pcie_generation:g} x{gpu.pcie_lanes}, before protocol overhead",
    )
    return NodeLink("PCIe", LinkTopology.BUS, bandwidth, None)


def link_among(gpu: Gpu, num_ranks: int) -> NodeLink | None:
    """The link over which `num_ranks` GPUs of one node talk: their own where it reaches all, else the slot.

    A group that outgrows its bridge is never given the bridge's bandwidth. None where the GPU's own links are not
    known: such parts mostly sit in no slot.
    """
    own = node_link(gpu)
    return own if own is None or own.reaches(num_ranks) else slot_link(gpu)


def pcie_bandwidth(generation: float, lanes: int) -> float:
    """Bytes/s one way of a PCIe slot after its line code, before packet headers."""
    if generation not in _PCIE_LANES:
        raise ValueError(f"no PCIe generation {generation}; there are {sorted(_PCIE_LANES)}")
    if lanes < 1:
        raise ValueError(f"a slot has at least 1 lane, not {lanes}")
    giga_transfers, payload = _PCIE_LANES[generation]
    return giga_transfers * 1e9 * payload * lanes / 8


def all_reduce_seconds(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> float:
    """Seconds for a ring all-reduce of `num_bytes` per rank: 2(n−1)/n · bytes / bandwidth + 2(n−1) · latency.

    `bandwidth` is bytes/s one way per rank, `latency` seconds per step. One rank takes no time.
    """
    return 2 * all_gather_seconds(num_bytes, num_ranks, bandwidth, latency)


def all_gather_seconds(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> float:
    """Seconds for a ring all-gather: (n−1)/n · bytes / bandwidth + (n−1) · latency.

    `num_bytes` is the gathered whole that each rank ends with, not the share that it brings.
    """
    _require(num_bytes, num_ranks, bandwidth, latency)
    others = num_ranks - 1
    return others / num_ranks * num_bytes / bandwidth + others * latency


def reduce_scatter_seconds(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> float:
    """Seconds for a ring reduce-scatter: (n−1)/n · bytes / bandwidth + (n−1) · latency.

    `num_bytes` is the whole that each rank begins with, not the share that it ends with.
    """
    return all_gather_seconds(num_bytes, num_ranks, bandwidth, latency)


def all_to_all_seconds(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> float:
    """Seconds for an all-to-all of `num_bytes` held by each rank: (n−1)/n · bytes / bandwidth + (n−1) · latency.

    Every rank keeps 1/n of its bytes and sends the rest, one message to each peer.
    """
    return all_gather_seconds(num_bytes, num_ranks, bandwidth, latency)


def send_seconds(num_bytes: float, bandwidth: float, latency: float) -> float:
    """Seconds to send `num_bytes` from one rank to another, as between pipeline stages: bytes / bandwidth + latency."""
    _require(num_bytes, 1, bandwidth, latency)
    return num_bytes / bandwidth + latency


def _require(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> None:
    if not (math.isfinite(num_bytes) and num_bytes >= 0):
        raise ValueError(f"num_bytes must be finite and not negative, not {num_bytes}")
    if num_ranks < 1:
        raise ValueError(f"num_ranks must be at least 1, not {num_ranks}")
    if not (math.isfinite(bandwidth) and bandwidth > 0):
        raise ValueError(f"bandwidth must be finite and positive, not {bandwidth}")
    if not (math.isfinite(latency) and latency >= 0):
        raise ValueError(f"latency must be finite and not negative, not {latency}")
