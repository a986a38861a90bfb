"""Runs that no calibration saw, beside calibrations: what `benchmarks.calibrated_accuracy` measures, kept in a file.

One JSON document a line, each with its `kind`: the device, the beginning of a round, and of each round the samples and
failures of the suite, the held-out runs, the served loads. The estimator can be held against the same measurements
again after it has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.served_run import EngineStep
from planner.calibration.sample import (
    Bench,
    BenchFailure,
    Sample,
    bench_from_document,
    bench_to_document,
    sample_from_document,
    sample_to_document,
)
from planner.estimates.load.latencies import Latencies, Percentiles
from planner.estimates.load.requests import Requests


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds per execution of one run: mean, median, mean of the fastest tenth; how many processors were busy; and how
    many executions are not among them, because other programs held up the threads that compute."""

    mean: float
    median: float
    fastest: float
    executions: float
    busy: float
    left_out: float = 0.0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A bench that no suite has, run once."""

    bench: Bench
    times: Times


@dataclass(frozen=True, slots=True)
class ServedLoad:
    """Requests that were really served, so many at a time; the engine's steps, and the share of the time that its
    threads waited for a processor (None: not told)."""

    requests: Requests
    slots: int
    share: float | None  # of the most that the device could serve; None: all came at the start
    found: Latencies
    steps: tuple[EngineStep, ...] = ()
    waited_share: float | None = None


@dataclass(slots=True)
class Round:
    """One calibration and what was run after it."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[BenchFailure] = field(default_factory=list)
    runs: list[HeldOut] = field(default_factory=list)
    served: list[ServedLoad] = field(default_factory=list)

    def lines(self) -> Iterator[dict[str, Any]]:
        """One document for each."""
        yield {"kind": "round"}
        for sample in self.samples:
            yield {"kind": "sample", "bench": bench_to_document(sample.bench), "sample": sample_to_document(sample)}
        for failure in self.failures:
            yield {"kind": "failure", "bench": bench_to_document(failure.bench)} | _without_bench(failure)
        for run in self.runs:
            yield {"kind": "held out", "bench": bench_to_document(run.bench), "times": asdict(run.times)}
        for load in self.served:
            yield {
                "kind": "served",
                "arrivals": load.requests.arrival_seconds.tolist(),
                "prompts": load.requests.prompt_tokens.tolist(),
                "answers": load.requests.output_tokens.tolist(),
                "slots": load.slots,
                "share": load.share,
                "found": asdict(load.found),
                "steps": [astuple(step) for step in load.steps],
                "waited_share": load.waited_share,
            }

    def take(self, line: Mapping[str, Any]) -> None:
        """One of the documents that `lines` gives."""
        if line["kind"] == "sample":
            self.samples.append(sample_from_document(bench_from_document(line["bench"]), line["sample"]))
        elif line["kind"] == "failure":
            rest = {name: value for name, value in line.items() if name not in ("kind", "bench")}
            self.failures.append(BenchFailure(bench_from_document(line["bench"]), **rest))
        elif line["kind"] == "held out":
            self.runs.append(HeldOut(bench_from_document(line["bench"]), Times(**line["times"])))
        else:
            self.served.append(_load_from(line))


@dataclass(slots=True)
class Recording:
    """Rounds on one device, one after the other."""

    device: str
    memory_bytes: int | None
    rounds: list[Round] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """One line for each document."""
        lines = chain([self._head()], *(one.lines() for one in self.rounds))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def _head(self) -> dict[str, Any]:
        return {"kind": "device", "name": self.device, "memory_bytes": self.memory_bytes}

    @classmethod
    def read(cls, path: Path) -> Recording:
        """What `write` wrote."""
        head, *lines = (json.loads(line) for line in path.read_text().splitlines())
        found = cls(head["name"], head["memory_bytes"])
        for line in lines:
            if line["kind"] == "round":
                found.rounds.append(Round())
            else:
                found.rounds[-1].take(line)
        return found


def _without_bench(failure: BenchFailure) -> dict[str, Any]:
    return {name: value for name, value in asdict(failure).items() if name != "bench"}


def _load_from(line: Mapping[str, Any]) -> ServedLoad:
    requests = Requests(np.array(line["arrivals"], dtype=float), np.array(line["prompts"]), np.array(line["answers"]))
    found = line["found"]
    parts = {name: Percentiles(**found[name]) for name in ("first_token", "per_token", "whole")}
    kept = Latencies(**parts, num_requests=found["num_requests"])
    steps = tuple(EngineStep(*step) for step in line.get("steps", ()))
    return ServedLoad(requests, line["slots"], line["share"], kept, steps, line.get("waited_share"))
