"""A small world made through the services: prices, two devices, runs in several states, schedules, estimates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample
from planner.calibration.theory import bench_theory
from planner.plans.outlook import outlook
from planner.plans.plan import plan
from planner.services.calibrations import request_run
from planner.services.claims import ClaimedRun, begin_run, claim_run, finish_run, note_progress
from planner.services.devices import get_device, record_discovery
from planner.services.estimates import make_estimate
from planner.services.offers import sync_price_book
from planner.services.plan_search import claim_plan, finish_search, note_search
from planner.services.plans import SearchProgress, ask_plan, move_plan
from planner.services.requests import EstimateRequest, ScheduleRequest, parse
from planner.services.requests.plans import PlanQuestion, StageRequest
from planner.services.runs import TelemetryPoint
from planner.services.schedules import create_schedule
from planner.store.engine import Session
from tests.builders import NOW, discovery

TERM = timedelta(hours=2)
CODE = "0.1.0+tests"


@dataclass(frozen=True)
class World:
    """The ids of what there is."""

    gpu_id: str
    cpu_id: str
    finished_run: str
    running_run: str
    running_claim: ClaimedRun  # what its worker holds
    training: str
    service: str
    nothing_fits: str
    schedule: str
    offer: int
    plan: str  # one that was found
    locked_plan: str  # that is tracked
    clashing_plan: str
    searching_plan: str  # under way


def build(session: Session) -> World:
    """Fill an empty, migrated database; the caller commits."""
    sync_price_book(session, NOW - timedelta(days=1))
    gpu, cpu = record_discovery(session, discovery(), NOW - timedelta(hours=3))
    finished = measured_run(session, gpu.id)
    estimates = [
        make_estimate(session, EstimateRequest(**asked), NOW + timedelta(seconds=order), CODE).id
        for order, asked in enumerate(
            (
                {"preset": "finetune-small"},
                {"preset": "serve-llama-3-8b", "goal": "time"},
                {"preset": "pretrain-1b", "budget": "0.01"},
            )
        )
    ]
    schedule = create_schedule(
        session, ScheduleRequest(name="Weekly check", cron="0 3 * * 6", timezone="Europe/Berlin"), NOW
    )
    running = running_run(session, cpu.id)
    return World(
        gpu_id=gpu.id,
        cpu_id=cpu.id,
        finished_run=finished,
        running_run=running.run_id,
        running_claim=running,
        training=estimates[0],
        service=estimates[1],
        nothing_fits=estimates[2],
        schedule=schedule.id,
        offer=1,
        plan=solved_plan(session),
        locked_plan=locked_plan(session, estimates[0]),
        clashing_plan=clashing_plan(session),
        searching_plan=searching_plan(session),
    )


def solved_plan(session: Session) -> str:
    """A plan of one job and one service, by hand, as its worker stored it."""
    rent = {"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5, "num_gpus": 16}
    reserve = {"name": "reserve", "gpu": "H100", "kind": "reserved", "price_per_hour": 1.2, "term_hours": 24}
    job = {"name": "train", "options": [{"gpu": "H100", "num_gpus": 4, "time": "6 h"}], "deadline": "20 h"}
    chat = {"name": "chat", "replicas": [{"gpu": "H100", "num_gpus": 1, "rate": 10}], "demand": {"low": 5, "high": 30}}
    supply = {"offers": False, "own": False, "extra": [rent, reserve]}
    question = parse(
        PlanQuestion, {"name": "One day", "span": "1 day", "jobs": [job], "services": [chat], "supply": supply}
    )
    asked = ask_plan(session, question, NOW, CODE)
    claim = claim_plan(session, "worker", "boot", TERM, NOW)
    assert claim is not None
    found = plan(claim.request, seconds=600)
    assert finish_search(session, claim, found, "", NOW, outlook(claim.request, found, 600.0, claim.spread, 0.01))
    return asked.id


def locked_plan(session: Session, estimate_id: str) -> str:
    """A plan that was decided on seven hours ago; nobody entered yet what its jobs took."""
    begun = NOW - timedelta(hours=7)
    job = {"name": "tune", "estimate_id": estimate_id, "deadline": "6 h"}
    night = {"name": "night", "options": [{"gpu": "H100-80GB-SXM", "num_gpus": 1, "time": "5 h"}]}
    rent = {"name": "rent", "gpu": "H100-80GB-SXM", "kind": "on_demand", "price_per_hour": 2.5}
    supply = {"offers": False, "own": True, "extra": [rent]}
    question = parse(PlanQuestion, {"name": "Decided", "span": "1 day", "jobs": [job, night], "supply": supply})
    asked = ask_plan(session, question, begun, CODE)
    claim = claim_plan(session, "worker", "boot", TERM, begun)
    assert claim is not None
    assert finish_search(session, claim, plan(claim.request, seconds=600), "", begun)
    for stage in ("submitted", "approved", "locked"):
        move_plan(session, asked.id, StageRequest(stage=stage, actor="Ada"), begun)
    return asked.id


def clashing_plan(session: Session) -> str:
    """A plan that cannot be: two jobs, one GPU, no time for both."""
    one = {"name": "one GPU", "gpu": "H100", "kind": "owned", "price_per_hour": 0.1, "num_gpus": 1}
    jobs = [
        {"name": name, "options": [{"gpu": "H100", "num_gpus": 1, "time": "5 h"}], "deadline": "8 h"}
        for name in ("first", "second")
    ]
    supply = {"offers": False, "own": False, "extra": [one]}
    asked = ask_plan(
        session, parse(PlanQuestion, {"name": "Too much", "span": "1 day", "jobs": jobs, "supply": supply}), NOW, CODE
    )
    claim = claim_plan(session, "worker", "boot", TERM, NOW)
    assert claim is not None
    assert finish_search(session, claim, plan(claim.request, seconds=600), "", NOW)
    return asked.id


def searching_plan(session: Session) -> str:
    """A plan whose search is under way."""
    rent = {"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5}
    job = {"name": "train", "options": [{"gpu": "H100", "num_gpus": 4, "time": "6 h"}]}
    supply = {"offers": False, "own": False, "extra": [rent]}
    asked = ask_plan(
        session,
        parse(PlanQuestion, {"name": "Under way", "span": "1 day", "jobs": [job], "supply": supply}),
        NOW - timedelta(seconds=8),
        CODE,
    )
    claim = claim_plan(session, "worker", "boot", TERM, NOW)
    assert claim is not None
    lease, _ = note_search(session, claim, SearchProgress(66.0, 60.0, 6 / 66, 4.2, "search"), TERM)
    assert lease is not None
    return asked.id


def measured_run(session: Session, device_id: str) -> str:
    """A run that succeeded with one bench failed and telemetry beside it."""
    begun = NOW - timedelta(hours=2)
    run = request_run(session, device_id, "quick", begun, code_version=CODE)
    claim = _claim(session, device_id)
    assert begin_run(session, claim, begun + timedelta(seconds=3))
    outcomes: dict[int, Sample | BenchFailure] = {
        position: measured(bench) for position, bench in enumerate(claim.benches)
    }
    last = len(claim.benches) - 1
    outcomes[last] = BenchFailure(claim.benches[last], "oom", "tried to allocate 90 GiB <of> 79 GiB")
    readings = [
        TelemetryPoint(second / 2, 300.0 + second, None, 50.0 + second / 8, 1.9e9, None, 0.97, 40_000_000_000, 0)
        for second in range(40)
    ]
    finished = finish_run(
        session,
        claim,
        RunState.SUCCEEDED,
        outcomes,
        readings,
        {},
        {"driver": "580.95.05", "power_limit_watts": None},
        "",
        begun + timedelta(seconds=63),
        CODE,
    )
    assert finished
    return run.id


def running_run(session: Session, device_id: str, num_done: int = 3) -> ClaimedRun:
    """A run that is under way."""
    request_run(session, device_id, "smoke", NOW - timedelta(seconds=20), code_version=CODE)
    claim = _claim(session, device_id)
    assert begin_run(session, claim, NOW - timedelta(seconds=15))
    assert note_progress(session, claim, num_done, claim.benches[num_done].key, TERM).lease
    return claim


def measured(bench: Bench) -> Sample:
    """What a card that reaches 400 TFLOP/s and 2.6 TB/s would give."""
    theory = bench_theory(bench)
    return Sample(
        bench=bench,
        seconds=theory.flops / 4e14 + theory.num_bytes / 2.6e12 + 5e-6,
        spread=0.01,
        repeats=7,
        flops=theory.flops,
        num_bytes=theory.num_bytes,
        steady=True,
        peak_memory_bytes=None,
    )


def _claim(session: Session, device_id: str) -> ClaimedRun:
    node_id = get_device(session, device_id).node_id
    claim = claim_run(session, node_id, "worker-1", "boot-1", TERM, NOW)
    assert claim is not None
    return claim
