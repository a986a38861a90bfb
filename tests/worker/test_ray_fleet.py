"""A Ray cluster of two nodes on this machine: both calibrate at once, one is killed, and its run is tried again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from planner.services.calibrations import request_run
from planner.services.devices import DeviceView, list_devices
from planner.services.runs import RunDetail, get_run, list_runs
from planner.store.engine import Sessions, make_engine, session_factory
from tests.worker.conftest import HERE, ROOT, wait_for

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install gpu-planner[ray]"),
    pytest.mark.ray,
    pytest.mark.timeout(400),
]
PATIENCE = 180.0  # to start several node processes beside other work


@pytest.fixture
def sessions(sqlite_url: str) -> Iterator[Sessions]:
    engine = make_engine(sqlite_url)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def cluster(sqlite_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "words").open("wb") as words:
        script = [sys.executable, "-W", "ignore", str(HERE / "ray_fleet.py"), sqlite_url, str(tmp_path)]
        process = subprocess.Popen(script, stdout=words, stderr=words, cwd=ROOT)
    yield process
    (tmp_path / "stop").touch()
    try:
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_nodes_of_a_cluster_calibrate_and_the_run_of_a_killed_one_is_tried_again(
    cluster: subprocess.Popen[bytes], sessions: Sessions, tmp_path: Path
) -> None:
    def words() -> str:
        return (tmp_path / "words").read_text(errors="replace")[-3000:]

    def known() -> dict[str, DeviceView]:
        with sessions() as session:
            found = {device.hostname.rpartition("/")[2]: device for device in list_devices(session)}
        if cluster.poll() is not None:
            raise AssertionError(words())
        return found if {"a", "b"} <= set(found) else {}

    devices = wait_for(known, "both nodes in the inventory", PATIENCE)
    assert devices["a"].node_id != devices["b"].node_id
    with sessions.begin() as session:
        run_a, run_b = (
            request_run(session, devices[name].id, "smoke", datetime.now(UTC), code_version="test").id for name in "ab"
        )

    def look(run_id: str) -> RunDetail:
        with sessions() as session:
            return get_run(session, run_id)

    def both_measure() -> bool:
        return all(look(run_id).num_done >= 1 for run_id in (run_a, run_b))

    wait_for(both_measure, "both nodes to measure at once", PATIENCE)
    (tmp_path / "kill-b").touch()
    wait_for(lambda: look(run_b).state == "lost", "the run of the killed node to be lost", PATIENCE)
    lost = look(run_b)
    assert "node b of the cluster was lost" in (lost.error or ""), words()
    assert look(run_a).state == "running", "its neighbour goes on"
    (tmp_path / "go").touch()
    wait_for(lambda: look(run_a).state == "succeeded", "the other node's run to succeed", PATIENCE)
    (tmp_path / "add-b").touch()

    def retried() -> str | None:
        with sessions() as session:
            runs = list_runs(session, device_id=devices["b"].id, state="succeeded")
        return runs[0].id if runs else None

    again = look(wait_for(retried, "the lost run to be tried again on the new node", PATIENCE))
    assert again.id != run_b
    assert len(again.samples) == again.num_benches
    assert {step.actor.rpartition("/")[2] for step in again.transitions if step.state == "running"} == {"b"}
