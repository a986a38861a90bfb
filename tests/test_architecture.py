"""Imports point one way, each library has its room, the pure rooms touch nothing; every syntax tree is walked.

The two tables are the architecture; `planner/__init__.py` draws them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "planner"

WORDS = frozenset({"units", "errors", "quantity"})
BELOW_ESTIMATES = WORDS | {"hardware", "inventory", "offers", "jobs", "calibration"}
PURE = BELOW_ESTIMATES | {"estimates", "plans", "budgets"}
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "units": frozenset(),
    "quantity": frozenset(),
    "version": frozenset(),
    "settings": frozenset({"errors"}),
    "hardware": WORDS,
    "inventory": WORDS | {"hardware"},
    "offers": WORDS | {"hardware"},
    "jobs": WORDS | {"hardware"},
    "calibration": WORDS | {"hardware", "inventory", "jobs"},
    "estimates": BELOW_ESTIMATES,
    "plans": BELOW_ESTIMATES | {"estimates"},
    "budgets": WORDS,
    "store": PURE,
    "gpu": WORDS | {"hardware", "inventory", "jobs", "calibration"},
    "readers": WORDS | {"hardware", "offers"},
    "feeds": WORDS | {"readers"},
    "services": PURE | {"store", "readers"},
    "worker": PURE | {"services", "gpu", "feeds", "settings", "version", "store.engine", "store.leases"},
    "web": PURE | {"services", "settings", "version", "store.engine"},
    "cli": PURE | {"services", "worker", "web", "settings", "version", "store.engine", "store.migrate"},
    "__init__": frozenset(),
    "__main__": frozenset({"cli"}),
}
ROOMS_OF: Mapping[str, frozenset[str]] = {
    "sqlalchemy": frozenset({"store"}),
    "alembic": frozenset({"store"}),
    "psycopg": frozenset({"store"}),
    "torch": frozenset({"gpu"}),
    "pynvml": frozenset({"gpu"}),
    "amdsmi": frozenset({"gpu"}),
    "psutil": frozenset({"gpu"}),
    "ray": frozenset({"worker"}),
    "apscheduler": frozenset({"worker"}),
    "flask": frozenset({"web"}),
    "flask_wtf": frozenset({"web"}),
    "gunicorn": frozenset({"web"}),
    "werkzeug": frozenset({"web"}),
    "jinja2": frozenset({"web"}),
    "markupsafe": frozenset({"web"}),
    "wtforms": frozenset({"web"}),
    "xlsxwriter": frozenset({"web"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "pydantic": frozenset({"services", "web"}),
    "pydantic_core": frozenset({"services", "web"}),
    "structlog": frozenset({"web", "worker", "cli"}),
    "platformdirs": frozenset({"settings"}),
    "ulid": frozenset({"store", "services"}),
    "numpy": frozenset({"jobs", "calibration", "estimates", "plans", "hardware", "gpu"}),
    "cronsim": frozenset({"calibration"}),  # arithmetic on dates: touches nothing
    "highspy": frozenset({"plans"}),
    "boto3": frozenset({"feeds"}),
    "botocore": frozenset({"feeds"}),
}
# The network of the standard library: the rooms that may reach out. (cli and gpu ask for this machine's own name.)
NETWORK: Mapping[str, frozenset[str]] = {
    "socket": frozenset({"feeds", "cli", "gpu"}),
    "ssl": frozenset({"feeds"}),
    "http.client": frozenset({"feeds"}),
    "urllib.request": frozenset({"feeds"}),
    "urllib.error": frozenset({"feeds"}),
    "ftplib": frozenset(),
    "smtplib": frozenset(),
    "socketserver": frozenset(),
    "xmlrpc": frozenset(),
}
# What of the standard library the pure rooms may use: all of it computes, none of it reaches out.
# (`importlib.resources` reads the facts files that are packaged with the code.)
PURE_STANDARD_LIBRARY = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "collections",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "importlib.resources",
        "io",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
        "zoneinfo",
    }
)
CLOCKS = frozenset({"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"})
WITHOUT_CLOCK = PURE | {"services", "store"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module (dotted from the package's parent) and where it stands."""

    module: str
    path: Path
    line: int


@cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax; each is read once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file at any depth: relative, inside functions, and by name through importlib."""
    package = [root.name, *path.relative_to(root).parent.parts]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, path, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", path, node.lineno)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"} and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(name.value, path, node.lineno)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def sources(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py"))


def room_of(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").parts[0]


def wrong_imports(root: Path) -> list[str]:
    """A line for each import that the tables do not allow."""
    found = []
    for path in sources(root):
        room = room_of(path, root)
        for each in imports_of(path, root):
            why = _wrong(each.module, room, root.name)
            if why:
                found.append(f"{path.relative_to(root.parent)}:{each.line} {why}")
    return found


def _wrong(module: str, room: str, package: str) -> str:
    top, _, inside = module.partition(".")
    if top == package:
        target = inside.partition(".")[0]
        if room not in MAY_IMPORT:
            return f"the room {room!r} is not in the table"
        allowed = MAY_IMPORT[room] | {room}
        if target in {"", "*"} or any(inside == name or inside.startswith(f"{name}.") for name in allowed):
            return ""
        return f"{room} may not import {module}"
    if top in sys.stdlib_module_names:
        for name, rooms in NETWORK.items():
            if (module == name or module.startswith(f"{name}.")) and room in MAY_IMPORT and room not in PURE | rooms:
                return f"{module} reaches the network, which {room} may not"
        pure = room not in PURE or any(
            module == name or module.startswith(f"{name}.") for name in PURE_STANDARD_LIBRARY
        )
        return "" if pure else f"{room} is pure and may not import {module}"
    if top not in ROOMS_OF:
        return f"{top} has no room in the table"
    return "" if room in ROOMS_OF[top] else f"{top} belongs to {', '.join(sorted(ROOMS_OF[top]))}, not to {room}"


def cycles(root: Path) -> list[str]:
    """The groups of modules that import each other, imports inside functions included."""
    modules = {".".join(path.relative_to(root.parent).with_suffix("").parts): path for path in sources(root)}
    graph = {
        name: {known for each in imports_of(path, root) if (known := _known(each.module, modules)) and known != name}
        for name, path in modules.items()
    }
    reached = {name: _reachable(name, graph) for name in graph}
    groups = {frozenset({name, *(other for other in reached[name] if name in reached[other])}) for name in graph}
    return sorted(" ⇄ ".join(sorted(group)) for group in groups if len(group) > 1)


def _known(name: str, modules: Mapping[str, Path]) -> str:
    """The module that an imported name lives in: the name itself, else what it is imported from."""
    for candidate in (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__"):
        if candidate in modules:
            return candidate
    return ""


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen


def looks_at_clocks(root: Path) -> list[str]:
    """Calls of a clock in the rooms that are given `now`, or whose clock is the database's."""
    return [
        f"{path.relative_to(root.parent)}:{node.lineno} calls {ast.unparse(node.func)}()"
        for path in sources(root)
        if room_of(path, root) in WITHOUT_CLOCK
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and ast.unparse(node.func.value).split(".")[-1] in {"datetime", "date", "time"}
    ]


def test_imports_point_down_and_libraries_stay_in_their_rooms() -> None:
    assert wrong_imports(PACKAGE) == []


def test_no_modules_import_each_other() -> None:
    assert cycles(PACKAGE) == []


def test_pure_rooms_services_and_store_are_told_the_time() -> None:
    assert looks_at_clocks(PACKAGE) == []


def test_every_room_of_the_table_exists_and_every_room_is_drawn() -> None:
    rooms = {room_of(path, PACKAGE) for path in sources(PACKAGE)}
    assert rooms == set(MAY_IMPORT)
    drawing = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert [room for room in sorted(rooms - {"__init__", "__main__"}) if room not in drawing] == []


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("planner.web.app", ("torch", "pynvml", "planner.gpu", "planner.worker", "planner.feeds", "apscheduler")),
        ("planner.worker.main", ("torch", "flask", "click")),
        ("planner.cli", ("torch", "flask", "apscheduler")),
        ("planner.gpu.child", ("sqlalchemy", "psycopg", "flask", "planner.store", "planner.services")),
        ("planner.services.estimates", ("torch", "flask", "apscheduler", "click")),
    ],
)
def test_a_process_never_loads_what_is_not_its_own(module: str, unwanted: tuple[str, ...]) -> None:
    script = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.strip()) == (0, "[]"), answer.stderr


