"""GPUs, placements and fits for tests of estimates."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from planner.calibration.draw import fit_samples
from planner.calibration.fit import Fit
from planner.estimates.estimate import Placement
from planner.hardware.gpu import Dtype, Figure, Gpu, GpuKind, LinkTopology, Vendor
from tests.builders import offer, price
from tests.recordings import recorded_samples


def figure(value: float) -> Figure:
    return Figure(value, "a data sheet", date(2026, 1, 1))


def gpu(**changes: Any) -> Gpu:
    """An invented card near an H100."""
    base = Gpu(
        key="TEST-80GB",
        vendor=Vendor.NVIDIA,
        kind=GpuKind.GPU,
        generation="Hopper",
        release_year=2024,
        form_factor="SXM",
        memory_bytes=figure(80e9),
        memory_type="HBM",
        memory_bandwidth=figure(3e12),
        peak_flops={Dtype.BF16: figure(1000e12), Dtype.FP16: figure(1000e12), Dtype.FP32: figure(60e12)},
        power_watts=figure(700.0),
        l2_bytes=figure(50e6),
        num_units=132,
        boost_hz=figure(1.8e9),
        link_name="NVLink 4",
        link_bandwidth=figure(450e9),
        link_domain_gpus=8,
        pcie_generation=5.0,
        compute_capability="9.0",
        link_topology=LinkTopology.SWITCH,
        pcie_lanes=16,
    )
    return replace(base, **changes)


def cpu(**changes: Any) -> Gpu:
    """A CPU that the catalogue has no figures of."""
    base = gpu(
        key="Some CPU",
        vendor=Vendor.AMD,
        kind=GpuKind.CPU,
        generation="",
        memory_bytes=None,
        memory_bandwidth=None,
        peak_flops={},
        power_watts=None,
        link_bandwidth=None,
        link_domain_gpus=None,
        pcie_generation=None,
        link_topology=LinkTopology.UNKNOWN,
        pcie_lanes=None,
    )
    return replace(base, **changes)


def rented(model: Gpu | None = None, num_gpus: str = "1", amount: str | None = "2.00", **changes: Any) -> Placement:
    """An offer of `num_gpus` cards at `amount` an hour."""
    model = model or gpu()
    base = Placement(
        gpu=model,
        num_gpus=Decimal(num_gpus),
        offer_id=1,
        offer=offer(gpu_key=model.key, gpu_name=model.key, num_gpus=Decimal(num_gpus)),
        price_id=1,
        price=price(amount),
    )
    return replace(base, **changes)


def attached(model: Gpu | None = None, **changes: Any) -> Placement:
    """A device of this machine with 16 GB."""
    base = Placement(
        gpu=model or cpu(),
        num_gpus=Decimal(1),
        device_id="device-1",
        device_name="Some CPU",
        device_memory_bytes=16_000_000_000,
    )
    return replace(base, **changes)


def cpu_fit() -> Fit:
    """What a recorded run on two cores says."""
    return fit_samples(recorded_samples(), cpu())
