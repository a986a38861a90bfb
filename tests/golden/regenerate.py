"""`python -m tests.golden.regenerate`: write the golden estimates anew. The difference is reviewed and explained."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from planner.calibration.fit import Fit
from planner.estimates.answer import answer
from planner.estimates.estimate import Option, Placement, Rejection
from planner.hardware.catalogue import load_catalogue
from planner.jobs.presets import JOBS
from tests.builders import offer, price
from tests.estimates.makers import attached, cpu_fit

ESTIMATES = Path(__file__).with_name("estimates.json")
CPU_DEVICE = "device-1"
RENTED = (("L4", 1), ("A100-80GB-SXM", 1), ("H100-80GB-SXM", 8), ("MI300X", 8), ("B200", 8))


def golden_estimates() -> dict[str, dict[str, Any]]:
    """Every ready job on a recorded CPU and on five kinds of cards, by "job on placement"."""
    fits = {CPU_DEVICE: ("01GOLDEN", cpu_fit())}
    placements = [attached(device_memory_bytes=25_000_000_000), *(_rented(key, number) for key, number in RENTED)]
    return {
        f"{key} on {placement.title}": _entry(key, placement, fits) for key in sorted(JOBS) for placement in placements
    }


def _rented(key: str, number: int) -> Placement:
    rented = offer(gpu_key=key, gpu_name=key, num_gpus=Decimal(number), instance_type="golden")
    card = load_catalogue().get(key)
    return Placement(card, Decimal(number), offer_id=1, offer=rented, price_id=1, price=price(str(2 * number)))


def _entry(key: str, placement: Placement, fits: dict[str, tuple[str, Fit]]) -> dict[str, Any]:
    found = answer(JOBS[key].job, [placement], fits)
    return _rejected(found.rejections[0]) if found.rejections else _estimated(found.options[0])


def _rejected(rejection: Rejection) -> dict[str, Any]:
    return {"rejected": rejection.bottleneck.value, "reason": rejection.reason}


def _estimated(option: Option) -> dict[str, Any]:
    named = {
        "step_seconds": option.step_seconds,
        "tokens_per_second": option.tokens_per_second,
        "memory_bytes": option.memory_bytes,
        "cost": option.cost,
        "average_power_watts": option.average_power_watts,
        **option.extras,
    }
    layout = option.layout
    return {
        "layout": f"dp{layout.data_parallel} tp{layout.tensor_parallel} mb{layout.micro_batch} {layout.sharding}",
        "bottleneck": option.bottleneck.value,
        "basis": option.basis.value,
        **{
            name: None
            if quantity is None
            else [_digits(value) for value in (quantity.low, quantity.mid, quantity.high)]
            for name, quantity in named.items()
        },
    }


def _digits(value: float) -> float:
    """Five digits: more would change with the machine's arithmetic."""
    return float(f"{value:.5g}")


def main() -> None:
    ESTIMATES.write_text(json.dumps(golden_estimates(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
