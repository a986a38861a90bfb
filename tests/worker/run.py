"""A worker process for tests: `run.py DATABASE_URL HOME TERM_SECONDS CHILD_FOLDER`; its child is slow_child.py."""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from planner.gpu.runner import measure
from planner.settings import Settings
from planner.worker.main import run_worker

url, home, seconds, folder = sys.argv[1:]
command = (sys.executable, str(Path(__file__).with_name("slow_child.py")), folder)
run_worker(
    Settings(home=Path(home), database_url=url),
    term=timedelta(seconds=float(seconds)),
    measure=partial(measure, command=command),
)
