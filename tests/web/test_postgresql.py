"""The same pages and answers over PostgreSQL, where reading sessions are refused writes by the server."""

from __future__ import annotations

from pathlib import Path

from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from planner.web.app import create_app
from tests.builders import NOW
from tests.web.test_pages import pages_of
from tests.web.world import build


def test_every_page_and_a_write_work_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    with session_factory(engine).begin() as session:
        world = build(session)
    engine.dispose()
    app = create_app(Settings(home=tmp_path, database_url=postgres_url, secret_key="a key"), clock=lambda: NOW)
    client = app.test_client()
    for page, word in pages_of(world).items():
        answer = client.get(page)
        assert (answer.status_code, word in answer.text) == (200, True), page
    assert client.post("/api/v1/estimates", json={"preset": "serve-small"}).status_code == 201
    assert client.get("/api/v1/prices?text=a%00b").status_code == 422
    assert client.get("/prices/offers/9223372036854775807").status_code == 404
    app.extensions["planner"].engine.dispose()
