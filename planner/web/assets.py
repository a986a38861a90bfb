"""Our own and the vendors' static files, each under an address with its hash, so that browsers may keep it for ever."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, abort, send_file, url_for

STATIC = Path(__file__).resolve().parent / "static"
SUFFIXES = frozenset({".css", ".js", ".svg", ".txt"})
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by their name below `static/`, with a hash of their bytes as they were at the start."""

    hashes: dict[str, str]

    @classmethod
    def of_package(cls, folder: Path = STATIC) -> Assets:
        """Every stylesheet, script and picture that is there; the vendors' come with `make assets`."""
        names = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in SUFFIXES)
        return cls(
            {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in names}
        )

    def attach(self, app: Flask) -> None:
        app.add_url_rule("/static/<digest>/<path:name>", "static", self.serve)
        app.jinja_env.globals["asset"] = self.url

    def url(self, name: str) -> str | None:
        """The address of `name`, None where that file is not installed."""
        digest = self.hashes.get(name)
        return None if digest is None else url_for("static", digest=digest, name=name)

    def serve(self, digest: str, name: str) -> Response:
        """The file, only under the hash that it has; only names found at the start are ever opened."""
        if self.hashes.get(name) != digest:
            abort(404)
        response = send_file(STATIC / name, mimetype=mimetypes.guess_type(name)[0] or "text/plain", conditional=True)
        response.headers["Cache-Control"] = FOR_EVER
        return response
