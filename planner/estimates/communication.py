"""Seconds that GPUs spend exchanging data, for arrays of group sizes: inside a fast domain and across nodes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.links import MeasuredLinks
from planner.estimates.priors import load_priors
from planner.hardware.gpu import Gpu, LinkTopology
from planner.hardware.link import link_among, node_link, slot_link
from planner.jobs.operations import Amount
from planner.quantity import Basis, Cause

Array = NDArray[np.float64]
# GeForce cards have no peer access over PCIe (their driver leaves it out): each transfer goes through host memory. The
# bridges that two of the 30 series can be joined by are sold apart, and few have one.
NO_PEER_ACCESS = re.compile(r"[GR]TX-\d{4}")
# How far a collective inside a job lies from the same one alone, once the usual loss is counted (assumed).
BESIDE_A_JOB = 0.2
RACK_SCALE = 16  # links that join more GPUs than this leave the chassis: the whole rack is one fast domain


@dataclass(frozen=True, slots=True)
class Links:
    """Bytes/s one way that a GPU reaches in a group of one fast domain, by the group's size (0: not known), bytes/s
    per GPU to other domains (0: none or not known), and seconds per message inside and across; `hides` is the part of
    what usually hides behind passes that still does."""

    by_size: Array
    latency: float
    network: float = 0.0
    network_latency: float = 0.0
    hides: float = 1.0
    rounds: bool = True  # the latency inside grows as log2 n; not where every GPU reads all others' at once

    @property
    def domain(self) -> int:
        """GPUs that the fast links join."""
        return max(1, int(self.by_size.size) - 1)

    def bandwidth(self, num_ranks: Array) -> Array:
        found: Array = self.by_size[np.minimum(num_ranks, self.domain).astype(int)]
        return found


def node_links(
    gpu: Gpu,
    num_gpus: int,
    gpus_per_node: int | None = None,
    network_bytes_per_s: float | None = None,
    shares: tuple[str, str] = ("link_share", "pcie_share"),
) -> Links | None:
    """The links among `num_gpus` GPUs, so many to a node (None: all in one), at the share of their published bandwidth
    that collectives reach; None where known for no group. The network is the family's usual one unless given."""
    priors = load_priors()
    figures = priors.figures
    per_node = min(num_gpus, gpus_per_node or num_gpus)
    joined = gpu.link_domain_gpus or 0
    if gpu.link_topology is LinkTopology.SWITCH and joined > RACK_SCALE:
        per_node = min(num_gpus, max(per_node, joined))
    by_size = np.zeros(per_node + 1)
    without_peers = NO_PEER_ACCESS.match(gpu.key) is not None
    for size in range(2, per_node + 1):
        link = slot_link(gpu) if without_peers else link_among(gpu, size)
        if link is not None:
            share = figures[shares[link.name == "PCIe"]]
            share *= figures["host_transfer_share"] if without_peers else 1.0
            by_size[size] = share * link.bandwidth_among(size)
    network = 0.0
    if num_gpus > per_node:
        usual = priors.of(gpu).network_bytes_per_s
        network = figures["network_share"] * (usual if network_bytes_per_s is None else network_bytes_per_s)
    latency = figures["collective_latency_us"] * 1e-6
    if not by_size.any() and per_node > 1:
        return None
    hides = figures["host_transfer_overlap"] if without_peers else 1.0
    return Links(by_size, latency, network, figures["network_latency_us"] * 1e-6, hides)


def with_measured(
    found: Links | None,
    measured: MeasuredLinks | None,
    in_job: float,
    num_gpus: int,
    gpus_per_node: int | None = None,
) -> Links | None:
    """The links with what was measured of them in place of published figures; None where neither tells any.

    `in_job` is the part of a bare collective's bandwidth that is left beside a job's own work. A group of a size that
    lies outside of what was measured keeps the published figure.
    """
    if measured is None:
        return found
    per_node = min(num_gpus, gpus_per_node or num_gpus)
    by_size = np.zeros(per_node + 1) if found is None else found.by_size.copy()
    for size in range(2, by_size.size):
        rate = measured.bandwidth(size)
        by_size[size] = by_size[size] if rate is None else in_job * rate
    if found is None and not by_size.any():
        return None
    if found is not None:
        return replace(found, by_size=by_size)
    figures = load_priors().figures
    return Links(by_size, figures["collective_latency_us"] * 1e-6)


def training_share(gpu: Gpu) -> float:
    """The part of a bare collective's bandwidth that collectives of a training job reach."""
    link = node_link(gpu)
    kind = "pcie_share" if link is None or link.name == "PCIe" else "link_share"
    figures = load_priors().figures
    return figures[f"training_{kind}"] / figures[kind]


