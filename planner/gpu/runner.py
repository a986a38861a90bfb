"""Run one measuring process to its end: events as they come, a hard time limit, and nothing left behind.

The process is started fresh (never forked with a driver open), in a session and process group of its own, on a leash
(process.py), with one visible device. One loop in the caller's thread reads its output, its errors and the telemetry
beside it, asks `should_stop`, and watches the clock; there are no threads. Whatever the end, the whole group is killed
before its leader is reaped, so that no process of it survives and no other process can have taken its number.
"""

from __future__ import annotations

import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planner.calibration.conditions import DeviceConditions
from planner.calibration.drift import drift_within
from planner.calibration.sample import Sample
from planner.calibration.verdict import (
    BUSY_RETRY_SECONDS,
    Incident,
    Refusal,
    RefusalKind,
    Trust,
    Verdict,
    judge,
    why_not_to_start,
)
from planner.calibration.xid import XidKind, xid
from planner.gpu.events import (
    AMD,
    BUSY,
    CANCELLED,
    CRASHED,
    REFUSED,
    TIMED_OUT,
    ChildJob,
    ChildResult,
    Event,
    Measured,
    Reading,
    job_to_json,
)
from planner.gpu.host_memory import num_oom_kills
from planner.gpu.inspection import NO_DRIVER, inspect, inspect_until_clean
from planner.gpu.process import Group, LineReader, TailReader, helper_environment
from planner.gpu.telemetry import Sampler
from planner.gpu.transcript import Cause, Transcript
from planner.inventory.device import Backend

CHILD_COMMAND = (sys.executable, "-m", "planner.gpu.child")
POLL_SECONDS = 0.2
DRAIN_SECONDS = 0.5  # for what still lies in the pipes once the process has ended


def measure(
    job: ChildJob,
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool] = lambda: False,
    command: Sequence[str] = CHILD_COMMAND,
) -> ChildResult:
    """Measure the job's benches in a process of their own and tell each event to `on_event`, in this thread.

    Nothing is started where somebody else has the device or it is not fit. Every position of the job gets at most one
    Measured or Failed, and exactly one unless the run was cancelled or cut: then the benches not begun get none, and
    those whose visits were not all made get what the visits made so far give.
    `should_stop` is asked about five times a second; on True the process is gone within `grace_seconds` and a moment.
    An exception from `on_event` or `should_stop` kills the process and passes on.
    """
    started_at = time.monotonic()
    before = inspect(job.backend, job.device)
    peers = {uuid: inspect(job.backend, uuid) for uuid in job.peers}
    refusal = why_not_to_start(before, is_slice=job.device.startswith("MIG-"))
    if refusal is not None:
        return _not_started(refusal, before, time.monotonic() - started_at)
    for uuid, peer in peers.items():
        unfit = why_not_to_start(peer, is_slice=uuid.startswith("MIG-"))
        if unfit is not None:
            theirs = replace(unfit, reason=f"device {uuid} beside it: {unfit.reason}", quarantine="")
            kept = {uuid: unfit.quarantine} if unfit.quarantine else {}
            return replace(_not_started(theirs, before, time.monotonic() - started_at), peer_quarantine=kept)
    seen = _Seen()

    def tell(event: Event) -> None:
        seen.take(event)
        on_event(event)

    num_kills = num_oom_kills()
    run = _run(job, tell, should_stop, command, started_at, seen)
    after, is_clean = inspect_until_clean(job.backend, job.device, before)
    verdict = judge(
        before,
        after,
        seen.clock_reasons,
        seen.incidents,
        is_clean=is_clean,
        run_drift=drift_within(seen.samples),
        is_shared=job.backend is Backend.CPU,
    )
    if run.process.is_stuck:
        stuck = f"a measuring process (process {run.process.pid}) cannot be killed: a driver holds it"
        verdict = replace(verdict, trust=Trust.INVALID, reasons=(*verdict.reasons, stuck), quarantine=stuck)
    looks, peer_verdicts = _judged_peers(job.backend, peers)
    verdict = _with_peers(verdict, peer_verdicts)
    run.transcript.close(run.cut, run.process, _cause(run, seen.ends_the_run, num_kills))
    return ChildResult(
        outcome=run.transcript.outcome,
        reason=run.transcript.reason,
        exit_code=run.process.exit_code,
        signal=run.process.signal_number,
        stderr_tail=run.errors,
        seconds=time.monotonic() - started_at,
        conditions={**run.conditions(), **_around(before, after, verdict), **looks},
        verdict=verdict,
        peer_quarantine={uuid: one.quarantine for uuid, one in peer_verdicts.items() if one.quarantine},
    )


