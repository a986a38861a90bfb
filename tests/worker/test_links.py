"""Several devices of a node measured at once, with nothing put in its place: processes that talk through Gloo."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planner.calibration.run_states import RunState
from planner.gpu.cpu import look_at_cpu, look_at_node
from planner.inventory.device import Discovery
from planner.services.calibrations import request_run
from planner.services.claims import claim_run
from planner.services.devices import record_discovery
from planner.services.fits import newest_fits
from planner.services.runs import get_run
from planner.store.engine import database_now, make_engine, session_factory
from planner.worker.calibrate import carry_through
from planner.worker.identity import Identity
from planner.worker.spool import Spool

SUITE = "custom:all_reduce"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_devices_of_this_machine_are_leased_measured_and_fitted_together(sqlite_url: str, tmp_path: Path) -> None:
    engine = make_engine(sqlite_url)
    sessions = session_factory(engine)
    cpu = look_at_cpu()
    halves = tuple(replace(cpu, uuid=f"{cpu.uuid}/half-{number}", index=number) for number in range(2))
    identity = Identity.here()
    with sessions.begin() as session:
        devices = record_discovery(session, Discovery(look_at_node(), halves), datetime.now(UTC))
        run_id = request_run(session, devices[0].id, SUITE, datetime.now(UTC), code_version="test").id
    with sessions.begin() as session:
        term = timedelta(seconds=30)
        now = database_now(session)
        claim = claim_run(session, devices[0].node_id, identity.worker_id, identity.boot_id, term, now)
    assert claim is not None
    assert [peer.device_uuid for peer in claim.peers] == [halves[1].uuid]
    state = carry_through(sessions, claim, spool=Spool(tmp_path / "spool"))
    assert state in (RunState.SUCCEEDED, RunState.SUSPECT), "a busy machine may make it restless"
    with sessions() as session:
        run, fits = get_run(session, run_id), newest_fits(session)
    assert run.peers == (devices[1].id,)
    assert run.failures == ()
    assert len(run.samples) == run.num_benches == 3
    assert {sample.bench.parameters["ranks"] for sample in run.samples} == {2}
    assert (run.conditions["num_devices"], run.conditions["carrier"]) == (2, "gloo between processes of one host")
    if state is RunState.SUCCEEDED:
        steady = [sample for sample in run.samples if sample.steady]
        links = fits[run.device_id][1].links
        assert (links is None) is (not steady), "unsteady samples tell no bandwidth"
        assert links is None or 1e6 < (links.bandwidth(2) or 0.0) < 1e12, "bytes/s between two processes of one host"
    assert not list((tmp_path / "spool").glob("*")), "the database has it all"
    engine.dispose()
