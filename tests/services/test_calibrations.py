"""Runs of calibration: asked for, claimed, carried through, cancelled and lost; all or nothing of each is stored."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from planner.calibration.fit import Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.calibration.suites import SUITES
from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.gpu import Gpu
from planner.inventory.device import Backend, DeviceState
from planner.services import fits
from planner.services.calibrations import cancel_run, plan_calibration, request_run
from planner.services.claims import begin_run, claim_run, finish_run, held_until, mark_lost, note_progress
from planner.services.devices import DeviceView, get_device, record_discovery
from planner.services.fits import WATTS, newest_fits, refit_outdated
from planner.services.runs import get_run, list_runs
from planner.store import leases
from planner.store.engine import Engine, Session, session_factory
from planner.store.tables import DeviceRow, FitRow, RunRow, RunTransitionRow, SampleRow, TelemetryRow
from tests.builders import NOW, discovery, seen_cpu, seen_device, seen_node
from tests.runs import CODE, TERM, claimed, finished, known_devices, outcomes_of, queued, readings, running

LATER = NOW + timedelta(minutes=1)
ENDED = timedelta(seconds=-1)  # the term of a lease that has run out when it begins
TABLES = (SampleRow, TelemetryRow, FitRow)


@pytest.fixture
def gpu(session: Session) -> DeviceView:
    """The GPU of a node that has a CPU beside it."""
    return known_devices(session)[0]


def counts(session: Session) -> dict[str, int]:
    return {
        table.__tablename__: session.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES
    }


def states(session: Session, run_id: str) -> list[RunState]:
    return [step.state for step in get_run(session, run_id).transitions]


# Asking


def test_a_plan_says_what_is_measured_how_long_it_takes_and_when_it_stops(session: Session, gpu: DeviceView) -> None:
    plan = plan_calibration(session, gpu.id, "smoke")
    assert plan.num_benches == len(plan.benches) == 6
    assert 0 < plan.expected_seconds < plan.time_limit_seconds == SUITES["smoke"].time_limit_seconds
    assert "6 benches" in plan.sentence
    assert "a training step (1)" in plan.sentence


def test_a_run_asked_for_is_queued_with_its_history(session: Session, gpu: DeviceView) -> None:
    run = get_run(session, queued(session, gpu))
    assert (run.state, run.num_benches, run.num_done, run.worker_id) == (RunState.QUEUED, 6, 0, None)
    assert (run.created_at, run.started_at, run.finished_at, run.seconds) == (NOW, None, None, None)
    assert [(step.at, step.state, step.actor, step.fence) for step in run.transitions] == [
        (NOW, RunState.QUEUED, "user", None)
    ]


@pytest.mark.parametrize("begun", [False, True])
def test_a_device_with_a_run_under_way_gets_no_second_one(session: Session, gpu: DeviceView, begun: bool) -> None:
    run_id = running(session, gpu).run_id if begun else queued(session, gpu)
    with pytest.raises(Conflict, match=run_id):
        queued(session, gpu)
    assert [run.id for run in list_runs(session)] == [run_id]


def test_another_device_of_the_node_may_be_queued_meanwhile(session: Session) -> None:
    gpu, cpu = known_devices(session)
    assert queued(session, gpu) != queued(session, cpu)


@pytest.mark.parametrize("state", [DeviceState.MISSING, DeviceState.QUARANTINED])
def test_a_device_that_does_not_work_is_refused_with_its_reason(
    session: Session, gpu: DeviceView, state: DeviceState
) -> None:
    row = session.get_one(DeviceRow, gpu.id)
    row.state, row.state_reason = state.value, "fell off the bus"
    session.flush()
    with pytest.raises(Conflict, match=f"is {state}: fell off the bus"):
        queued(session, gpu)


def test_an_unknown_suite_is_named_by_its_field(session: Session, gpu: DeviceView) -> None:
    for ask in (
        lambda: request_run(session, gpu.id, "slow", NOW, code_version=CODE),
        lambda: plan_calibration(session, gpu.id, "slow"),
    ):
        with pytest.raises(InvalidInput, match="quick") as caught:
            ask()
        assert [problem.field for problem in caught.value.problems] == ["suite"]


def test_an_unknown_device_or_run_is_not_found_by_its_id(session: Session, gpu: DeviceView) -> None:
    for ask in (
        lambda: request_run(session, "nothing", "smoke", NOW, code_version=CODE),
        lambda: plan_calibration(session, "nothing", "smoke"),
        lambda: get_run(session, "nothing"),
        lambda: cancel_run(session, "nothing", NOW),
        lambda: held_until(session, "nothing"),
    ):
        with pytest.raises(NotFound, match="'nothing'"):
            ask()


def test_of_many_who_ask_at_once_for_one_device_one_gets_a_run(engine: Engine) -> None:
    sessions, together = session_factory(engine), threading.Barrier(6)
    with sessions.begin() as session:
        gpu = known_devices(session)[0]

    def ask(_number: int) -> bool:
        together.wait(120)
        try:
            with sessions.begin() as session:
                queued(session, gpu)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(6))) == 1
    with sessions() as session:
        assert len(list_runs(session)) == 1


def test_asking_ends_a_run_whose_worker_is_gone_first(session: Session, gpu: DeviceView) -> None:
    """Where no worker looks after lost runs, as with the command line alone, the device must not be stuck."""
    dead = running(session, gpu, term=ENDED)
    run_id = queued(session, gpu)
    assert get_run(session, dead.run_id).state is RunState.LOST
    assert get_run(session, run_id).state is RunState.QUEUED


# Claiming


def test_a_claim_holds_all_that_measuring_needs(session: Session, gpu: DeviceView) -> None:
    run_id = queued(session, gpu)
    claim = claimed(session, gpu)
    assert (claim.run_id, claim.device_id, claim.device_uuid) == (run_id, gpu.id, gpu.uuid)
    assert claim.backend is Backend.CUDA
    assert claim.benches == plan_calibration(session, gpu.id, "smoke").benches
    assert (claim.lease.holder, claim.lease.fence) == ("worker-1", 1)
    run = get_run(session, run_id)
    assert (run.state, run.worker_id) == (RunState.CLAIMED, "worker-1")
    assert held_until(session, gpu.id) == claim.lease.expires_at


def test_the_oldest_run_is_taken_first_and_one_at_a_time(session: Session) -> None:
    gpu, cpu = known_devices(session)
    first = queued(session, cpu, now=NOW)
    second = queued(session, gpu, now=LATER)
    claim = claimed(session, cpu)
    assert claim.run_id == first
    assert claim_run(session, cpu.node_id, "worker-2", "boot-1", TERM, NOW) is None
    assert begin_run(session, claim, NOW)
    assert claim_run(session, cpu.node_id, "worker-2", "boot-1", TERM, NOW) is None
    assert finished(session, claim)
    assert claimed(session, gpu, "worker-2").run_id == second


def test_a_run_can_be_taken_by_its_id_and_others_wait(session: Session) -> None:
    gpu, cpu = known_devices(session)
    queued(session, gpu, now=NOW)
    wanted = queued(session, cpu, now=LATER)
    claim = claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW, wanted)
    assert claim is not None
    assert claim.run_id == wanted


def test_a_worker_takes_no_run_of_another_machine(session: Session, gpu: DeviceView) -> None:
    elsewhere = known_devices(
        session, discovery(seen_cpu(uuid="CPU-machine-2"), node=seen_node(machine_id="machine-2", hostname="node-2"))
    )[0]
    queued(session, elsewhere)
    assert claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW) is None
    assert claimed(session, elsewhere).device_id == elsewhere.id


def test_of_many_workers_one_gets_the_run(engine: Engine) -> None:
    sessions, together = session_factory(engine), threading.Barrier(6)
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)

    def take(number: int) -> int | None:
        together.wait(120)
        with sessions.begin() as session:
            claim = claim_run(session, gpu.node_id, f"worker-{number}", "boot-1", TERM, NOW)
            return None if claim is None else claim.lease.fence

    with ThreadPoolExecutor(6) as pool:
        assert [fence for fence in pool.map(take, range(6)) if fence is not None] == [1]


def test_a_device_that_went_missing_while_its_run_was_queued_ends_the_run_with_the_reason(session: Session) -> None:
    gpu, cpu = known_devices(session)
    lost = queued(session, gpu, now=NOW)
    kept = queued(session, cpu, now=LATER)
    record_discovery(session, discovery(seen_cpu()), LATER)
    claim = claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, LATER)
    assert claim is not None
    assert claim.run_id == kept
    run = get_run(session, lost)
    assert run.state is RunState.CANCELLED
    assert run.error is not None
    assert "the device is missing" in run.error


@pytest.mark.fault(40)
def test_a_run_of_a_suite_that_this_code_does_not_know_is_cancelled_and_says_so(
    session: Session, gpu: DeviceView
) -> None:
    run_id = queued(session, gpu)
    session.get_one(RunRow, run_id).suite = "retired"
    session.flush()
    assert claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW) is None
    run = get_run(session, run_id)
    assert (run.state, run.error) == (RunState.CANCELLED, "there is no suite 'retired' any more")


def test_a_run_queued_by_older_code_is_measured_as_the_suite_is_now(session: Session, gpu: DeviceView) -> None:
    run_id = queued(session, gpu)
    row = session.get_one(RunRow, run_id)
    row.suite_version, row.num_benches, row.time_limit_seconds = 0, 2, 5.0
    session.flush()
    claim = claimed(session, gpu)
    run = get_run(session, run_id)
    assert run.num_benches == len(claim.benches) == 6
    assert run.suite_version == SUITES["smoke"].version
    assert run.time_limit_seconds == claim.time_limit_seconds == SUITES["smoke"].time_limit_seconds


# Measuring


def test_progress_is_shown_and_the_lease_renewed(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    pulse = note_progress(session, claim, 2, "copy/fp32/num_bytes=1", timedelta(hours=1), readings(0.5, 1.0))
    assert pulse.lease is not None
    assert pulse.lease.expires_at > claim.lease.expires_at + timedelta(minutes=50)
    assert not pulse.cancel_requested
    run = get_run(session, claim.run_id)
    assert (run.num_done, run.current_bench) == (2, "copy/fp32/num_bytes=1")
    assert [point.seconds_in for point in run.telemetry] == [0.5, 1.0]


def test_readings_sent_again_after_an_unanswered_commit_are_stored_once(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    note_progress(session, claim, 0, None, TERM, readings(0.5, 1.0))
    note_progress(session, claim, 0, None, TERM, readings(0.5, 1.0, 1.5))
    assert [point.seconds_in for point in get_run(session, claim.run_id).telemetry] == [0.5, 1.0, 1.5]


@pytest.mark.fault(40)
def test_a_worker_hears_of_a_cancel_with_its_next_report(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    assert cancel_run(session, claim.run_id, LATER).state is RunState.RUNNING
    assert note_progress(session, claim, 0, None, TERM).cancel_requested


def test_a_report_after_the_lease_ran_out_stores_nothing_and_says_so(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu, term=ENDED)
    assert note_progress(session, claim, 3, "x", TERM, readings(0.5)).lease is None
    run = get_run(session, claim.run_id)
    assert (run.num_done, run.telemetry) == (0, ())


# Ending


def test_a_finished_run_reads_back_as_it_was_measured(engine: Engine) -> None:
    """Committed and read by another session: on PostgreSQL the order inside a JSON object is not kept."""
    sessions = session_factory(engine)
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        claim = running(session, gpu)
        outcomes = outcomes_of(claim)
        outcomes[1] = BenchFailure(claim.benches[1], "oom", "CUDA out of memory")
        outcomes[2] = replace(outcomes[2], details={"zeta": 1.0, "alpha": 2.5}, peak_memory_bytes=2**36, steady=False)
        note_progress(session, claim, 3, claim.benches[3].key, TERM, readings(0.5))
        conditions = {"torch": "2.11.0", "clocks": {"sm": 1.98e9, "memory": None}}
        assert finish_run(
            session, claim, RunState.SUCCEEDED, outcomes, readings(1.0, 1.5), {}, conditions, "", LATER, CODE
        )
    with sessions() as session:
        run = get_run(session, claim.run_id)
        assert run.samples == tuple(outcomes[position] for position in (0, 2, 3, 4, 5))
        assert run.failures == (outcomes[1],)
        assert [sample.bench.key for sample in run.samples] == [claim.benches[p].key for p in (0, 2, 3, 4, 5)]
        assert [(point.seconds_in, point.power_watts) for point in run.telemetry] == [
            (0.5, 100.5),
            (1.0, 101.0),
            (1.5, 101.5),
        ]
        assert run.telemetry[0].temperature_celsius is None
        assert run.conditions == conditions
        assert (run.state, run.error, run.num_done, run.current_bench) == (RunState.SUCCEEDED, None, 6, None)
        assert (run.started_at, run.finished_at, run.seconds) == (NOW, LATER, 60.0)
        assert [(step.state, step.actor, step.fence) for step in run.transitions] == [
            (RunState.QUEUED, "user", None),
            (RunState.CLAIMED, "worker-1", 1),
            (RunState.RUNNING, "worker-1", 1),
            (RunState.SUCCEEDED, "worker-1", 1),
        ]


def test_a_run_that_succeeded_appends_a_fit_that_names_it(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    assert finished(session, claim, now=LATER)
    ((device_id, (fit_id, fit)),) = newest_fits(session).items()
    assert device_id == gpu.id
    assert isinstance(fit, Fit)
    row = session.get_one(FitRow, fit_id)
    assert (row.run_ids, row.gpu_key, row.created_at, row.code_version) == ([claim.run_id], gpu.gpu_key, LATER, CODE)
    view = get_device(session, gpu.id)
    assert (view.fit_id, view.last_run_id, view.last_run_state) == (fit_id, claim.run_id, RunState.SUCCEEDED)


def test_a_second_run_appends_a_second_fit_and_the_first_one_stays(session: Session, gpu: DeviceView) -> None:
    for moment in (NOW, LATER):
        queued(session, gpu, now=moment)
        claim = claimed(session, gpu)
        begin_run(session, claim, moment)
        assert finished(session, claim, now=moment)
    assert counts(session)["fits"] == 2
    assert session.get_one(FitRow, newest_fits(session)[gpu.id][0]).created_at == LATER


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.OOM, RunState.CANCELLED])
def test_a_run_that_did_not_succeed_keeps_its_samples_and_reason_and_makes_no_fit(
    session: Session, gpu: DeviceView, state: RunState
) -> None:
    claim = running(session, gpu)
    assert finished(session, claim, state)
    run = get_run(session, claim.run_id)
    assert (run.state, run.error, len(run.samples)) == (state, "the device fell", 6)
    assert run.transitions[-1].reason == "the device fell"
    assert newest_fits(session) == {}


def test_a_run_cut_at_its_time_limit_is_fitted_only_where_there_is_no_fit(session: Session, gpu: DeviceView) -> None:
    assert finished(session, running(session, gpu), RunState.TIMED_OUT)
    assert counts(session)["fits"] == 1
    assert finished(session, running(session, gpu), RunState.TIMED_OUT)
    assert counts(session)["fits"] == 1


def test_mean_power_is_kept_with_the_sample_it_was_read_beside(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    watts = {claim.benches[0].key: 412.5}
    assert finish_run(session, claim, RunState.SUCCEEDED, outcomes_of(claim), [], watts, {}, "", NOW, CODE)
    samples = get_run(session, claim.run_id).samples
    assert samples[0].details[WATTS] == 412.5
    assert all(WATTS not in sample.details for sample in samples[1:])
    assert newest_fits(session)[gpu.id][1].power_watts == {claim.benches[0].operation: 412.5}


def test_the_device_is_free_once_its_run_has_ended(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    finished(session, claim)
    assert held_until(session, gpu.id) is None
    queued(session, gpu)
    assert claimed(session, gpu, "worker-2").lease.fence == 2


@pytest.mark.fault(16)
def test_what_a_zombie_measured_is_not_taken_once_another_claim_has_come(session: Session, gpu: DeviceView) -> None:
    zombie = running(session, gpu, "worker-1", term=ENDED)
    mark_lost(session, LATER, "worker-2")
    queued(session, gpu)
    claim = claimed(session, gpu, "worker-2")
    assert begin_run(session, claim, LATER)
    before = get_run(session, zombie.run_id)
    assert not begin_run(session, zombie, LATER)
    assert note_progress(session, zombie, 5, None, TERM, readings(0.5)).lease is None
    assert not finished(session, zombie)
    after = get_run(session, zombie.run_id)
    assert replace(after, late=()) == before
    (late,) = after.late  # kept as evidence, once
    assert (late.fence, late.worker_id, late.state, late.num_samples) == (1, "worker-1", RunState.SUCCEEDED, 6)
    assert not finished(session, zombie)
    assert get_run(session, zombie.run_id).late == (late,)
    assert counts(session) == {"samples": 0, "telemetry": 0, "fits": 0}
    assert finished(session, claim)
    assert get_run(session, claim.run_id).state is RunState.SUCCEEDED


@pytest.mark.fault(16)
def test_what_a_zombie_measured_is_not_taken_after_its_run_was_given_up(session: Session, gpu: DeviceView) -> None:
    """Nobody else has claimed the device yet, so its fence is still the newest; the run has ended all the same."""
    zombie = running(session, gpu, term=ENDED)
    mark_lost(session, LATER, "worker-2")
    assert not finished(session, zombie)
    assert states(session, zombie.run_id)[-1] is RunState.LOST
    assert counts(session)["samples"] == 0


@pytest.mark.fault(16)
def test_what_a_zombie_measured_is_not_taken_while_its_run_still_looks_alive(session: Session, gpu: DeviceView) -> None:
    """The device moved to another node, whose worker claimed it before anybody gave the old run up."""
    zombie = running(session, gpu, term=ENDED)
    assert leases.claim(session, zombie.lease.name, "worker-2", "boot-9", TERM) is not None
    assert not begin_run(session, zombie, LATER)
    assert not finished(session, zombie)
    assert get_run(session, zombie.run_id).state is RunState.RUNNING
    assert mark_lost(session, LATER, "worker-2") == [zombie.run_id]
    assert held_until(session, gpu.id) is not None, "the lease of the living is left alone"
    assert counts(session) == {"samples": 0, "telemetry": 0, "fits": 0}


def test_a_late_but_unchallenged_result_is_taken(session: Session, gpu: DeviceView) -> None:
    """The lease ran out while the database was away, nobody gave the run up: a measurement is not thrown away."""
    claim = running(session, gpu, term=ENDED)
    assert finished(session, claim)
    assert get_run(session, claim.run_id).state is RunState.SUCCEEDED


def test_a_result_told_twice_is_stored_once_and_confirmed_twice(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    assert finished(session, claim)
    before = counts(session)
    assert finished(session, claim)
    assert counts(session) == before
    assert states(session, claim.run_id).count(RunState.SUCCEEDED) == 1
    assert not finished(session, claim, RunState.FAILED), "another story under the same fence is not confirmed"


def test_a_finish_that_raises_in_the_middle_stores_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of all fails (the disk is full, the fit has a fault): no sample, no state, no telemetry is left."""
    sessions = session_factory(engine)
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        claim = running(session, gpu)

    def fall(_samples: list[Sample], _gpu: Gpu, *_rest: object) -> Fit:
        raise MemoryError("no space for a fit")

    monkeypatch.setattr(fits, "fit_samples", fall)
    with pytest.raises(MemoryError), sessions.begin() as session:
        finish_run(session, claim, RunState.SUCCEEDED, outcomes_of(claim), readings(0.5), {}, {}, "", NOW, CODE)
    monkeypatch.undo()
    with sessions.begin() as session:
        assert counts(session) == {"samples": 0, "telemetry": 0, "fits": 0}
        assert get_run(session, claim.run_id).state is RunState.RUNNING
        assert held_until(session, gpu.id) is not None
        assert finished(session, claim), "and it can be told again"


