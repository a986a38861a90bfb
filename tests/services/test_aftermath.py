"""What the end of a run sets going: another try, quarantine and release, a bench left out, a review."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from planner.calibration.aftermath import BUSY_PATIENCE_SECONDS, KILLS, MOST_TRIES_OF_LOST, PROGRAM_FAULTS
from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.errors import Conflict, NotFound
from planner.inventory.device import DeviceState
from planner.services.aftermath import XIDS
from planner.services.calibrations import cancel_run, request_run
from planner.services.claims import ClaimedRun, begin_run, claim_run, finish_run, mark_lost, note_progress
from planner.services.devices import DeviceView, get_device
from planner.services.fits import newest_fits
from planner.services.quarantine import quarantine_device, quarantine_history, release_device
from planner.services.reviews import review_run
from planner.services.runs import RunDetail, get_run, list_runs
from planner.store.engine import Session
from tests.builders import NOW
from tests.runs import CODE, TERM, claimed, finished, known_devices, outcomes_of, queued, running

ENDED = timedelta(seconds=-1)


@pytest.fixture
def gpu(session: Session) -> DeviceView:
    return known_devices(session)[0]


def ended(
    session: Session,
    claim: ClaimedRun,
    state: RunState,
    *,
    conditions: dict[str, object] | None = None,
    quarantine: str = "",
    wait_seconds: float | None = None,
    outcomes: dict[int, Sample | BenchFailure] | None = None,
) -> RunDetail:
    assert finish_run(
        session,
        claim,
        state,
        outcomes if outcomes is not None else outcomes_of(claim),
        [],
        {},
        conditions or {},
        "" if state is RunState.SUCCEEDED else "a reason",
        NOW,
        CODE,
        quarantine=quarantine,
        wait_seconds=wait_seconds,
    )
    return get_run(session, claim.run_id)


@pytest.mark.fault(63)
def test_a_busy_device_is_tried_again_later_and_the_wait_is_visible(session: Session, gpu: DeviceView) -> None:
    first = ended(session, running(session, gpu), RunState.BUSY, outcomes={}, wait_seconds=60.0)
    assert first.retried_by is not None
    again = get_run(session, first.retried_by)
    assert (again.attempt, again.retry_of, again.state) == (2, first.id, RunState.QUEUED)
    assert again.not_before == NOW + timedelta(seconds=60)
    assert again.retry_until == NOW + timedelta(seconds=BUSY_PATIENCE_SECONDS)
    assert claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW + timedelta(seconds=59)) is None
    assert claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW + timedelta(seconds=61)) is not None


@pytest.mark.fault(60)
def test_a_run_slowed_by_heat_is_tried_again_after_it_has_cooled_twice_at_most(
    session: Session, gpu: DeviceView
) -> None:
    moment, claim, tries = NOW, running(session, gpu), 0
    while True:
        run = ended(session, claim, RunState.SUSPECT, wait_seconds=300.0)
        if run.retried_by is None:
            break
        tries, moment = tries + 1, moment + timedelta(minutes=10)
        found = claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, moment)
        assert found is not None
        claim = found
        assert begin_run(session, claim, moment)
    assert tries == 2


def test_who_asks_for_a_run_meanwhile_does_not_wait_for_the_other_try(session: Session, gpu: DeviceView) -> None:
    first = ended(session, running(session, gpu), RunState.BUSY, outcomes={}, wait_seconds=60.0)
    asked = queued(session, gpu)
    assert first.retried_by is not None
    gave_way = get_run(session, first.retried_by)
    assert (gave_way.state, gave_way.error) == (RunState.CANCELLED, "another run was asked for meanwhile")
    assert claimed(session, gpu).run_id == asked


def test_another_try_can_be_called_off(session: Session, gpu: DeviceView) -> None:
    first = ended(session, running(session, gpu), RunState.BUSY, outcomes={}, wait_seconds=60.0)
    assert first.retried_by is not None
    assert cancel_run(session, first.retried_by, NOW).state is RunState.CANCELLED


@pytest.mark.fault(24)
def test_a_lost_run_is_tried_again_a_limited_number_of_times(session: Session, gpu: DeviceView) -> None:
    queued(session, gpu)
    for attempt in range(1, MOST_TRIES_OF_LOST + 1):
        claim = claimed(session, gpu, f"worker-{attempt}", ENDED)
        assert get_run(session, claim.run_id).attempt == attempt
        assert mark_lost(session, NOW, "leader") == [claim.run_id]
    assert claim_run(session, gpu.node_id, "worker-9", "boot-1", TERM, NOW) is None
    assert [run.state for run in list_runs(session)] == [RunState.LOST] * MOST_TRIES_OF_LOST


@pytest.mark.fault(39)
def test_a_bench_that_always_kills_its_worker_is_left_out_and_the_others_are_measured(
    session: Session, gpu: DeviceView
) -> None:
    poison = 2
    queued(session, gpu)
    for number in range(KILLS):
        claim = claimed(session, gpu, f"worker-{number}", TERM)
        assert begin_run(session, claim, NOW)
        assert note_progress(session, claim, poison, claim.benches[poison].key, ENDED).lease is not None
        assert mark_lost(session, NOW, "leader") == [claim.run_id]
    key = claim.benches[poison].key
    found = running(session, gpu)
    assert len(found.benches) == len(claim.benches) - 1
    assert key not in {bench.key for bench in found.benches}
    run = ended(session, found, RunState.SUCCEEDED)
    (left_out,) = run.failures
    assert (left_out.bench.key, left_out.error_class) == (key, "left-out")
    assert "ended its measuring process or its worker in each of the last 3 runs" in left_out.message
    assert len(run.samples) == len(found.benches)


@pytest.mark.fault(39)
def test_a_bench_that_crashes_its_process_is_left_out_until_another_version_of_the_code(
    session: Session, gpu: DeviceView
) -> None:
    for _ in range(KILLS):
        claim = running(session, gpu)
        crash: dict[int, Sample | BenchFailure] = {0: BenchFailure(claim.benches[0], "crashed", "signal 11")}
        ended(session, claim, RunState.FAILED, outcomes=crash)
    queued(session, gpu)
    assert len(claimed(session, gpu).benches) == len(claim.benches) - 1
    mark_lost(session, NOW, "leader")
    for run in list_runs(session, state="claimed"):
        cancel_run(session, run.id, NOW)


def test_a_bench_that_succeeded_since_is_not_left_out(session: Session, gpu: DeviceView) -> None:
    for number in range(KILLS + 1):
        queued(session, gpu, now=NOW + timedelta(seconds=number))
        claim = begun(session, gpu)
        if number == 1:
            ended(session, claim, RunState.SUCCEEDED)
        else:
            crash: dict[int, Sample | BenchFailure] = {0: BenchFailure(claim.benches[0], "crashed", "signal 11")}
            ended(session, claim, RunState.FAILED, outcomes=crash)
    queued(session, gpu, now=NOW + timedelta(seconds=KILLS + 1))
    assert len(claimed(session, gpu).benches) == len(claim.benches)


@pytest.mark.fault(50, 51, 58)
def test_a_verdict_that_asks_for_it_keeps_the_device_from_work_and_others_go_on(
    session: Session, gpu: DeviceView
) -> None:
    cpu = known_devices(session)[1]
    reason = "Xid 79: the card fell off the bus"
    run = ended(session, running(session, gpu), RunState.FAILED, quarantine=reason, wait_seconds=60.0)
    now = get_device(session, gpu.id)
    assert (now.state, now.state_reason) == (DeviceState.QUARANTINED, reason)
    assert run.retried_by is None
    (step,) = quarantine_history(session, gpu.id)
    assert (step.state, step.run_id, step.actor) == (DeviceState.QUARANTINED, run.id, "worker-1")
    with pytest.raises(Conflict, match="quarantined: Xid 79"):
        queued(session, gpu)
    queued(session, cpu)
    assert finished(session, begun(session, cpu))


def begun(session: Session, device: DeviceView) -> ClaimedRun:
    claim = claimed(session, device)
    assert begin_run(session, claim, NOW)
    return claim


@pytest.mark.fault(53)
def test_an_xid_of_the_programs_kind_keeps_the_card_from_work_only_on_repetition(
    session: Session, gpu: DeviceView
) -> None:
    for number in range(1, PROGRAM_FAULTS + 1):
        assert get_device(session, gpu.id).state is DeviceState.OK
        ended(session, running(session, gpu), RunState.FAILED, conditions={XIDS: [13 if number % 2 else 43]})
    device = get_device(session, gpu.id)
    assert device.state is DeviceState.QUARANTINED
    assert device.state_reason is not None
    assert device.state_reason.startswith("3 runs within 7 days met an Xid")


def test_a_person_releases_a_device_and_the_reason_stays(session: Session, gpu: DeviceView) -> None:
    assert quarantine_device(session, gpu.id, "it smells", NOW, "ann")
    assert not quarantine_device(session, gpu.id, "again", NOW)
    release_device(session, gpu.id, "looked at: a cable", NOW, "bob")
    assert get_device(session, gpu.id).state is DeviceState.OK
    assert [(step.actor, step.reason) for step in quarantine_history(session, gpu.id)] == [
        ("bob", "looked at: a cable"),
        ("ann", "it smells"),
    ]
    with pytest.raises(Conflict, match="is not in quarantine"):
        release_device(session, gpu.id, "again", NOW)
    with pytest.raises(NotFound):
        quarantine_device(session, "nothing", "why", NOW)


@pytest.mark.parametrize(
    ("state", "after"), [(RunState.SUCCEEDED, DeviceState.OK), (RunState.FAILED, DeviceState.QUARANTINED)]
)
def test_a_check_runs_in_quarantine_and_lets_the_device_out_if_it_passes(
    session: Session, gpu: DeviceView, state: RunState, after: DeviceState
) -> None:
    quarantine_device(session, gpu.id, "memory did not come back", NOW)
    check = request_run(session, gpu.id, "smoke", NOW, code_version=CODE, is_check=True)
    assert check.is_check
    ended(session, begun(session, gpu), state)
    assert get_device(session, gpu.id).state is after


@pytest.mark.fault(79)
def test_a_calibration_ten_times_off_is_held_until_a_person_decides(session: Session, gpu: DeviceView) -> None:
    assert finished(session, running(session, gpu))
    usual = newest_fits(session)[gpu.id][0]
    claim = running(session, gpu)
    outcomes = outcomes_of(claim)
    first = outcomes[0]
    assert isinstance(first, Sample)
    outcomes[0] = replace(first, seconds=first.seconds * 10)
    run = ended(session, claim, RunState.SUCCEEDED, outcomes=outcomes)
    assert run.state is RunState.SUSPECT
    assert run.error is not None
    assert run.error.startswith("held for review: ")
    assert run.may_be_reviewed
    assert newest_fits(session)[gpu.id][0] == usual
    assert finished(session, claim), "to say it again changes nothing"

    decided = review_run(session, run.id, True, "the fan was replaced: it is so now", NOW, CODE, "ann")
    assert decided.review is not None
    assert (decided.review.accepted, decided.review.actor) == (True, "ann")
    assert newest_fits(session)[gpu.id][0] != usual
    with pytest.raises(Conflict, match="decided"):
        review_run(session, run.id, False, "after all not", NOW, CODE, "bob")


def test_a_run_that_was_turned_down_draws_no_fit(session: Session, gpu: DeviceView) -> None:
    run = ended(session, running(session, gpu), RunState.SUSPECT)
    assert not review_run(session, run.id, False, "somebody trained beside it", NOW, CODE).may_be_reviewed
    assert gpu.id not in newest_fits(session)
    other = ended(session, running(session, gpu), RunState.SUCCEEDED)
    with pytest.raises(Conflict, match="succeeded"):
        review_run(session, other.id, True, "why not", NOW, CODE)
