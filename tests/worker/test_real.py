"""The whole of it with nothing put in its place: `planner worker`, its schedule, torch, this machine's processor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planner.services.fits import newest_fits
from planner.services.requests import ScheduleRequest
from planner.services.runs import get_run, list_runs
from planner.services.schedules import create_schedule
from planner.store.engine import make_engine, session_factory
from tests.worker.conftest import ROOT, wait_for


@pytest.mark.timeout(600)
def test_a_due_schedule_calibrates_this_machine_and_leaves_a_fit(sqlite_url: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    environment = {**kept, "PLANNER_HOME": str(tmp_path), "PLANNER_DATABASE_URL": sqlite_url}
    worker = subprocess.Popen(
        [sys.executable, "-m", "planner", "worker"], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    engine = make_engine(sqlite_url)
    sessions = session_factory(engine)
    try:
        with sessions.begin() as session:
            request = ScheduleRequest(name="every minute", cron="* * * * *", suite="smoke")
            create_schedule(session, request, datetime.now(UTC) - timedelta(minutes=1))

        def ended() -> str | None:
            with sessions() as session:
                return next((run.id for run in list_runs(session) if run.started_at and run.is_final), None)

        run_id = wait_for(ended, "the scheduled run to end", 400)
        with sessions() as session:
            run, fits = get_run(session, run_id), newest_fits(session)
        worker.send_signal(signal.SIGTERM)
        _, words = worker.communicate(timeout=150)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.communicate()
        engine.dispose()
    assert (run.state, run.error) == ("succeeded", None), words
    assert len(run.samples) + len(run.failures) == run.num_benches
    assert len(run.samples) >= 5
    assert all(sample.seconds > 0 for sample in run.samples)
    assert run.device_id in fits
    assert run.telemetry
    assert worker.returncode == 0, words
