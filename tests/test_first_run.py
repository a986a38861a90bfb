"""The whole way in an empty folder: `planner run` to an estimate read over HTTP, and again with the data kept."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.worker.conftest import is_alive, wait_for

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a space in its name, shared by the tests of this module in their order."""
    return tmp_path_factory.mktemp("first run")


def free_port() -> int:
    """A port that stays free: below those that the kernel gives to whoever asks for any, as other tests do."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port below the ephemeral ones is free")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """A stranger's environment: a HOME that does not exist, a free port."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    return {**kept, "HOME": str(home / "nobody"), "PLANNER_HOME": str(home / "data"), "PLANNER_PORT": str(port)}


def planner(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "planner", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def first(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return planner(environment, "run", "--once", "--suite", "smoke")


def test_first_run_says_the_plan_before_it_measures_and_ends_with_estimates(
    first: subprocess.CompletedProcess[str],
) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    for line in ("catalogue", "prices", "takes", "stops at the latest after", "succeeded", "estimate "):
        assert line in first.stdout
    assert first.stdout.index("stops at the latest") < first.stdout.index("succeeded")


def test_second_run_keeps_the_data_and_measures_nothing(
    first: subprocess.CompletedProcess[str], environment: dict[str, str]
) -> None:
    again = planner(environment, "run", "--once", "--suite", "smoke")
    assert again.returncode == 0, again.stderr
    assert "Calibrating" not in again.stdout
    found = json.loads(planner(environment, "devices", "--json").stdout)
    assert all(device["fit_id"] for device in found["devices"] if device["state"] == "ok")


def _heed_interrupts() -> None:
    """As a terminal starts a program: tests that run in the background of a shell pass on that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def service(first: subprocess.CompletedProcess[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "planner", "run", "--no-browser"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def get_json(environment: dict[str, str], path: str) -> dict[str, object]:
    address = f"http://127.0.0.1:{environment['PLANNER_PORT']}{path}"
    deadline = time.monotonic() + 150
    while True:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return json.loads(answer.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_the_first_estimate_is_read_over_http_and_ctrl_c_ends_everything(
    service: subprocess.Popen[str], environment: dict[str, str], first: subprocess.CompletedProcess[str]
) -> None:
    estimate_id = re.search(r"estimate (\w{26})", first.stdout)
    assert estimate_id is not None
    found = get_json(environment, f"/api/v1/estimates/{estimate_id[1]}")
    assert found["id"] == estimate_id[1]
    children = psutil.Process(service.pid).children(recursive=True)
    assert len(children) >= 2, "the pages and the worker are processes of their own"
    os.kill(service.pid, signal.SIGINT)
    output, _ = service.communicate(timeout=150)
    assert service.returncode == 0, output
    assert "Open http://127.0.0.1:" in output
    wait_for(lambda: not any(is_alive(child.pid) for child in children), "all of its processes to be gone")


def test_sigterm_ends_it_too_where_a_background_shell_left_sigint_ignored(
    first: subprocess.CompletedProcess[str], environment: dict[str, str]
) -> None:
    command = f"trap '' INT; exec '{sys.executable}' -m planner run --no-browser"
    service = subprocess.Popen(
        ["sh", "-c", command], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        get_json(environment, "/api/v1/devices")
        service.terminate()
        assert service.wait(150) == 0
    finally:
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()


def test_a_taken_port_is_said_before_anything_starts(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = planner({**environment, "PLANNER_PORT": str(taken.getsockname()[1])}, "run")
    assert answer.returncode == 5
    assert "PLANNER_PORT=" in answer.stderr
    assert answer.stdout == ""