def tree(folder: Path, files: Mapping[str, str]) -> Path:
    """A small package named planner with these files."""
    root = folder / "planner"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("jobs/a.py", "from planner.store import offers", "jobs may not import planner.store.offers"),
        ("jobs/a.py", "def f():\n    from planner.estimates.answer import answer", "a.py:2 jobs may not import"),
        ("jobs/a.py", "from ..estimates import answer", "jobs may not import planner.estimates.answer"),
        ("jobs/deep/a.py", "from ...store.engine import Session", "jobs may not import planner.store.engine.Session"),
        ("jobs/a.py", "from planner import web", "jobs may not import planner.web"),
        (
            "jobs/a.py",
            "import importlib.resources\nimportlib.import_module('planner.gpu')",
            "may not import planner.gpu",
        ),
        ("jobs/a.py", "import socket", "jobs is pure and may not import socket"),
        ("offers/a.py", "from importlib.metadata import version", "may not import importlib.metadata"),
        ("services/a.py", "from sqlalchemy import select", "sqlalchemy belongs to store, not to services"),
        ("services/a.py", "from flask import request", "flask belongs to web"),
        ("services/a.py", "from planner.settings import Settings", "services may not import planner.settings"),
        ("web/a.py", "try:\n    import torch\nexcept ImportError:\n    pass", "torch belongs to gpu, not to web"),
        ("web/a.py", "from planner.gpu.discovery import discover", "web may not import planner.gpu"),
        ("web/a.py", "from planner.store import tables", "web may not import planner.store.tables"),
        ("web/a.py", "from planner.feeds.plans import get_feed", "web may not import planner.feeds"),
        ("services/a.py", "from planner.feeds.fetch import fetch", "services may not import planner.feeds"),
        ("readers/a.py", "def f():\n    import http.client", "http.client reaches the network, which readers may not"),
        ("web/a.py", "from urllib.request import urlopen", "reaches the network, which web may not"),
        ("readers/a.py", "from planner.feeds.fetch import fetch", "readers may not import planner.feeds"),
        ("gpu/a.py", "from planner.store.engine import make_engine", "gpu may not import planner.store"),
        ("cli/a.py", "import requests", "requests has no room in the table"),
        ("attic/a.py", "from planner import units", "the room 'attic' is not in the table"),
    ],
)
def test_a_wrong_import_is_found_wherever_it_hides(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    found = wrong_imports(tree(tmp_path, {name: text}))
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpu/a.py", "def late():\n    import torch\n    return torch"),
        (
            "web/a.py",
            "from planner.store.engine import Session\nfrom . import forms\nfrom planner.quantity import Basis",
        ),
        ("store/a.py", "from planner.offers.offer import Offer\nfrom sqlalchemy import select"),
        ("hardware/a.py", "from importlib.resources import files\nfrom planner.errors import NotFound\nimport math"),
        ("services/requests/a.py", "from ..offers import find_prices\nfrom pydantic import BaseModel"),
    ],
)
def test_a_right_import_is_left_alone(tmp_path: Path, name: str, text: str) -> None:
    assert wrong_imports(tree(tmp_path, {name: text})) == []


def test_a_cycle_is_found_though_one_import_hides_in_a_function(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "jobs/__init__.py": "",
            "jobs/a.py": "from planner.jobs import b",
            "jobs/b.py": "def f():\n    from planner.jobs.c import g",
            "jobs/c.py": "from planner.jobs.a import x",
            "jobs/d.py": "from planner.jobs.a import x",
        },
    )
    assert cycles(root) == ["planner.jobs.a ⇄ planner.jobs.b ⇄ planner.jobs.c"]


def test_a_look_at_the_clock_is_found(tmp_path: Path) -> None:
    clock = "import datetime as dt\nfrom datetime import datetime, UTC\n"
    root = tree(
        tmp_path,
        {
            "services/a.py": clock + "datetime.now(UTC)",
            "jobs/a.py": "import datetime\nprint(datetime.date.today())",
            "web/a.py": clock + "datetime.now(UTC)",
            "store/a.py": "def now(): ...\nnow()",
        },
    )
    assert looks_at_clocks(root) == [
        "planner/jobs/a.py:2 calls datetime.date.today()",
        "planner/services/a.py:3 calls datetime.now()",
    ]
