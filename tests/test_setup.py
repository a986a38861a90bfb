"""The set-up: pins that fit what is asked for, assets by hash and without addresses, a Makefile that finds its way."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
MADE_HERE = {".git", ".venv", ".make", "node_modules", "var", "vendor", "dist", "build", "__pycache__", "screenshots"}
CACHES = {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
# In halves, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download.pytorch", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("npmmirror", "com"),
        ("anaconda", "org"),
    )
]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints" / "lock.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(line) for line in [*project["dependencies"], *(line for extra in extras for line in extra)]]


def test_the_lock_pins_each_library_once() -> None:
    lines = (ROOT / "constraints" / "lock.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.!+]*", line)] == []
    assert len(lines) == len(pins())


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_the_lock_satisfies_what_the_project_asks_for(requirement: Requirement) -> None:
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{requirement.name} is not in constraints/lock.txt"
    assert requirement.specifier.contains(pinned)


def test_the_lock_pins_also_what_the_libraries_need() -> None:
    """All that is reached from the project's requirements, as far as it is installed here."""
    pinned = pins()
    assert sorted({dist.name for dist in _reached() if canonicalize_name(dist.name) not in pinned}) == []


def test_what_is_installed_is_what_the_lock_pins() -> None:
    pinned = pins()
    found = {canonicalize_name(dist.name): Version(dist.version).public for dist in _reached()}
    assert {name: version for name, version in found.items() if version != str(pinned.get(name))} == {}


def test_every_library_that_is_asked_for_is_used() -> None:
    without_import = {"tzdata", "psycopg"}  # read by zoneinfo where the system has no zones; named in addresses
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]} - without_import
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "planner").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    brought_by = packages_distributions()
    used = {canonicalize_name(name) for module in imported for name in brought_by.get(module, [])}
    assert sorted(asked - used) == []


def _reached() -> Iterator[Distribution]:
    waiting = requirements()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:  # asked for on other systems only, or a build of torch that brings less
            continue
        yield found
        waiting += [
            needed
            for needed in map(Requirement, found.requires or [])
            if needed.marker is None or any(needed.marker.evaluate({"extra": name}) for name in ["", *wanted.extras])
        ]


def test_browser_packages_are_pinned_by_hash_and_carry_no_address() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    packages = {name.removeprefix("node_modules/"): package for name, package in lock["packages"].items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert {name: packages[name]["version"] for name in wanted} == wanted, "package.json pins exact versions"
    assert "omit-lockfile-registry-resolved=true" in (ROOT / ".npmrc").read_text(encoding="utf-8").splitlines()


def test_every_kept_asset_comes_from_a_pinned_package_and_each_package_with_its_licence(assets: ModuleType) -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = [name.removeprefix("node_modules/") for name in lock["packages"] if name]
    unpinned = [name for name in assets.FILES if not any(name.startswith(f"{package}/") for package in packages)]
    assert unpinned == []
    licensed = [name for name in assets.FILES if "LICENSE" in name]
    assert [package for package in packages if not any(name.startswith(f"{package}/") for name in licensed)] == []


def test_no_file_names_a_package_registry() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in _own_files(ROOT)
        for host in REGISTRY_HOSTS
        if host.encode() in path.read_bytes()
    ]
    assert named == []


def _own_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in MADE_HERE | CACHES or path.is_symlink():
            continue
        if path.is_dir():
            yield from _own_files(path)
        else:
            yield path


@pytest.fixture(scope="module")
def assets() -> ModuleType:
    """`scripts/assets.py` as a module."""
    spec = importlib.util.spec_from_file_location("assets", ROOT / "scripts" / "assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"new {name}", encoding="utf-8")


def test_only_what_is_served_and_its_licences_are_kept(assets: ModuleType, tmp_path: Path) -> None:
    fill(tmp_path / "from", [*assets.FILES, "echarts/dist/echarts.js", "bootstrap/scss/root.scss"])
    fill(tmp_path / "static" / "vendor", ["of-the-last-release.js"])
    assets.keep_files(tmp_path / "from", tmp_path / "static" / "vendor")
    kept = {path.name for path in (tmp_path / "static" / "vendor").iterdir()}
    assert kept == set(assets.FILES.values())
    assert [path.name for path in (tmp_path / "static").iterdir()] == ["vendor"]


def test_a_package_that_lacks_a_file_leaves_the_old_assets_alone(assets: ModuleType, tmp_path: Path) -> None:
    fill(tmp_path / "from", [name for name in assets.FILES if "htmx.min.js" not in name])
    fill(tmp_path / "vendor", ["htmx.min.js"])
    with pytest.raises(assets.NoAssets, match=r"lack htmx\.org/dist/htmx\.min\.js"):
        assets.keep_files(tmp_path / "from", tmp_path / "vendor")
    assert [path.name for path in (tmp_path / "vendor").iterdir()] == ["htmx.min.js"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of the set-up, nothing installed, in a folder with a space in its name."""
    folder = tmp_path / "a checkout"
    for name in (
        "Makefile",
        "package.json",
        "package-lock.json",
        ".npmrc",
        "scripts/assets.py",
        "constraints/lock.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "planner" / "web" / "static").mkdir(parents=True)
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_a_package_registry_the_assets_say_what_is_missing_and_what_still_works(checkout: Path) -> None:
    nowhere = {"npm_config_registry": "http://127.0.0.1:9/", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    answer = subprocess.run(
        [sys.executable, checkout / "scripts" / "assets.py"],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "could not be installed: " in answer.stderr
    assert "Every page works without them, only plainer" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list((checkout / "planner" / "web" / "static").iterdir()) == []


def test_a_machine_without_a_new_enough_python_is_told_so(checkout: Path) -> None:
    answer = make(checkout, "run", "PYTHON=")
    assert answer.returncode == 2
    assert "Python 3.11 or newer is needed and was not found; name one with: make PYTHON=" in answer.stderr


def test_the_environment_is_made_once_and_anew_where_the_checkout_has_moved(checkout: Path, tmp_path: Path) -> None:
    target = ".venv/made-in"
    first = make(checkout, target, f"PYTHON={sys.executable}")
    assert first.returncode == 0, first.stderr
    assert "is up to date" in make(checkout, target).stdout
    moved = checkout.rename(tmp_path / "moved here")
    again = make(moved, "--dry-run", target, f"PYTHON={sys.executable}")
    assert "-m venv --clear .venv" in again.stdout


def test_an_environment_that_somebody_else_made_is_not_emptied(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    assert "--clear" not in make(checkout, "--dry-run", ".venv/made-in", f"PYTHON={sys.executable}").stdout
