"""Instances in Mélange's form (throughput by request size and GPU group), read and solved.

`python -m benchmarks.melange INSTANCE.json RESULTS.json` prints our cost and seconds beside the peer's, row by row.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.plans.mix import GroupOffer, Mix, solve_mix


@dataclass(frozen=True, slots=True)
class PeerRow:
    """What the peer and an outside exact solver found on one instance, and the instance."""

    title: str
    rates: tuple[float, ...]
    groups: tuple[GroupOffer, ...]
    peer_cost: float
    peer_seconds: float
    exact_cost: float


def read_groups(tputs: Mapping[str, Mapping[str, Any]]) -> tuple[GroupOffer, ...]:
    """Groups from `{name: {"cost": $/h, "tputs": [[requests/s by output size] by input size]}}`."""
    return tuple(
        GroupOffer(name, float(found["cost"]), tuple(np.asarray(found["tputs"], dtype=float).ravel().tolist()))
        for name, found in tputs.items()
    )


def read_rates(distribution: list[list[float]], overall_rate: float) -> tuple[float, ...]:
    """Requests/s by bucket, in the order of the groups' throughputs."""
    return tuple((np.asarray(distribution, dtype=float).ravel() * overall_rate).tolist())


def read_rows(instance: Path, results: Path) -> list[PeerRow]:
    """Every row of the results with its instance."""
    given = json.loads(instance.read_text(encoding="utf-8"))
    return [
        PeerRow(
            title=f"{row['slo']} {row['work']} {row['rate']}",
            rates=read_rates(given["dists"][row["work"]], row["rate"]),
            groups=read_groups(given["tputs"][row["slo"]]),
            peer_cost=row["melange_cost"],
            peer_seconds=row["melange_s"],
            exact_cost=row["exact_cost"],
        )
        for row in json.loads(results.read_text(encoding="utf-8"))
    ]


def main() -> None:
    rows = read_rows(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{'instance':<24} {'ours $/h':>10} {'peer':>10} {'exact':>10} {'s':>7} {'peer s':>7}  mix")
    for row in rows:
        start = time.perf_counter()
        found = solve_mix(row.rates, row.groups)
        seconds = time.perf_counter() - start
        if not isinstance(found, Mix):
            print(f"{row.title:<24} {found.reason}")
            continue
        mark = "proven" if found.is_optimal else f"gap {found.gap:.2%}"
        print(
            f"{row.title:<24} {found.cost_per_hour:>10.4f} {row.peer_cost:>10.4f} {row.exact_cost:>10.4f} "
            f"{seconds:>7.3f} {row.peer_seconds:>7.2f}  {mark} {dict(found.counts)}"
        )


if __name__ == "__main__":
    main()
