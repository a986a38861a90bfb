"""The log of a run: its steps, and the last words of the process that measured."""

from __future__ import annotations

import os
from pathlib import Path

from planner.calibration.run_states import RunState
from planner.gpu.events import ChildJob, ChildResult, Measured
from planner.services.runs import get_run
from planner.settings import Settings
from planner.store.engine import Sessions
from planner.web.app import create_app
from planner.worker.calibrate import carry_through
from tests.builders import NOW
from tests.runs import claimed, known_devices, outcomes_of, queued


def test_what_the_process_wrote_is_kept_with_its_run_and_shown_escaped(
    sessions: Sessions, any_url: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu, worker=f"here:{os.getpid()}:abc")
    words = "loading kernels\n\0<b>warning</b>: cuBLAS handle was made twice\n"

    def measure(_job: ChildJob, tell: object, _should_stop: object) -> ChildResult:
        for position, outcome in outcomes_of(claim).items():
            tell(Measured(position, outcome))  # type: ignore[operator,arg-type]
        return ChildResult("finished", "", 0, None, words, 1.0)

    assert carry_through(sessions, claim, measure=measure) is RunState.SUCCEEDED
    with sessions() as session:
        run = get_run(session, claim.run_id)
    assert run.written == "loading kernels\n<b>warning</b>: cuBLAS handle was made twice"
    app = create_app(Settings(home=tmp_path, database_url=any_url), clock=lambda: NOW)
    page = app.test_client().get(f"/calibrations/{claim.run_id}").text
    assert "&lt;b&gt;warning&lt;/b&gt;: cuBLAS handle was made twice" in page
    assert page.count("cuBLAS handle") == 1, "in its log and not among the conditions too"
    app.extensions["planner"].engine.dispose()


def test_a_process_that_wrote_nothing_says_so(sessions: Sessions) -> None:
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu, worker=f"here:{os.getpid()}:abc")

    def measure(_job: ChildJob, _tell: object, _should_stop: object) -> ChildResult:
        return ChildResult("crashed", "it fell", 1, None, "  \n", 1.0)

    carry_through(sessions, claim, measure=measure)
    with sessions() as session:
        assert get_run(session, claim.run_id).written == ""