def test_a_sample_that_the_database_refuses_stores_nothing_of_the_run(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        claim = running(session, known_devices(session)[0])
    outcomes = outcomes_of(claim)
    last = outcomes[5]
    assert isinstance(last, Sample)
    outcomes[5] = replace(last, seconds=-1.0)
    with pytest.raises(Exception, match="seconds"), sessions.begin() as session:
        finish_run(session, claim, RunState.SUCCEEDED, outcomes, readings(0.5), {}, {}, "", NOW, CODE)
    with sessions.begin() as session:
        assert counts(session) == {"samples": 0, "telemetry": 0, "fits": 0}
        assert get_run(session, claim.run_id).state is RunState.RUNNING


# Cancelling


@pytest.mark.fault(40)
def test_a_queued_run_is_cancelled_at_once_and_never_claimed(session: Session, gpu: DeviceView) -> None:
    run_id = queued(session, gpu)
    assert cancel_run(session, run_id, LATER, "ada").state is RunState.CANCELLED
    last = get_run(session, run_id).transitions[-1]
    assert (last.at, last.actor, last.reason) == (LATER, "ada", "cancelled before it began")
    assert claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, NOW) is None


def test_a_run_that_a_worker_holds_goes_on_until_the_worker_ends_it(session: Session, gpu: DeviceView) -> None:
    queued(session, gpu)
    claim = claimed(session, gpu)
    assert cancel_run(session, claim.run_id, NOW).state is RunState.CLAIMED
    assert cancel_run(session, claim.run_id, LATER).state is RunState.CLAIMED, "to ask twice is no fault"
    assert begin_run(session, claim, LATER)
    assert note_progress(session, claim, 0, None, TERM).cancel_requested
    assert finished(session, claim, RunState.CANCELLED)


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED])
@pytest.mark.fault(40)
def test_a_run_that_has_ended_cannot_be_cancelled(session: Session, gpu: DeviceView, state: RunState) -> None:
    claim = running(session, gpu)
    finished(session, claim, state)
    with pytest.raises(Conflict, match=f"has ended already \\({state}\\)"):
        cancel_run(session, claim.run_id, LATER)


