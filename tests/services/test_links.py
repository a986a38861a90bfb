"""What several devices of a node tell each other: one run that holds them all, or says why there is nothing to hold."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from planner.calibration.fit import Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import COLLECTIVES, Operation, Sample
from planner.calibration.theory import bench_theory
from planner.errors import InvalidInput
from planner.inventory.device import DeviceState, SeenDevice
from planner.services import worth
from planner.services.assets import create_asset
from planner.services.calibrations import plan_calibration, request_run
from planner.services.claims import ClaimedRun, begin_run, claim_run, finish_run, held_until, mark_lost, note_progress
from planner.services.devices import DeviceView, get_device, record_discovery
from planner.services.estimates import make_estimate
from planner.services.fits import newest_fits
from planner.services.offers import sync_price_book
from planner.services.quarantine import quarantine_device
from planner.services.requests import EstimateRequest, ScheduleRequest, parse
from planner.services.requests.assets import AssetRequest
from planner.services.run_now import run_schedule_now
from planner.services.runs import get_run, list_runs
from planner.services.schedules import create_schedule, fall_due, list_schedules
from planner.services.worth import estimate_worth
from planner.store import leases
from planner.store.engine import Engine, Session, session_factory
from planner.store.runs import lease_name
from tests.builders import NOW, discovery, sample, seen_cpu, seen_device, seen_node
from tests.runs import CODE, TERM, claimed, known_devices, outcomes_of, queued
from tests.web.world import measured

LATER = NOW + timedelta(hours=1)
ENDED = timedelta(seconds=-1)
HOUR = timedelta(hours=1)


def card(number: int, **changes: object) -> SeenDevice:
    return seen_device(uuid=f"GPU-{number:08d}-2222-3333-4444-555555555555", index=number, **changes)


def four_cards(session: Session) -> list[DeviceView]:
    """Four equal cards, another kind of card and the CPU of one node; the four cards."""
    other = card(4, name="NVIDIA A100-SXM4-80GB", gpu_key="A100-80GB-SXM")
    found = known_devices(session, discovery(*(card(number) for number in range(4)), other, seen_cpu()))
    return [device for device in found if device.name == card(0).name]


def taken(session: Session, device: DeviceView, worker: str = "worker-1") -> ClaimedRun:
    """A run of what the device and its like tell each other: asked for, taken and begun."""
    queued(session, device, "links")
    claim = claimed(session, device, worker)
    assert begin_run(session, claim, NOW)
    return claim


def exchanges(claim: ClaimedRun, bandwidth: float = 300e9) -> dict[int, Sample]:
    """Samples as links of that bandwidth give them."""
    found = {}
    for position, bench in enumerate(claim.benches):
        wire = bench_theory(bench).num_bytes
        found[position] = sample(bench=bench, seconds=1e-5 + wire / bandwidth, flops=0.0, num_bytes=wire)
    return found


def is_free(session: Session, device: DeviceView) -> bool:
    return held_until(session, device.id) is None


def test_a_plan_holds_all_equal_devices_of_the_node_and_counts_the_cost_of_each(session: Session) -> None:
    cards = four_cards(session)
    owned = {"name": "our node", "price": "30000", "busy_kw": "1.2", "currency": "USD", "num_gpus": 4}
    create_asset(session, parse(AssetRequest, owned | {"device_ids": [one.id for one in cards]}), NOW)
    plan = plan_calibration(session, cards[0].id, "links")
    assert plan.num_devices == 4
    assert "among 4 devices of the node at once" in plan.sentence
    assert {bench.operation for bench in plan.benches} == COLLECTIVES
    assert {bench.parameters["ranks"] for bench in plan.benches} == {2, 4}
    alone = plan_calibration(session, cards[0].id, "quick")
    assert plan.expected_cost.amount is not None
    assert alone.expected_cost.amount is not None
    per_second = alone.expected_cost.amount / Decimal(alone.expected_seconds)
    assert float(plan.expected_cost.amount / Decimal(plan.expected_seconds) / per_second) == pytest.approx(4, rel=1e-2)


def test_a_single_device_says_why_it_does_not_apply(session: Session) -> None:
    cpu = known_devices(session)[1]
    for ask in (
        lambda: plan_calibration(session, cpu.id, "links"),
        lambda: request_run(session, cpu.id, "links", NOW, code_version=CODE),
    ):
        with pytest.raises(InvalidInput, match="the only one of its kind that works on its node"):
            ask()
    assert list_runs(session) == []


def test_a_slice_of_a_card_cannot_be_joined(session: Session) -> None:
    slices = [card(number) for number in range(2)]
    slices = [replace(one, uuid=one.uuid.replace("GPU-", "MIG-")) for one in slices]
    found = known_devices(session, discovery(*slices))
    with pytest.raises(InvalidInput, match="needs whole devices"):
        plan_calibration(session, found[0].id, "links")


def test_a_claim_leases_every_device_under_a_fence_of_its_own(session: Session) -> None:
    cards = four_cards(session)
    claim = taken(session, cards[1])
    assert claim.device_id == cards[1].id
    assert {peer.device_id for peer in claim.peers} == {one.id for one in cards} - {cards[1].id}
    assert not any(is_free(session, one) for one in cards)
    assert get_run(session, claim.run_id).peers == tuple(peer.device_id for peer in claim.peers)
    assert list_runs(session)[0].num_devices == 4
    pulse = note_progress(session, claim, 1, None, HOUR)
    assert pulse.lease is not None
    assert pulse.lease.name == claim.lease.name
    ends = {held_until(session, one.id) for one in cards}
    assert None not in ends
    assert min(end for end in ends if end) > pulse.lease.expires_at - timedelta(minutes=1), "all renewed"
    assert finish_run(session, claim, RunState.SUCCEEDED, exchanges(claim), [], {}, {}, "", LATER, CODE)
    assert all(is_free(session, one) for one in cards)


def test_nothing_is_taken_while_one_of_the_devices_is_held_elsewhere(session: Session) -> None:
    cards = four_cards(session)
    queued(session, cards[0], "links")
    other = leases.claim(session, lease_name(cards[2].uuid), "worker-2", "boot-9", HOUR)
    assert other is not None
    assert claim_run(session, cards[0].node_id, "worker-1", "boot-1", TERM, NOW) is None
    assert [is_free(session, one) for one in cards] == [True, True, False, True], "none is held in vain"
    leases.release(session, other)
    assert len(claimed(session, cards[0]).peers) == 3


def test_two_that_want_the_same_devices_do_not_lock_each_other_out(engine: Engine) -> None:
    open_session = session_factory(engine)
    names = [lease_name(f"GPU-{letter}") for letter in "abcdef"]
    start = threading.Barrier(2)

    def want(turn: int) -> int:
        won = 0
        for number in range(10):
            with open_session.begin() as session:
                if number == 0:
                    start.wait(timeout=120)
                order = names if turn else names[::-1]
                held = leases.claim_all(session, order, f"worker-{turn}", "boot", HOUR)
                won += held is not None
                for lease in held or ():
                    leases.release(session, lease)
        return won

    with ThreadPoolExecutor(2) as threads:
        won = list(threads.map(want, range(2)))
    assert won == [10, 10]
    with open_session() as session:
        assert leases.end_of(session, names[0]) is None


def test_a_run_that_lost_one_of_its_devices_stores_nothing(session: Session) -> None:
    cards = four_cards(session)
    claim = taken(session, cards[0])
    stolen = next(peer for peer in claim.peers if peer.device_id == cards[3].id)
    leases.revoke(session, stolen.lease.name, stolen.lease.fence)
    assert leases.claim(session, stolen.lease.name, "worker-2", "boot-9", TERM) is not None
    assert note_progress(session, claim, 1, None, TERM).lease is None
    assert not finish_run(session, claim, RunState.SUCCEEDED, exchanges(claim), [], {}, {}, "", LATER, CODE)
    run = get_run(session, claim.run_id)
    assert run.samples == ()
    assert [late.num_samples for late in run.late] == [len(claim.benches)], "kept as evidence"


def test_a_lost_run_frees_all_its_devices(session: Session) -> None:
    cards = four_cards(session)
    queued(session, cards[0], "links")
    claim = claimed(session, cards[0], term=ENDED)
    assert mark_lost(session, NOW, "housekeeping") == [claim.run_id]
    again = claimed(session, cards[0], "worker-2")
    assert len(again.peers) == 3
    fences = {peer.device_id: peer.lease.fence for peer in claim.peers}
    assert all(peer.lease.fence > fences[peer.device_id] for peer in again.peers)


def test_a_device_whose_memory_did_not_come_back_is_kept_from_work_and_its_neighbours_are_not(
    session: Session,
) -> None:
    cards = four_cards(session)
    claim = taken(session, cards[0])
    held = {cards[2].uuid: "the card's memory did not come back after the run"}
    assert finish_run(session, claim, RunState.FAILED, {}, [], {}, {}, "held", LATER, CODE, peer_quarantine=held)
    states = [get_device(session, one.id).state for one in cards]
    assert states == [DeviceState.OK, DeviceState.OK, DeviceState.QUARANTINED, DeviceState.OK]


def test_a_quarantined_device_is_left_out_and_of_two_the_last_one_alone_cancels_the_run(session: Session) -> None:
    cards = four_cards(session)
    for one in cards[2:]:
        quarantine_device(session, one.id, "broken", NOW, "test")
    claim = taken(session, cards[0])
    assert [peer.device_id for peer in claim.peers] == [cards[1].id]
    assert finish_run(session, claim, RunState.SUCCEEDED, exchanges(claim), [], {}, {}, "", LATER, CODE)
    run_id = queued(session, cards[0], "links")
    quarantine_device(session, cards[1].id, "broken", NOW, "test")
    assert claim_run(session, cards[0].node_id, "worker-1", "boot-1", TERM, NOW) is None
    run = get_run(session, run_id)
    assert run.state is RunState.CANCELLED
    assert run.error is not None
    assert "the only one of its kind" in run.error


def test_measured_links_are_part_of_the_fit_and_stay_when_the_device_is_measured_again(session: Session) -> None:
    gpu = four_cards(session)[0]

    def measured(suite: str, hours: int) -> tuple[str, Fit]:
        at = NOW + hours * HOUR
        queued(session, gpu, suite, at)
        claim = claimed(session, gpu)
        assert begin_run(session, claim, at)
        outcomes = exchanges(claim) if claim.peers else outcomes_of(claim)
        assert finish_run(session, claim, RunState.SUCCEEDED, outcomes, [], {}, {}, "", at, CODE)
        return newest_fits(session)[gpu.id]

    measured("quick", 0)
    linked, fit = measured("links", 1)
    assert fit.matmul, "what the devices do by themselves is still known"
    assert fit.links is not None
    assert fit.links.bandwidth(4) == pytest.approx(300e9, rel=1e-3)
    assert measured("smoke", 2)[0] == linked, "a smoke test changes no estimate"
    again, fit = measured("quick", 3)
    assert again != linked
    assert fit.links is not None


def test_a_schedule_of_all_devices_gets_one_run_per_group_and_none_for_what_stands_alone(session: Session) -> None:
    cards = four_cards(session)
    schedule = create_schedule(session, ScheduleRequest(name="links", cron="0 * * * *", suite="links"), NOW)
    assert schedule.problem == ""
    assert schedule.expected_seconds == pytest.approx(
        4 * plan_calibration(session, cards[0].id, "links").expected_seconds
    ), "device minutes"
    (run,) = fall_due(session, schedule.id, LATER, CODE, "worker")
    assert run.device_id == cards[0].id
    assert run.state is RunState.QUEUED
    assert run.num_benches == plan_calibration(session, cards[0].id, "links").num_benches


def test_a_schedule_that_no_node_can_follow_says_so(session: Session) -> None:
    known_devices(session)
    create_schedule(session, ScheduleRequest(name="links", cron="0 * * * *", suite="links"), NOW)
    (schedule,) = list_schedules(session, LATER)
    assert "needs two equal devices on one node" in schedule.problem
    assert schedule.next_due == ()


def test_run_now_follows_the_filters_of_the_schedule(session: Session) -> None:
    four_cards(session)
    record_discovery(
        session, discovery(seen_cpu(uuid="CPU-2"), node=seen_node(machine_id="machine-2", hostname="node-2")), NOW
    )
    request = ScheduleRequest(name="AMD", cron="0 * * * *", suite="smoke", vendor="AMD")
    schedule = create_schedule(session, request, NOW)
    queued_now = run_schedule_now(session, schedule.id, LATER, CODE).queued
    assert len(queued_now) == 2
    assert all(get_device(session, run.device_id).vendor == "AMD" for run in queued_now)


def test_the_group_of_a_bench_stands_in_its_sample(session: Session) -> None:
    claim = taken(session, four_cards(session)[0])
    assert finish_run(session, claim, RunState.SUCCEEDED, exchanges(claim), [], {}, {}, "", LATER, CODE)
    stored = get_run(session, claim.run_id).samples
    sums = {one.bench.parameters["ranks"] for one in stored if one.bench.operation is Operation.ALL_REDUCE}
    assert sums == {2, 4}


def test_measuring_the_links_is_offered_where_an_estimate_rests_on_what_cards_exchange(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worth, "LEAST_NARROWING", 0.001)  # between cards joined so well they are worth little
    cards = four_cards(session)
    sync_price_book(session, NOW)
    asked = EstimateRequest(preset="serve-llama-3-70b")
    unmeasured = make_estimate(session, asked, NOW, CODE)
    assert "links" not in {one.suite for one in estimate_worth(session, unmeasured.id).measurements}, "no fit to add to"

    def run(suite: str, hours: int) -> None:
        queued(session, cards[0], suite, NOW + hours * HOUR)
        claim = claimed(session, cards[0])
        assert begin_run(session, claim, NOW + hours * HOUR)
        outcomes = exchanges(claim) if claim.peers else {n: measured(bench) for n, bench in enumerate(claim.benches)}
        assert finish_run(session, claim, RunState.SUCCEEDED, outcomes, [], {}, {}, "", NOW + hours * HOUR, CODE)

    run("quick", 1)
    before = make_estimate(session, asked, NOW + 2 * HOUR, CODE)
    (offered,) = [one for one in estimate_worth(session, before.id).measurements if one.suite == "links"]
    assert offered.device_id == cards[0].id
    assert offered.device_name == f"4 × {cards[0].name} together"
    assert offered.width_after < offered.width_before
    assert offered.minutes * 60 == pytest.approx(plan_calibration(session, cards[0].id, "links").expected_seconds)
    run("links", 3)
    after = make_estimate(session, asked, NOW + 4 * HOUR, CODE)
    assert "links" not in {one.suite for one in estimate_worth(session, after.id).measurements}, "it is measured"
