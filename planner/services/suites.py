"""Suites: those of the code and those that people put together, and the benches of one that a device can run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from planner.calibration.chosen import OwnSuite, checked_keys
from planner.calibration.sample import Bench
from planner.calibration.suites import CUSTOM, SUITES, Suite, get_suite
from planner.errors import FieldProblem, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.services.requests.calibration import SuiteRequest
from planner.store import suites as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, SuiteRow

MOST_NAME = 50  # characters of a suite's name, as runs and schedules keep it


@dataclass(frozen=True, slots=True)
class SuiteView:
    """A suite for lists; `benches` are the keys of one that somebody put together, in its newest version."""

    name: str
    version: int
    title: str
    time_limit_seconds: float
    is_own: bool
    benches: tuple[str, ...]
    created_at: datetime | None


def list_suites(session: Session) -> list[SuiteView]:
    """The suites of this code, then people's own by name."""
    ours = [
        SuiteView(suite.name, suite.version, suite.title, suite.time_limit_seconds, False, (), None)
        for suite in SUITES.values()
    ]
    return [*ours, *(_view(row) for row in store.newest_suites(session))]


def get_own_suite(session: Session, name: str) -> SuiteView:
    """The newest version of somebody's suite; raises NotFound."""
    row = store.get_suite(session, name)
    if row is None:
        raise NotFound(f"there is no suite {name!r} of your own")
    return _view(row)


def keep_suite(session: Session, request: SuiteRequest, now: datetime, actor: str = "user") -> SuiteView:
    """Keep a suite, or the next version of one; runs that are queued keep the version they were asked for.

    Raises InvalidInput naming every field that cannot be used.
    """
    problems = []
    if request.name in SUITES:
        problems.append(FieldProblem("name", f"{request.name!r} is a suite of the planner; choose another name"))
    keys: tuple[str, ...] = ()
    try:
        keys = checked_keys(request.benches)
    except ValueError as error:
        problems.append(FieldProblem("benches", str(error)))
    if problems:
        raise InvalidInput(problems)
    before = store.get_suite(session, request.name)
    row = SuiteRow(
        id=str(ULID.from_datetime(now)),
        name=request.name,
        version=1 if before is None else before.version + 1,
        title=request.title or f"{len(keys)} benches of your choice",
        time_limit_seconds=request.time_limit_seconds,
        benches=list(keys),
        created_at=now,
        actor=actor,
    )
    session.add(row)
    session.flush()
    return _view(row)


def chosen_suite(session: Session, name: str) -> Suite | OwnSuite:
    """The suite of that name as it is now; raises InvalidInput naming those there are."""
    found = find_suite(session, name)
    if found is None:
        names = ", ".join(suite.name for suite in list_suites(session))
        raise InvalidInput.of("suite", f"there is no suite {name!r}; there are: {names}")
    if len(name) > MOST_NAME:
        raise InvalidInput.of("suite", f"{name!r} is too long to be kept: give its benches a name as a suite of yours")
    return found


def find_suite(session: Session, name: str, version: int | None = None) -> Suite | OwnSuite | None:
    """The suite that a run or a schedule names, None where there is none any more.

    `version` counts for people's own suites, whose versions are all kept; of the code's there is the newest only.
    """
    if name in SUITES or name.startswith(CUSTOM):
        try:
            return get_suite(name)
        except NotFound:
            return None
    row = store.get_suite(session, name, version)
    if row is None:
        return None
    return OwnSuite(row.name, row.version, row.title, row.time_limit_seconds, tuple(row.benches))


def benches_for(device: DeviceRow, suite: Suite | OwnSuite, num_devices: int = 1) -> tuple[Bench, ...]:
    """The benches for this device, or for so many equal ones at once: of the code's suites those in the formats that
    the catalogue says it has."""
    if isinstance(suite, OwnSuite):
        return suite.benches_on(Backend(device.backend))
    listed = load_catalogue().gpus.get(device.gpu_key) if device.gpu_key is not None else None
    dtypes: tuple[Dtype, ...] | None = None if listed is None else tuple(listed.peak_flops)
    return suite.benches_for(Backend(device.backend), device.memory_bytes, dtypes, num_devices)


def _view(row: SuiteRow) -> SuiteView:
    return SuiteView(row.name, row.version, row.title, row.time_limit_seconds, True, tuple(row.benches), row.created_at)
