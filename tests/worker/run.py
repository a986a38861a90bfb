"""A worker for tests: `run.py DATABASE_URL HOME TERM_SECONDS CHILD_FOLDER [MARGIN]`; its child is slow_child.py.

With a MARGIN its first child is ended so large a part of the term before the lease, where that cannot be renewed.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from planner.gpu.events import ChildJob, ChildResult, Event
from planner.gpu.runner import measure
from planner.settings import Settings
from planner.worker import heartbeat
from planner.worker.main import run_worker

url, home, seconds, folder, *margin = sys.argv[1:]
command = (sys.executable, str(Path(__file__).with_name("slow_child.py")), folder)
usual = heartbeat.MARGIN
heartbeat.MARGIN = float(margin[0]) if margin else usual


def slowly(job: ChildJob, tell: Callable[[Event], None], should_stop: Callable[[], bool]) -> ChildResult:
    try:
        return measure(job, tell, should_stop, command)
    finally:
        heartbeat.MARGIN = usual


run_worker(Settings(home=Path(home), database_url=url), term=timedelta(seconds=float(seconds)), measure=slowly)