def _judged_peers(backend: Backend, peers: Mapping[str, DeviceConditions]) -> tuple[dict[str, Any], dict[str, Verdict]]:
    """What is stored of the peers' state around the run, and a verdict on each; nothing beside the run is read of them.

    Their memory has to come back too.
    """
    looks: dict[str, Any] = {}
    verdicts: dict[str, Verdict] = {}
    for uuid, before in peers.items():
        after, is_clean = inspect_until_clean(backend, uuid, before)
        verdicts[uuid] = judge(before, after, (), (), is_clean=is_clean, is_shared=backend is Backend.CPU)
        looks[uuid] = {
            name: look.to_document()
            for name, look in (("device_before", before), ("device_after", after))
            if look != NO_DRIVER
        }
    return ({"peers": looks} if looks else {}), verdicts


def _with_peers(verdict: Verdict, peers: Mapping[str, Verdict]) -> Verdict:
    """The run's verdict once its peers are judged: it is trusted no further than the least of them."""
    for uuid, peer in peers.items():
        if peer.trust is not Trust.OK:
            trust = Trust.INVALID if Trust.INVALID in (verdict.trust, peer.trust) else Trust.SUSPECT
            reasons = (f"device {uuid} beside it: {reason}" for reason in peer.reasons)
            verdict = replace(verdict, trust=trust, reasons=(*verdict.reasons, *reasons))
    return verdict


@dataclass(slots=True)
class _Seen:
    """What was seen beside the run that judging it needs."""

    clock_reasons: list[int] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if isinstance(event, Incident):
            self.incidents.append(event)
        elif isinstance(event, Measured):
            self.samples.append(event.sample)
        elif isinstance(event, Reading) and event.throttle_reasons is not None:
            self.clock_reasons.append(event.throttle_reasons)

    @property
    def ends_the_run(self) -> str:
        """Why going on is of no use: the card is gone or its memory failed; empty while nothing of the kind is seen."""
        for incident in self.incidents:
            kind = xid(incident.code).kind if incident.kind == "xid" and incident.code is not None else None
            if incident.kind == "lost" or kind in (XidKind.LOST, XidKind.MEMORY_RESET):
                return incident.message
        return ""


@dataclass(slots=True)
class _Run:
    """A measuring process that has ended."""

    transcript: Transcript
    process: Group
    cut: str
    errors: str
    absent: Mapping[str, str]
    noise_bytes: int

    def conditions(self) -> dict[str, Any]:
        found = dict(self.transcript.conditions)
        if self.absent:
            found["telemetry_absent"] = dict(self.absent)
        if self.noise_bytes:
            found["noise_bytes"] = self.noise_bytes
        return found


