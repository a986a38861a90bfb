"""Which code made a number: the release and a hash of the package's own sources and facts."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

HASHED_SUFFIXES = frozenset({".py", ".csv", ".json"})


@cache
def code_version() -> str:
    """ "0.1.0+3f9c2a71b04d": equal only for equal sources, so a stored estimate pins exactly what computed it.

    Templates, scripts and styles are left out: they show numbers and make none.
    """
    root = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.suffix in HASHED_SUFFIXES and "static" not in relative.parts and path.is_file():
            digest.update(str(relative).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{version('gpu-planner')}+{digest.hexdigest()[:12]}"
