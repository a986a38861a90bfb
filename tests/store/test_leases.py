"""Leases on both databases: one holder, a fence that rises, and an end on the database's clock."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine

from planner.gpu.process import helper_environment
from planner.store import leases
from planner.store.engine import Engine, Session, database_now, make_engine, session_factory

TERM = timedelta(seconds=30)
OVER = timedelta(seconds=-1)


def claim(session: Session, holder: str, term: timedelta = TERM) -> leases.Lease | None:
    return leases.claim(session, "device:GPU-1", holder, "boot-1", term)


def held(session: Session, holder: str, term: timedelta = TERM) -> leases.Lease:
    lease = claim(session, holder, term)
    assert lease is not None
    return lease


def test_a_second_worker_is_refused_while_the_first_one_holds_the_lease(session: Session) -> None:
    held(session, "first")
    assert claim(session, "second") is None
    assert leases.claim(session, "device:GPU-2", "second", "boot-1", TERM) is not None


def test_the_fence_rises_by_one_with_each_claim(session: Session) -> None:
    fences = []
    for holder in ("first", "second", "first"):
        lease = held(session, holder)
        fences.append(lease.fence)
        leases.release(session, lease)
    assert fences == [1, 2, 3]


def test_a_refused_claim_leaves_the_fence_and_the_holder_alone(session: Session) -> None:
    lease = held(session, "first")
    claim(session, "second")
    assert leases.is_current(session, lease.name, lease.fence)
    assert leases.renew(session, lease, TERM) is not None


def test_a_lease_ends_one_term_after_the_claim_on_the_clock_of_the_database(session: Session) -> None:
    before = database_now(session)
    lease = held(session, "first")
    assert before + TERM <= lease.expires_at <= database_now(session) + TERM
    assert leases.end_of(session, lease.name) == lease.expires_at


@pytest.mark.fault(5, 6, 7)
def test_the_clock_of_this_process_does_not_move_the_end_of_a_lease(session: Session) -> None:
    before = database_now(session)
    with time_machine.travel("2036-01-01T00:00:00+00:00"):
        lease = held(session, "first")
        assert claim(session, "second") is None
    assert before + TERM <= lease.expires_at <= database_now(session) + TERM


def test_another_worker_takes_a_lease_that_has_run_out(session: Session) -> None:
    first = held(session, "first", OVER)
    assert leases.end_of(session, first.name) is None
    second = held(session, "second")
    assert (second.holder, second.fence) == ("second", first.fence + 1)
    assert not leases.is_current(session, first.name, first.fence)


def test_a_renewal_pushes_the_end_out_under_the_same_fence(session: Session) -> None:
    lease = held(session, "first", timedelta(seconds=5))
    renewed = leases.renew(session, lease, TERM)
    assert renewed is not None
    assert (renewed.name, renewed.holder, renewed.fence) == (lease.name, lease.holder, lease.fence)
    assert renewed.expires_at > lease.expires_at + timedelta(seconds=20)
    assert leases.end_of(session, lease.name) == renewed.expires_at


def test_a_renewal_after_the_end_is_refused_even_where_nobody_else_came(session: Session) -> None:
    assert leases.renew(session, held(session, "first", OVER), TERM) is None


def test_a_renewal_by_a_zombie_is_refused_and_does_not_touch_the_new_holder(session: Session) -> None:
    old = held(session, "first", OVER)
    new = held(session, "second")
    assert leases.renew(session, old, timedelta(hours=1)) is None
    assert leases.end_of(session, new.name) == new.expires_at


def test_a_release_lets_another_worker_in_at_once(session: Session) -> None:
    leases.release(session, held(session, "first"))
    assert claim(session, "second") is not None


def test_a_release_by_a_zombie_does_not_free_the_lease_of_the_new_holder(session: Session) -> None:
    old = held(session, "first", OVER)
    new = held(session, "second")
    leases.release(session, old)
    assert claim(session, "third") is None
    assert leases.is_current(session, new.name, new.fence)


def test_a_revoked_holder_cannot_renew_and_another_may_claim(session: Session) -> None:
    lease = held(session, "first")
    leases.revoke(session, lease.name, lease.fence)
    assert leases.renew(session, lease, TERM) is None
    assert leases.end_of(session, lease.name) is None
    assert claim(session, "second") is not None


def test_the_holder_that_claims_again_gets_a_new_fence(session: Session) -> None:
    """Its own earlier words do not count any more: it may have forgotten them in between."""
    first = held(session, "first")
    second = held(session, "first")
    assert second.fence == first.fence + 1
    assert leases.renew(session, first, TERM) is None


def test_no_fence_is_current_before_the_first_claim(session: Session) -> None:
    assert not leases.is_current(session, "device:never", 0)
    assert leases.end_of(session, "device:never") is None


def test_a_claim_that_is_rolled_back_leaves_no_holder(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions() as session:
        held(session, "first")
        session.rollback()
    with sessions.begin() as session:
        assert held(session, "second").fence == 1


def test_of_many_threads_that_claim_at_once_one_wins(engine: Engine) -> None:
    num_threads = 8
    sessions, together = session_factory(engine), threading.Barrier(num_threads)

    def attempt(number: int) -> leases.Lease | None:
        together.wait(120)
        with sessions.begin() as session:
            return claim(session, f"worker-{number}")

    with ThreadPoolExecutor(num_threads) as pool:
        found = [lease for lease in pool.map(attempt, range(num_threads)) if lease is not None]
    assert [lease.fence for lease in found] == [1]


def test_of_many_threads_that_take_over_an_ended_lease_one_wins(engine: Engine) -> None:
    num_threads = 8
    sessions, together = session_factory(engine), threading.Barrier(num_threads)
    with sessions.begin() as session:
        held(session, "dead", OVER)

    def attempt(number: int) -> leases.Lease | None:
        together.wait(120)
        with sessions.begin() as session:
            return claim(session, f"worker-{number}")

    with ThreadPoolExecutor(num_threads) as pool:
        found = [lease for lease in pool.map(attempt, range(num_threads)) if lease is not None]
    assert [lease.fence for lease in found] == [2]


CLAIMING_PROCESS = """
import sys
from datetime import timedelta
from planner.store import leases
from planner.store.engine import make_engine, session_factory
engine = make_engine(sys.argv[1])
sessions = session_factory(engine)
print("ready", flush=True)
sys.stdin.readline()
num_held = 0
while num_held < 7:
    with sessions.begin() as session:
        lease = leases.claim(session, "device:GPU-1", sys.argv[2], "boot-1", timedelta(seconds=120))
    if lease is not None:
        num_held += 1
        print(lease.fence, flush=True)
        with sessions.begin() as session:
            leases.release(session, lease)
engine.dispose()
"""


def test_processes_that_claim_and_release_in_turns_never_share_a_fence(any_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLAIMING_PROCESS, any_url, f"worker-{number}"],
            env=helper_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            output, _ = process.communicate(timeout=150)
            assert process.returncode == 0
            outputs.append(output)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    fences = sorted(int(line) for output in outputs for line in output.split())
    assert fences == list(range(1, 3 * 7 + 1))
    engine = make_engine(any_url)
    with session_factory(engine).begin() as session:
        assert held(session, "last").fence == len(fences) + 1
    engine.dispose()
