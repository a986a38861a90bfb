"""Runs recorded on real devices, one JSON line per condition, sample, failure and reading.

A file is named device.suite-version.jsonl. `amd-epyc-2-cores.quick-1`: two cores of an AMD EPYC (Zen 4, 32 MiB L3) in
a virtual machine, torch 2.13.0, 2026-11-21, other work on the same cores at a load below 0.5.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planner.calibration.sample import Sample, bench_from_document, sample_from_document

HERE = Path(__file__).parent
CPU_QUICK = "amd-epyc-2-cores.quick-1"


def recorded(name: str, kind: str) -> list[dict[str, Any]]:
    """The lines of one kind: conditions, sample, failure or reading."""
    lines = (HERE / f"{name}.jsonl").read_text().splitlines()
    return [document for line in lines if (document := json.loads(line)).pop("kind") == kind]


def recorded_samples(name: str = CPU_QUICK) -> list[Sample]:
    """The samples of a recorded run, in order."""
    return [
        sample_from_document(bench_from_document(document["bench"]), document["sample"])
        for document in recorded(name, "sample")
    ]
