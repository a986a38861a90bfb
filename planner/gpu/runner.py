"""Run one measuring process to its end: events as they come, a hard time limit, and nothing left behind.

The process is started fresh (never forked with a driver open), in a session and process group of its own, on a leash
(process.py), with one visible device. One loop in the caller's thread reads its output, its errors and the telemetry
beside it, asks `should_stop`, and watches the clock; there are no threads. Whatever the end, the whole group is killed
before its leader is reaped, so that no process of it survives and no other process can have taken its number.
"""

from __future__ import annotations

import json
import selectors
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from planner.calibration.conditions import DeviceConditions
from planner.calibration.drift import drift_within
from planner.calibration.sample import ERROR_CLASSES, BenchFailure, Sample, sample_from_document
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
    FINISHED,
    REFUSED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    ChildResult,
    Event,
    Failed,
    Measured,
    Reading,
    Started,
    Visited,
    job_to_json,
)
from planner.gpu.host_memory import num_oom_kills
from planner.gpu.inspection import NO_DRIVER, inspect, inspect_until_clean
from planner.gpu.process import Group, LineReader, TailReader, helper_environment
from planner.gpu.telemetry import Sampler
from planner.inventory.device import Backend

CHILD_COMMAND = (sys.executable, "-m", "planner.gpu.child")
POLL_SECONDS = 0.2
MAX_MESSAGE = 1_000
MAX_VISITS = 16  # of one bench: a process that says it begins again and again is not listened to
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
    run.ledger.close(run.cut, run.process, _cause(run, seen.ends_the_run, num_kills))
    return ChildResult(
        outcome=run.ledger.outcome,
        reason=run.ledger.reason,
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

    ledger: _Ledger
    process: Group
    cut: str
    errors: str
    absent: Mapping[str, str]
    noise_bytes: int

    def conditions(self) -> dict[str, Any]:
        found = dict(self.ledger.conditions)
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
    ledger = _Ledger(job, tell)
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
            _read_for(selector, POLL_SECONDS, output, ledger)
            _tell_telemetry(sampler, tell)
        process.end(job.grace_seconds if cut else 0.0)
        _drain(selector, output, ledger)
        _tell_telemetry(sampler, tell)
        return _Run(ledger, process, cut, errors.text(), sampler.absent, output.noise_bytes)


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


def _cause(run: _Run, end: str, num_kills: int | None) -> _Cause | None:
    """Why the process ended, where that is known better than from its exit; None where it is not."""
    if run.cut == CRASHED:
        return _Cause("crashed", end)
    now = num_oom_kills()
    was_killed = run.process.signal_number == signal.SIGKILL and not run.cut
    if was_killed and num_kills is not None and now is not None and now > num_kills:
        return _Cause("oom-host", "the kernel ended the measuring process: the host's memory limit was reached")
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


def _read_for(selector: selectors.BaseSelector, seconds: float, output: LineReader, ledger: _Ledger) -> bool:
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
                ledger.enter(line)
    return True


def _drain(selector: selectors.BaseSelector, output: LineReader, ledger: _Ledger) -> None:
    """Read what the ended group left in the pipes, for a bounded time: a stranger may still hold their other end."""
    until = time.monotonic() + DRAIN_SECONDS
    while selector.get_map() and time.monotonic() < until:
        _read_for(selector, 0.05, output, ledger)


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why the process ended, known from elsewhere than its exit."""

    error_class: str
    reason: str


class _Ledger:
    """What the child said, checked: each position is told at most once, and in the end none is left in doubt."""

    def __init__(self, job: ChildJob, on_event: Callable[[Event], None]) -> None:
        self._job = job
        self._tell = on_event
        self._told: set[int] = set()
        self._begun: Counter[int] = Counter()
        self._so_far: dict[int, Sample] = {}  # of benches with visits to come
        self._current: int | None = None
        self._said_finished = False
        self.conditions: Mapping[str, Any] = {}
        self.outcome = CRASHED
        self.reason = ""

    def enter(self, line: bytes) -> None:
        """Check one line and tell what it says. A line that cannot be believed fails the bench that is running."""
        try:
            document = json.loads(line, parse_constant=_refuse_constant)
        except ValueError as error:
            self._fail_current(f"the measuring process wrote a line that cannot be read: {error}")
            return
        match document.get("event"):
            case "started" if isinstance(document.get("conditions"), dict):
                self.conditions = document["conditions"]
                self._tell(Started(self.conditions))
            case "bench":
                self._begin(document.get("position"))
            case "visit":
                self._visited(document)
            case "sample":
                self._measured(document)
            case "failure":
                self._failed(document)
            case "finished":
                self._said_finished = True
            case other:
                self._fail_current(f"the measuring process wrote an event that is not known: {str(other)[:50]!r}")

    def close(self, cut: str, process: Group, cause: _Cause | None = None) -> None:
        """Settle the outcome, and every position that a finished or broken run owes an answer."""
        if cause is not None:
            self.outcome, self.reason = CRASHED, cause.reason
            self._fail_current(cause.reason, cause.error_class)
        elif cut == CANCELLED:
            self.outcome, self.reason = CANCELLED, "stopped on request"
        elif cut == TIMED_OUT:
            self.outcome = TIMED_OUT
            self.reason = f"stopped at its time limit of {self._job.time_limit_seconds:g} s"
            self._fail_current(self.reason, "timed-out")
        elif process.exit_code == 0 and self._said_finished:
            self.outcome = FINISHED
            for position in range(len(self._job.benches)):
                self._fail(position, "error", "the measuring process finished without reporting this bench")
        else:
            self.outcome, self.reason = CRASHED, _end_in_words(process)
            self._fail_current(self.reason, "crashed")
        for position in sorted(set(self._so_far) - self._told):
            self._told.add(position)
            self._tell(Measured(position, self._so_far[position]))

    def _begin(self, position: object) -> None:
        if self._is_open(position) and self._begun[position] < MAX_VISITS:
            self._begun[position] += 1
            self._current = position
            self._tell(BenchStarted(position))

    def _visited(self, document: dict[str, Any]) -> None:
        position, number, of = (document.get(name) for name in ("position", "number", "of"))
        if not self._is_open(position) or not _is_count(number) or not _is_count(of) or number > of:
            return
        sample = self._believed(position, document)
        if sample is not None:
            self._so_far[position] = sample
            self._current = None
            self._tell(Visited(position, number, of))

    def _measured(self, document: dict[str, Any]) -> None:
        position = document.get("position")
        if not self._is_open(position):
            return
        sample = self._believed(position, document)
        if sample is not None:
            self._told.add(position)
            self._tell(Measured(position, sample))

    def _believed(self, position: int, document: dict[str, Any]) -> Sample | None:
        try:
            return sample_from_document(self._job.benches[position], document.get("sample") or {})
        except ValueError as error:
            self._fail(position, "invalid-result", str(error))
            return None

    def _failed(self, document: dict[str, Any]) -> None:
        position, error_class = document.get("position"), document.get("error_class")
        if self._is_open(position):
            known = error_class if error_class in ERROR_CLASSES else "error"
            self._fail(position, known, str(document.get("message")))

    def _fail_current(self, message: str, error_class: str = "invalid-result") -> None:
        if self._current is not None:
            self._fail(self._current, error_class, message)

    def _fail(self, position: int, error_class: str, message: str) -> None:
        if position not in self._told:
            self._told.add(position)
            failure = BenchFailure(self._job.benches[position], error_class, message[:MAX_MESSAGE])
            self._tell(Failed(position, failure))

    def _is_open(self, position: object) -> TypeGuard[int]:
        if isinstance(position, bool) or not isinstance(position, int):
            return False
        return 0 <= position < len(self._job.benches) and position not in self._told


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_VISITS


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _end_in_words(process: Group) -> str:
    number = process.signal_number
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"the measuring process was ended by {name}"
    if process.exit_code == 0:
        return "the measuring process ended before it had finished"
    return f"the measuring process ended with exit code {process.exit_code}"