@pytest.mark.fault(40)
def test_cancel_and_claim_at_the_same_moment_leave_one_of_two_clear_states(engine: Engine) -> None:
    sessions = session_factory(engine)
    for number in range(6):
        with sessions.begin() as session:
            gpu = known_devices(session)[0]
            run_id = queued(session, gpu, now=NOW + timedelta(seconds=number))
        together = threading.Barrier(2)

        def cancel(run_id: str = run_id, together: threading.Barrier = together) -> None:
            together.wait(120)
            with sessions.begin() as session:
                cancel_run(session, run_id, LATER)

        def take(together: threading.Barrier = together, gpu: DeviceView = gpu) -> object:
            together.wait(120)
            with sessions.begin() as session:
                return claim_run(session, gpu.node_id, "worker-1", "boot-1", TERM, LATER)

        with ThreadPoolExecutor(2) as pool:
            cancelling, taking = pool.submit(cancel), pool.submit(take)
            cancelling.result()
            claim = taking.result()
        with sessions.begin() as session:
            if claim is None:
                assert get_run(session, run_id).state is RunState.CANCELLED
            else:
                assert get_run(session, run_id).state is RunState.CLAIMED
                assert finished(session, claim, RunState.CANCELLED)  # type: ignore[arg-type]


# Losing


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_whose_lease_ran_out_is_lost_and_its_device_free(session: Session, gpu: DeviceView, begun: bool) -> None:
    queued(session, gpu)
    claim = claimed(session, gpu, term=ENDED)
    if begun:
        begin_run(session, claim, NOW)
    assert mark_lost(session, LATER, "worker-2") == [claim.run_id]
    run = get_run(session, claim.run_id)
    assert (run.state, run.error, run.finished_at) == (RunState.LOST, "its worker let the lease run out", LATER)
    assert run.transitions[-1].actor == "worker-2"
    assert mark_lost(session, LATER, "worker-2") == []
    queued(session, gpu)
    assert claimed(session, gpu, "worker-2").lease.fence == claim.lease.fence + 1


