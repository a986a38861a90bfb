"""The spool: what a run measured, on this machine's disk line by line until the database has it.

A file per claim, `<run>-<fence>.jsonl`: the claim, an outcome per bench as it comes, and how the run ended. Each line
is on the disk (fsync) before its bench counts as done. A file goes when the database has answered for it; one that
waits is offered again, and to offer it twice stores it once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from planner.calibration.run_states import RunState
from planner.calibration.sample import (
    Bench,
    BenchFailure,
    Sample,
    bench_from_document,
    bench_to_document,
    sample_from_document,
    sample_to_document,
)
from planner.gpu.events import Reading
from planner.inventory.device import Backend
from planner.services.claims import ClaimedRun, Peer
from planner.store.leases import Lease

Outcomes = Mapping[int, Sample | BenchFailure]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, with all that storing it takes beside its outcomes."""

    state: RunState
    reason: str
    conditions: Mapping[str, Any]
    quarantine: str = ""
    wait_seconds: float | None = None
    readings: tuple[Reading, ...] = ()
    watts: Mapping[str, float] = field(default_factory=dict)
    peer_quarantine: Mapping[str, str] = field(default_factory=dict)  # UUID of a further device → why to keep it out


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file read back; `ending` is None where the worker died before its run's end."""

    path: Path
    claim: ClaimedRun
    outcomes: Outcomes
    ending: Ending | None


class Spool:
    """The folder of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, claim: ClaimedRun) -> SpoolFile:
        """A new file for this claim. Raises OSError where the disk takes none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return SpoolFile(self._folder / f"{claim.run_id}-{claim.lease.fence}.jsonl", claim)

    def waiting(self) -> Iterator[Spooled]:
        """The files that can be read, oldest run first; a last line cut short is as if it had not been written."""
        for path in sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else ():
            found = _read(path)
            if found is not None:
                yield found


class SpoolFile:
    """One claim's file, open for writing."""

    def __init__(self, path: Path, claim: ClaimedRun) -> None:
        self._path = path
        self._file = path.open("wb", buffering=0)
        self.write({"claim": _claim_document(claim)})

    def outcome(self, position: int, outcome: Sample | BenchFailure) -> None:
        """Keep what a bench gave."""
        if isinstance(outcome, Sample):
            self.write({"position": position, "sample": sample_to_document(outcome)})
        else:
            self.write({"position": position, "error_class": outcome.error_class, "message": outcome.message})

    def end(self, ending: Ending) -> None:
        """Keep how the run ended; from here on the file can be offered to the database by whoever finds it."""
        document = {**asdict(ending), "state": ending.state.value}
        self.write({"end": document})
        self._file.close()

    def drop(self) -> None:
        """The database has it, or the disk takes no more of it."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write no more; what is written stays."""
        self._file.close()

    def write(self, document: Mapping[str, Any]) -> None:
        """A line, on the disk when this returns. Raises OSError."""
        line = memoryview(json.dumps(document, allow_nan=False).encode() + b"\n")
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())


def _read(path: Path) -> Spooled | None:
    claim: ClaimedRun | None = None
    outcomes: dict[int, Sample | BenchFailure] = {}
    ending = None
    for line in path.read_bytes().split(b"\n"):
        try:
            document = json.loads(line)
        except ValueError:
            break  # cut short: what stands before it is whole
        if "claim" in document:
            claim = _claim(document["claim"])
        elif claim is not None and "position" in document:
            position = document["position"]
            outcomes[position] = _outcome(claim.benches[position], document)
        elif "end" in document:
            ending = _ending(document["end"])
    return None if claim is None else Spooled(path, claim, outcomes, ending)


def _outcome(bench: Bench, document: Mapping[str, Any]) -> Sample | BenchFailure:
    if "sample" in document:
        return sample_from_document(bench, document["sample"])
    return BenchFailure(bench, document["error_class"], document["message"])


def _ending(document: Mapping[str, Any]) -> Ending:
    return Ending(
        state=RunState(document["state"]),
        reason=document["reason"],
        conditions=document["conditions"],
        quarantine=document["quarantine"],
        wait_seconds=document["wait_seconds"],
        readings=tuple(Reading(**reading) for reading in document["readings"]),
        watts=document["watts"],
        peer_quarantine=document.get("peer_quarantine", {}),
    )


def _claim_document(claim: ClaimedRun) -> dict[str, Any]:
    return {
        "run_id": claim.run_id,
        "device_id": claim.device_id,
        "device_uuid": claim.device_uuid,
        "backend": claim.backend.value,
        "benches": [bench_to_document(bench) for bench in claim.benches],
        "left_out": [
            {"bench": bench_to_document(one.bench), "error_class": one.error_class, "message": one.message}
            for one in claim.left_out
        ],
        "time_limit_seconds": claim.time_limit_seconds,
        "lease": _lease_document(claim.lease),
        "peers": [
            {"device_id": peer.device_id, "device_uuid": peer.device_uuid, "lease": _lease_document(peer.lease)}
            for peer in claim.peers
        ],
    }


def _lease_document(lease: Lease) -> dict[str, Any]:
    return {
        "name": lease.name,
        "holder": lease.holder,
        "fence": lease.fence,
        "expires_at": lease.expires_at.isoformat(),
    }


def _lease(document: Mapping[str, Any]) -> Lease:
    return Lease(
        document["name"], document["holder"], document["fence"], datetime.fromisoformat(document["expires_at"])
    )


def _claim(document: Mapping[str, Any]) -> ClaimedRun:
    return ClaimedRun(
        run_id=document["run_id"],
        device_id=document["device_id"],
        device_uuid=document["device_uuid"],
        backend=Backend(document["backend"]),
        benches=tuple(bench_from_document(bench) for bench in document["benches"]),
        time_limit_seconds=document["time_limit_seconds"],
        lease=_lease(document["lease"]),
        left_out=tuple(
            BenchFailure(bench_from_document(one["bench"]), one["error_class"], one["message"])
            for one in document["left_out"]
        ),
        peers=tuple(
            Peer(one["device_id"], one["device_uuid"], _lease(one["lease"])) for one in document.get("peers", ())
        ),
    )
