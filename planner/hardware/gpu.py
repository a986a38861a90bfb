"""A catalogue entry: what one GPU (or CPU) model can do at best, figure by figure, each with its source and date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Vendor(StrEnum):
    NVIDIA = "NVIDIA"
    AMD = "AMD"
    INTEL = "Intel"
    APPLE = "Apple"
    OTHER = "other"


class GpuKind(StrEnum):
    GPU = "gpu"
    CPU = "cpu"


class Dtype(StrEnum):
    """Number formats that have a peak of their own."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"
    FP4 = "fp4"

    @property
    def num_bytes(self) -> float:
        """Bytes of one stored element."""
        return {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}[self.value]


class LinkTopology(StrEnum):
    """How the direct links of one node's GPUs join them; `hardware/link.py` draws bandwidths from it."""

    SWITCH = "switch"  # any group has the full bandwidth
    MESH = "mesh"  # an equal share of the links to each peer
    PARTIAL = "partial"  # several links to some peers, fewer or none to others
    BUS = "bus"  # no links of their own: the PCIe slot
    HOST = "host"  # links to the CPU only
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number in SI units with where it was read and when it was true."""

    value: float
    source: str
    as_of: date
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU model. The variant is part of the identity: H100-80GB-SXM is not H100-80GB-PCIE.

    `peak_flops` are dense rates per dtype in FLOP/s; a dtype that is absent is not supported or not known.
    Every other figure is None where unknown.
    """

    key: str
    vendor: Vendor
    kind: GpuKind
    generation: str
    release_year: int | None
    form_factor: str
    memory_bytes: Figure | None
    memory_type: str
    memory_bandwidth: Figure | None  # bytes/s
    peak_flops: Mapping[Dtype, Figure]
    power_watts: Figure | None  # board power limit as sold
    l2_bytes: Figure | None
    num_units: int | None  # SMs, CUs, Xe cores or CPU cores
    boost_hz: Figure | None
    link_name: str  # NVLink4, xGMI, PCIe …
    link_bandwidth: Figure | None  # bytes/s one way, all links of one GPU together
    link_domain_gpus: int | None  # how many GPUs such links join
    pcie_generation: float | None
    compute_capability: str
    notes: str = ""
    link_topology: LinkTopology = LinkTopology.UNKNOWN
    node_bandwidth: Figure | None = None  # as link_bandwidth, where some of the links leave the node
    pcie_lanes: int | None = None

    def peak(self, dtype: Dtype) -> float | None:
        """Dense FLOP/s at `dtype`, None where not supported or not known."""
        figure = self.peak_flops.get(dtype)
        return None if figure is None else figure.value