def _run(
    job: ChildJob,
    tell: Callable[[Event], None],
    should_stop: Callable[[], bool],
    command: Sequence[str],
    started_at: float,
    seen: _Seen,
) -> _Run:
    transcript = Transcript(job, tell)
    with tempfile.TemporaryFile() as stdin:
        stdin.write(job_to_json(job).encode())
        stdin.seek(0)
        process = Group(command, child_environment(job), stdin)
    with (
        process,
        Sampler(job.backend, job.device, job.telemetry_seconds, started_at, own_pid=process.pid) as sampler,
        selectors.DefaultSelector() as selector,
    ):
        output, errors = LineReader(process.stdout), TailReader(process.stderr)
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        deadline = started_at + job.time_limit_seconds
        cut = ""
        while not process.has_ended():
            if should_stop():
                cut = CANCELLED
            elif seen.ends_the_run:
                cut = CRASHED
            elif time.monotonic() >= deadline:
                cut = TIMED_OUT
            if cut:
                break
            _read_for(selector, POLL_SECONDS, output, transcript)
            _tell_telemetry(sampler, tell)
        process.end(job.grace_seconds if cut else 0.0)
        _drain(selector, output, transcript)
        _tell_telemetry(sampler, tell)
        return _Run(transcript, process, cut, errors.text(), sampler.absent, output.noise_bytes)


def _tell_telemetry(sampler: Sampler, tell: Callable[[Event], None]) -> None:
    for reading in sampler.readings():
        tell(reading)
    incidents, sampler.incidents = sampler.incidents, []
    for incident in incidents:
        tell(incident)


def _not_started(refusal: Refusal, before: DeviceConditions, seconds: float) -> ChildResult:
    is_busy = refusal.kind is RefusalKind.BUSY
    retry = BUSY_RETRY_SECONDS if is_busy else None
    verdict = Verdict(Trust.INVALID, (refusal.reason,), (), refusal.quarantine, retry)
    return ChildResult(
        outcome=BUSY if is_busy else REFUSED,
        reason=refusal.reason,
        exit_code=None,
        signal=None,
        stderr_tail="",
        seconds=seconds,
        conditions=_around(before, None, verdict),
        verdict=verdict,
    )


def _around(before: DeviceConditions, after: DeviceConditions | None, verdict: Verdict) -> dict[str, Any]:
    """What is stored of the device's state and of the verdict."""
    looks = {"device_before": before, "device_after": after}
    told: dict[str, Any] = {name: look.to_document() for name, look in looks.items() if look not in (None, NO_DRIVER)}
    said = {"reasons": list(verdict.reasons), "flags": list(verdict.flags), "quarantine": verdict.quarantine}
    return {**told, "trust": verdict.trust.value, **{name: value for name, value in said.items() if value}}


def _cause(run: _Run, end: str, num_kills: int | None) -> Cause | None:
    """Why the process ended, where that is known better than from its exit; None where it is not."""
    if run.cut == CRASHED:
        return Cause("crashed", end)
    now = num_oom_kills()
    was_killed = run.process.signal_number == signal.SIGKILL and not run.cut
    if was_killed and num_kills is not None and now is not None and now > num_kills:
        return Cause("oom-host", "the kernel ended the measuring process: the host's memory limit was reached")
    return None


def child_environment(job: ChildJob) -> dict[str, str]:
    """This process's environment without our own settings (the child reaches no database), with the job's device alone
    visible, and its peers after it where it has any."""
    environment = helper_environment()
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if job.device.startswith(AMD):
        environment["ROCR_VISIBLE_DEVICES"] = ",".join(each.removeprefix(AMD) for each in (job.device, *job.peers))
        return environment
    environment["CUDA_VISIBLE_DEVICES"] = ",".join((job.device, *job.peers)) if job.backend is Backend.CUDA else ""
    return environment


def _read_for(selector: selectors.BaseSelector, seconds: float, output: LineReader, transcript: Transcript) -> bool:
    """Read what comes within `seconds` and enter it; False once every stream has ended."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not selector.get_map():
            time.sleep(left)
            return False
        for key, _ in selector.select(left):
            lines, ended = key.data.read()
            if ended:
                selector.unregister(key.fileobj)
            for line in lines if key.data is output else ():
                transcript.enter(line)
    return True


def _drain(selector: selectors.BaseSelector, output: LineReader, transcript: Transcript) -> None:
    """Read what the ended group left in the pipes, for a bounded time: a stranger may still hold their other end."""
    until = time.monotonic() + DRAIN_SECONDS
    while selector.get_map() and time.monotonic() < until:
        _read_for(selector, 0.05, output, transcript)