@pytest.mark.fault(26)
def test_a_run_of_an_earlier_boot_is_lost_at_once_though_its_lease_still_runs(
    session: Session, gpu: DeviceView
) -> None:
    claim = running(session, gpu, term=timedelta(hours=1))
    assert mark_lost(session, LATER, "worker-2") == []
    record_discovery(session, discovery(node=seen_node(boot_id="boot-2")), LATER)
    assert mark_lost(session, LATER, "worker-2") == [claim.run_id]
    assert get_run(session, claim.run_id).error == "its node was started anew since"
    queued(session, gpu)
    assert claim_run(session, gpu.node_id, "worker-2", "boot-2", TERM, LATER) is not None


def test_a_run_whose_worker_renews_is_not_lost(session: Session, gpu: DeviceView) -> None:
    claim = running(session, gpu)
    assert note_progress(session, claim, 1, None, TERM).lease is not None
    assert mark_lost(session, LATER, "worker-2") == []
    assert get_run(session, claim.run_id).state is RunState.RUNNING


def test_a_queued_run_waits_for_a_worker_however_long_and_is_never_lost(session: Session, gpu: DeviceView) -> None:
    run_id = queued(session, gpu)
    assert mark_lost(session, NOW + timedelta(days=30), "worker-2") == []
    assert get_run(session, run_id).state is RunState.QUEUED