def communication_cause(measured: MeasuredLinks | None) -> Cause:
    """How far the time of a collective may be off: less where the links were measured."""
    if measured is None:
        return Cause("communication", load_priors().figures["communication_spread"])
    return Cause("communication, measured without a job beside it", math.hypot(measured.error or 0.0, BESIDE_A_JOB))


def measured_note(measured: MeasuredLinks | None, num_gpus: int, basis: Basis) -> tuple[str, ...]:
    """What was measured of the links that so many GPUs of a node use, in words; nothing where nothing was.

    `basis` is that of the whole estimate: transferred, where another node with such GPUs was measured.
    """
    if measured is None or num_gpus < 2:
        return ()
    size = min(num_gpus, measured.largest)
    rate = measured.bandwidth(size)
    if rate is None:
        return ()
    where = "on another node with such GPUs" if basis is Basis.TRANSFERRED else "on this node"
    miss = "" if measured.error is None else f", ±{measured.error:.0%} over message sizes"
    return (f"What GPUs exchange was measured {where}: {rate / 1e9:.3g} GB/s one way among {size}{miss}.",)


def all_reduce_seconds(num_bytes: Amount, num_ranks: Array, links: Links, stride: Amount = 1.0) -> Array:
    """Ring: 2(n−1)/n · bytes ÷ bandwidth, and a latency that grows as log2 n; none for one rank, infinite where the
    link is not known. Members that lie `stride` GPUs apart meet inside a fast domain first, then across domains."""
    return _ring(2.0, num_bytes, num_ranks, links, stride)


def all_gather_seconds(num_bytes: Amount, num_ranks: Array, links: Links, stride: Amount = 1.0) -> Array:
    """Ring, bytes of the gathered whole: (n−1)/n · bytes ÷ bandwidth and latency. A reduce-scatter takes as long."""
    return _ring(1.0, num_bytes, num_ranks, links, stride)


def all_to_all_seconds(num_bytes: Amount, num_ranks: Array, links: Links, stride: Amount = 1.0) -> Array:
    """Every rank sends (n−1)/n of its bytes: to members of its domain over the links, to others over the network."""
    inside = _inside(num_ranks, links, stride)
    near = (inside - 1.0) / num_ranks * num_bytes
    far = (num_ranks - inside) / num_ranks * num_bytes
    seconds = _over(near, links.bandwidth(inside)) + _over(far, np.asarray(links.network))
    latency = _inside_latency(inside, links) + np.where(num_ranks > inside, links.network_latency, 0.0)
    return np.where(num_ranks > 1, seconds + latency, 0.0)


def send_seconds(num_bytes: Amount, links: Links, stride: Amount) -> Array:
    """To the GPU `stride` places further, in another domain where the stride leaves this one."""
    far = np.asarray(stride) >= links.domain
    bandwidth = np.where(far, links.network, links.bandwidth(np.full(np.shape(far), 2.0)))
    return _over(np.asarray(num_bytes), bandwidth) + np.where(far, links.network_latency, links.latency)


def _inside(num_ranks: Array, links: Links, stride: Amount) -> Array:
    """How many members of a group lie in one fast domain."""
    room = np.maximum(np.floor(links.domain / np.asarray(stride, dtype=float)), 1.0)
    inside: Array = np.minimum(num_ranks, room)
    return inside


def _ring(passes: float, num_bytes: Amount, num_ranks: Array, links: Links, stride: Amount) -> Array:
    inside = _inside(num_ranks, links, stride)
    domains = num_ranks / inside
    near = passes * (inside - 1.0) / inside * num_bytes
    far = passes * (domains - 1.0) / domains * num_bytes / inside
    seconds = _over(near, links.bandwidth(inside)) + _over(far, np.asarray(links.network))
    latency = np.where(inside > 1, _inside_latency(inside, links), 0.0)
    latency = latency + np.where(domains > 1, links.network_latency * (1.0 + np.log2(np.maximum(domains, 1.0))), 0.0)
    return np.where(num_ranks > 1, seconds + latency, 0.0)


def _inside_latency(inside: Array, links: Links) -> Array:
    """Of one exchange inside a domain."""
    found: Array = links.latency * (1.0 + np.log2(inside) * links.rounds)
    return found


def _over(num_bytes: Amount, bandwidth: Array) -> Array:
    """bytes ÷ bandwidth, none for no bytes, infinite where the bandwidth is not known."""
    known = np.where(bandwidth > 0, bandwidth, 1.0)
    seconds: Array = np.where(bandwidth > 0, num_bytes / known, np.where(np.asarray(num_bytes) > 0, np.inf, 0.0))
    return seconds
