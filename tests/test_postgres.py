"""The test bed's own PostgreSQL: from any binaries at hand, also for root, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.postgres import postgres_server, wheel_binaries

ROOT = Path(__file__).resolve().parent.parent


def version_of(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version()").fetchone()
    assert row is not None
    return str(row[0])


def folder_of(url: str) -> Path:
    return Path(url.partition("host=")[2])


def test_the_wheels_server_starts_and_leaves_no_trace() -> None:
    with postgres_server(wheel_binaries()[-1]) as url:
        assert version_of(url).startswith("PostgreSQL")
        folder = folder_of(url)
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_root_starts_it_though_the_binaries_lie_in_a_folder_that_is_closed_to_others(tmp_path: Path) -> None:
    package = wheel_binaries()[0].parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
    tmp_path.chmod(0o700)
    with postgres_server(tmp_path / wheel_binaries()[0].relative_to(package.parent)) as url:
        assert version_of(url).startswith("PostgreSQL")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for what only Linux offers")
def test_it_ends_with_a_test_process_that_is_killed() -> None:
    script = """
from tests.postgres import postgres_server
with postgres_server() as url:
    print(url, flush=True)
    input()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        folder = folder_of(tests.stdout.readline().strip())
        server = psutil.Process(int((folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]))
        assert server.is_running()
        tests.kill()
    server.wait(timeout=150)
    assert not server.is_running()
    shutil.rmtree(folder)
