"""The fuzz corpus goes through whole imports: a damaged file of any form says where and why, and stores nothing."""

from __future__ import annotations

import gzip
import io
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.errors import InvalidInput
from planner.readers.registry import get_source
from planner.services import incoming
from planner.services.import_report import ImportPreview
from planner.services.incoming import Incoming, Wish, bring_in
from planner.store.engine import Sessions, make_engine, session_factory
from planner.store.migrate import upgrade
from tests.readers.test_malformed import RECORDED, WEB_PAGE, sound

NAMES = [*RECORDED, "own"]


def damaged(content: bytes) -> dict[str, bytes]:
    """The same file in six ways that no price list has."""
    middle = len(content) // 2
    is_json = content.lstrip()[:1] == b"{"
    return {
        "empty": b"",
        "a web page": WEB_PAGE,
        "a ZIP archive": b"PK\x03\x04" + content,
        "cut gzip": gzip.compress(content)[:-12],
        "bytes that are no text": content[:middle] + b"\xff\xfe\0" + content[middle:],
        "cut in the middle of a field": content.rstrip()[:-1] if is_json else content + b'"',
    }


@pytest.mark.parametrize("large", [0, 10**9], ids=["beside the lock", "under the lock"])
def test_a_damaged_file_of_any_form_stores_nothing_and_says_where_and_why(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(incoming, "LARGE", large)
    url = f"sqlite:///{tmp_path / 'planner.sqlite3'}"
    upgrade(url)
    engine = make_engine(url)
    sessions = session_factory(engine)
    for name in NAMES:
        for damage, content in damaged(sound(name)).items():
            preview = _bring(sessions, name, content, now, dry_run=True)
            assert preview is not None, (name, damage)
            assert preview.unusable, (name, damage)
            assert preview.rejected[-1].place, (name, damage)
            assert preview.rejected[-1].reason, (name, damage)
            with pytest.raises(InvalidInput, match="nothing of it was stored"):
                _bring(sessions, name, content, now)
            assert _num_rows(sessions) == 0, (name, damage)
    for name in NAMES:  # and the sound files that they were made of are taken
        _bring(sessions, name, sound(name), now)
    assert _num_rows(sessions) > len(NAMES)
    engine.dispose()


def _bring(
    sessions: Sessions, name: str, content: bytes, now: datetime, *, dry_run: bool = False
) -> ImportPreview | None:
    found = bring_in(sessions, Incoming(get_source(name), io.BytesIO(content), "list"), Wish(dry_run=dry_run), now)
    return found if isinstance(found, ImportPreview) else None


def _num_rows(sessions: Sessions) -> int:
    tables = ("offers", "prices", "price_imports", "price_import_rows")
    with sessions() as session:
        return sum(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables)  # noqa: S608