def test_two_leaders_that_look_at_once_end_a_lost_run_once(engine: Engine) -> None:
    sessions, together = session_factory(engine), threading.Barrier(2)
    with sessions.begin() as session:
        claim = running(session, known_devices(session)[0], term=ENDED)

    def look(number: int) -> list[str]:
        together.wait(120)
        with sessions.begin() as session:
            return mark_lost(session, LATER, f"worker-{number}")

    with ThreadPoolExecutor(2) as pool:
        found = [run_id for ids in pool.map(look, range(2)) for run_id in ids]
    assert found == [claim.run_id]
    with sessions() as session:
        query = select(func.count()).select_from(RunTransitionRow).where(RunTransitionRow.state == RunState.LOST)
        assert session.execute(query).scalar_one() == 1


# Reading


def test_runs_are_listed_newest_first_by_device_state_and_page(session: Session) -> None:
    gpu, cpu = known_devices(session)
    ids = []
    for number, device in enumerate((gpu, cpu, gpu, cpu)):
        ids.append(queued(session, device, now=NOW + timedelta(seconds=number)))
        if number < 2:
            cancel_run(session, ids[-1], LATER)
    assert [run.id for run in list_runs(session)] == ids[::-1]
    assert [run.id for run in list_runs(session, device_id=gpu.id)] == [ids[2], ids[0]]
    assert [run.id for run in list_runs(session, state="queued")] == [ids[3], ids[2]]
    assert [run.id for run in list_runs(session, limit=2)] == [ids[3], ids[2]]
    assert [run.id for run in list_runs(session, limit=2, after=ids[2])] == [ids[1], ids[0]]


