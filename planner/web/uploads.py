"""Files that were sent: how large they may be, and where one waits between its preview and its being applied."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from flask import Flask, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from planner.errors import InvalidInput, NotFound

MOST_BYTES = 2**30  # as sent; AWS's list of one region has about 0.5 GB, and gzip makes a twentieth of it
MOST_WAITING = 8
TAKES_FILES = frozenset({"pages.preview_import_file", "api.import_prices"})
TAKES_TABLES = frozenset(
    {
        *(
            "pages.upload_ledger_table",
            "pages.enter_actual_page",
            "api.upload_table",
            "api.enter_step_log",
            "api.replay_one_trace",
            "pages.replay_page",
        ),
        *("pages.upload_rates", "api.import_fx_rates", "pages.add_price_book_by_file"),
        *("api.record_fx_rates", "api.add_one_price_book"),
        *("pages.size_service_page", "api.size_a_service"),
    }
)
MOST_TABLE_BYTES = 64 * 2**20
_CHUNK = 256 * 1024
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that waits: its token, what it was called, and the hash of its bytes."""

    token: str
    path: Path
    name: str
    sha256: str
    num_bytes: int


class Uploads:
    """The folder in which files wait, readable by this service's user alone. Only the newest few are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attach(self, app: Flask) -> None:
        app.extensions["planner_uploads"] = self
        app.before_request(_allow_files)

    def keep(self, stream: IO[bytes], filename: str) -> Upload:
        """Take a file in. Raises InvalidInput for an empty one, 413 for one that is too large."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_hex(16)
        path, digest, num_bytes = self.folder / token, hashlib.sha256(), 0
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                while chunk := stream.read(_CHUNK):
                    num_bytes += len(chunk)
                    if num_bytes > MOST_BYTES:
                        raise RequestEntityTooLarge
                    digest.update(chunk)
                    file.write(chunk)
            if num_bytes == 0:
                raise InvalidInput.of("file", "is empty")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._drop_oldest()
        return Upload(token, path, safe_name(filename), digest.hexdigest(), num_bytes)

    def find(self, token: str, filename: str) -> Upload:
        """The file that waits under that token, its hash taken anew. Raises NotFound."""
        path = self.folder / token
        if not _TOKEN.fullmatch(token) or not path.is_file():
            raise NotFound("The file that was previewed is no longer kept. Choose it once more.")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Upload(token, path, safe_name(filename), sha256, path.stat().st_size)

    def drop(self, upload: Upload) -> None:
        """Forget a file that has been dealt with."""
        upload.path.unlink(missing_ok=True)

    def _drop_oldest(self) -> None:
        waiting = [path for path in self.folder.iterdir() if _TOKEN.fullmatch(path.name)]
        ages: list[tuple[float, Path]] = []
        for path in waiting:
            with suppress(FileNotFoundError):  # another request may just have dropped it
                ages.append((path.stat().st_mtime, path))
        for _, path in sorted(ages)[:-MOST_WAITING]:
            path.unlink(missing_ok=True)


def uploads() -> Uploads:
    """The folder of this app."""
    return cast(Uploads, current_app.extensions["planner_uploads"])


def safe_name(filename: str) -> str:
    """The last part of a file's name, with nothing in it that is not printable."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:_LONGEST_NAME] or "unnamed"


def _allow_files() -> None:
    if request.endpoint in TAKES_FILES:
        request.max_content_length = MOST_BYTES + 64 * 1024  # the form around the file
    elif request.endpoint in TAKES_TABLES:
        request.max_content_length = MOST_TABLE_BYTES
