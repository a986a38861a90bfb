"""Whether a device may be measured now, and whether what was measured can be trusted: rules without a driver."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from planner.calibration.conditions import DeviceConditions
from planner.calibration.sample import Sample
from planner.calibration.xid import XidKind, xid
from planner.units import GB

FOREIGN_BYTES = 1.0 * GB  # what an idle card with its driver may hold; more without a process is somebody unseen
BASELINE_BYTES = 0.1 * GB  # how far above the baseline the memory may stay after a run
FEWEST_SAMPLES = 12  # fewer say nothing of the whole
MOST_RESTLESS = 1 / 3  # of the samples of a run (assumed; on an idle machine 1 to 3 of 44 were seen)
BUSY_RETRY_SECONDS = 60.0
COOL_DOWN_SECONDS = 300.0
FLAGGED_DRIFT = 0.03  # of the sentinels within one run (our design notes: above 3 % flag …
REFUSED_DRIFT = 0.08  # … above 8 % the run is not to be trusted)

# NVML's clock event reasons (nvml.h). The first four make a run suspect; a power cap is usual under load and flagged.
SLOWDOWNS = {
    0x8: "slowed by the card's hardware",
    0x20: "slowed by the driver for heat",
    0x40: "slowed by the card for heat",
    0x80: "slowed by the power supply's brake",
}
HEAT = 0x20 | 0x40
POWER_CAP = 0x4


class RefusalKind(StrEnum):
    BUSY = "busy"  # somebody else has the device: try again later
    REFUSED = "refused"  # not as it stands


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run does not start. `quarantine` says why the device should be kept from work, empty where it need not."""

    kind: RefusalKind
    reason: str
    quarantine: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to the device beside a run; `code` is the driver's number where it has one."""

    seconds_in: float
    kind: str  # xid, lost, foreign-process
    code: int | None
    message: str


class Trust(StrEnum):
    OK = "ok"
    SUSPECT = "suspect"  # measured, but under conditions that do not last
    INVALID = "invalid"  # the numbers mean nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far to trust a run. `flags` are remarks that change nothing; `quarantine` as in Refusal."""

    trust: Trust = Trust.OK
    reasons: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    quarantine: str = ""
    retry_seconds: float | None = None  # when it is worth trying again, None: no sooner than planned


def why_not_to_start(device: DeviceConditions, is_slice: bool, own_pids: Sequence[int] = ()) -> Refusal | None:
    """The first reason not to measure on that device now, None where there is none.

    An empty list of processes is no proof of idleness: the list can be empty in a container and for a failing card.
    """
    return _unfit(device, is_slice) or _taken(device, own_pids)


def _unfit(device: DeviceConditions, is_slice: bool) -> Refusal | None:
    def refuse(reason: str, quarantine: bool) -> Refusal:
        return Refusal(RefusalKind.REFUSED, reason, reason if quarantine else "")

    if device.is_lost:
        return refuse(device.problem, quarantine=True)
    if device.problem:
        return refuse(device.problem, quarantine=False)
    if device.has_remap_failure:
        return refuse("a memory row of the card could not be remapped: it needs a reset, perhaps replacement", True)
    if device.has_remap_pending:
        return refuse("a memory row of the card waits to be remapped: reset it when it is free", True)
    if device.has_retired_pending:
        return refuse("memory pages of the card wait to be retired: reset it when it is free", True)
    if device.recovery_action not in (None, "none"):
        return refuse(f"the driver asks for: {device.recovery_action}", True)
    if device.has_mig and not is_slice:
        return refuse("the card is cut into MIG slices: calibrate the slices", False)
    if device.has_mig is False and is_slice:
        return refuse("MIG was switched off since the slice was seen: discover the devices anew", False)
    if None not in (device.has_mig, device.has_mig_pending) and device.has_mig != device.has_mig_pending:
        return refuse("the card changes its MIG mode at the next reset: reset it first", False)
    if device.compute_mode == "prohibited":
        return refuse("the card's compute mode is prohibited: an administrator closed it to programs", False)
    return None


def _taken(device: DeviceConditions, own_pids: Sequence[int]) -> Refusal | None:
    foreign = [process for process in device.processes or () if process.pid not in own_pids]
    if any(process.kind == "mps" for process in foreign):
        return Refusal(RefusalKind.BUSY, "an MPS server shares the card between programs")
    computing = [process for process in foreign if process.kind == "compute"]
    if computing:
        numbers = ", ".join(str(process.pid) for process in computing[:5])
        how = "; its compute mode lets in one at a time" if device.compute_mode == "exclusive_process" else ""
        return Refusal(RefusalKind.BUSY, f"{_count(len(computing))} on the card (process {numbers}){how}")
    used = device.memory_used_bytes
    if used is not None and used > FOREIGN_BYTES + sum(process.memory_bytes or 0 for process in foreign):
        return Refusal(RefusalKind.BUSY, f"{used / GB:.1f} GB of the card's memory are in use by nobody that is shown")
    return None


def why_restless(samples: Collection[Sample]) -> str:
    """Why the samples of a run cannot be trusted as a whole: too many of them never settled. Empty where they can.

    On an idle device one in twenty does not settle; a run of which a third did not was not alone on it.
    """
    restless = sum(not sample.steady for sample in samples)
    if len(samples) < FEWEST_SAMPLES or restless <= MOST_RESTLESS * len(samples):
        return ""
    return (
        f"{restless} of {len(samples)} samples never settled: something else used this device; "
        "measure again when it is idle"
    )