def test_a_fit_in_a_form_this_code_does_not_read_is_drawn_anew_from_the_samples(
    session: Session, gpu: DeviceView
) -> None:
    claim = running(session, gpu)
    finished(session, claim)
    old_id, fit = newest_fits(session)[gpu.id]
    row = session.get_one(FitRow, old_id)
    row.document = {"form": 0}
    session.flush()
    assert newest_fits(session) == {}
    (new_id,) = refit_outdated(session, LATER, "1.3.0")
    assert newest_fits(session)[gpu.id] == (new_id, fit)
    assert session.get_one(FitRow, new_id).run_ids == [claim.run_id]
    assert refit_outdated(session, LATER, "1.3.0") == []


def test_a_device_that_the_catalogue_does_not_know_is_fitted_from_its_own_samples(session: Session) -> None:
    stranger = known_devices(session, discovery(seen_device(gpu_key=None, name="Some New Board")))[0]
    assert finished(session, running(session, stranger))
    assert newest_fits(session)[stranger.id]


def test_a_suite_of_chosen_operations_is_asked_for_claimed_and_measured_by_its_name(
    session: Session, gpu: DeviceView
) -> None:
    run_id = queued(session, gpu, suite="custom:copy+matmul/bf16+fp32")
    claim = claimed(session, gpu)
    assert claim.run_id == run_id
    assert {bench.operation.value for bench in claim.benches} <= {"copy", "matmul", "sentinel"}
    assert begin_run(session, claim, NOW)
    assert finished(session, claim)
    assert get_run(session, run_id).suite == "custom:copy+matmul/bf16+fp32"
