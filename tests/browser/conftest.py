"""A real Chromium on the real server; everything it complains about fails the test."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from planner.store.engine import Engine
from tests.web.conftest import app, filled_place, filled_settings, filled_template, world

__all__ = ["app", "filled_place", "filled_settings", "filled_template", "world"]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
expect.set_options(timeout=60_000)  # a busy machine may take many seconds over one page
VENDOR = Path(__file__).resolve().parents[2] / "planner" / "web" / "static" / "vendor" / "htmx.min.js"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


@dataclass
class Site:
    """The running service: its address and its database."""

    address: str
    app: Flask
    faults: list[str] = field(default_factory=list)
    expected: str = ""  # words of what the browser may note: a refusal that the test is about

    @property
    def engine(self) -> Engine:
        found: Engine = self.app.extensions["planner"].engine
        return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """An installed Chromium; without one these tests are skipped with that reason."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed on this machine")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def site(app: Flask) -> Iterator[Site]:
    """The service over the filled database, on a free port of this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}", app)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A new profile's page. A console error, a script error or a breach of the policy fails the test at its end."""
    context = browser.new_context(
        base_url=site.address, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    found = context.new_page()
    found.on("console", lambda message: site.faults.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: site.faults.append(str(error)))
    yield found
    context.close()
    assert [fault for fault in site.faults if not site.expected or site.expected not in fault] == []


@pytest.fixture
def needs_assets() -> None:
    """For what only scripts can do."""
    if not VENDOR.is_file():
        pytest.skip("the vendors' scripts are not installed; `make assets` brings them")