def judge(
    before: DeviceConditions,
    after: DeviceConditions,
    reasons_read: Sequence[int],
    incidents: Sequence[Incident],
    *,
    is_clean: bool,
    run_drift: float | None = None,
    is_shared: bool = False,
) -> Verdict:
    """How far to trust a run from what was seen before, beside and after it.

    `reasons_read` are the clock event reasons of each reading that told them; `is_clean`: the memory came back.
    `run_drift` is by how much the same bench differed over the run: for a device that other programs share by nature
    (a CPU) it is a remark only, since each bench's own spread tells it already.
    """
    judgement = _Judgement()
    for incident in incidents:
        judgement.take(incident)
    _compare(before, after, judgement)
    if not is_clean:
        held = "" if after.memory_used_bytes is None else f": {after.memory_used_bytes / GB:.1f} GB are in use"
        judgement.quarantine(f"the card's memory did not come back after the run{held}")
    if reasons_read:
        _throttling(reasons_read, judgement)
    if run_drift is not None and run_drift > FLAGGED_DRIFT:
        words = f"the same product differed by {run_drift:.0%} between the start, the middle and the end of the run"
        if run_drift > REFUSED_DRIFT and not is_shared:
            judgement.suspect(words)
        else:
            judgement.flags.append(words)
    return judgement.verdict()


class _Judgement:
    def __init__(self) -> None:
        self.trust = Trust.OK
        self.reasons: list[str] = []
        self.flags: list[str] = []
        self.kept_from_work = ""
        self.retry_seconds: float | None = None

    def suspect(self, reason: str) -> None:
        self.reasons.append(reason)
        if self.trust is Trust.OK:
            self.trust = Trust.SUSPECT

    def invalid(self, reason: str) -> None:
        self.reasons.append(reason)
        self.trust = Trust.INVALID

    def quarantine(self, reason: str) -> None:
        self.kept_from_work = self.kept_from_work or reason

    def take(self, incident: Incident) -> None:
        if incident.kind == "xid" and incident.code is not None:
            found = xid(incident.code)
            if found.kind is XidKind.UNKNOWN:
                self.suspect(found.sentence)
            else:
                self.invalid(found.sentence)
            if found.kind in (XidKind.LOST, XidKind.MEMORY_RESET):
                self.quarantine(found.sentence)
        else:
            self.invalid(incident.message)
            if incident.kind == "lost":
                self.quarantine(incident.message)
            elif incident.kind == "foreign-process":
                self.retry_seconds = BUSY_RETRY_SECONDS

    def verdict(self) -> Verdict:
        reasons = tuple(dict.fromkeys(self.reasons))
        return Verdict(self.trust, reasons, tuple(self.flags), self.kept_from_work, self.retry_seconds)


def _compare(before: DeviceConditions, after: DeviceConditions, judgement: _Judgement) -> None:
    if after.is_lost or (after.problem and not before.problem):
        judgement.invalid(after.problem)
        judgement.quarantine(after.problem)
    for old, new in ((before.ecc_volatile, after.ecc_volatile), (before.ecc_aggregate, after.ecc_aggregate)):
        if old is not None and new is not None and new > old:
            reason = f"{new - old} uncorrected memory errors during the run"
            judgement.invalid(reason)
            judgement.quarantine(reason)
            break
    refusal = _unfit(after, is_slice=bool(after.has_mig)) if not after.problem else None
    if refusal is not None and refusal.quarantine:
        judgement.invalid(refusal.reason)
        judgement.quarantine(refusal.quarantine)
    if before.power_limit_watts != after.power_limit_watts and None not in (
        before.power_limit_watts,
        after.power_limit_watts,
    ):
        judgement.suspect(f"the power limit went from {before.power_limit_watts:g} to {after.power_limit_watts:g} W")
    _flag(before, after, judgement)


def _flag(before: DeviceConditions, after: DeviceConditions, judgement: _Judgement) -> None:
    if before.has_persistence is False:
        judgement.flags.append("persistence mode is off: the first benches also woke the driver")
    if before.has_locked_clocks:
        judgement.flags.append("the clocks were set by an administrator: not mixed with runs at free clocks")
    limit, default = before.power_limit_watts, before.power_default_watts
    if limit is not None and default is not None and limit < default:
        judgement.flags.append(f"the power limit is {limit:g} W, {default:g} W as sold: this holds for that limit")
    for name, seen, most in (
        ("PCIe lanes", after.pcie_width, after.max_pcie_width),
        ("PCIe generation", after.pcie_generation, after.max_pcie_generation),
    ):
        if seen is not None and most is not None and seen < most:
            judgement.flags.append(f"{name} {seen} of {most}: copies between host and card are slower than they could")


def _throttling(reasons_read: Sequence[int], judgement: _Judgement) -> None:
    for bit, words in SLOWDOWNS.items():
        share = sum(bool(reasons & bit) for reasons in reasons_read) / len(reasons_read)
        if share:
            judgement.suspect(f"{words} in {share:.0%} of the readings")
    if any(reasons & HEAT for reasons in reasons_read):
        judgement.retry_seconds = COOL_DOWN_SECONDS
    capped = sum(bool(reasons & POWER_CAP) for reasons in reasons_read) / len(reasons_read)
    if capped:
        judgement.flags.append(f"at its power limit in {capped:.0%} of the readings")


def _count(number: int) -> str:
    return "another program computes" if number == 1 else f"{number} other programs compute"
