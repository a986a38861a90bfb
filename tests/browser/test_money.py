"""Exchange rates and price books in a real browser: sent, decided on, and readable everywhere, without scripts too."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.offers.currency import Rate
from planner.services.fx import keep_rates
from planner.services.price_books import add_price_book
from planner.services.requests import parse
from planner.services.requests.price_books import PriceBookRequest
from planner.store.engine import session_factory
from tests.browser.conftest import Site
from tests.browser.looks import LOOKS
from tests.builders import NOW
from tests.web.test_price_books import BOOK


@pytest.fixture
def book(site: Site) -> str:
    """A book, two known rates and two that wait."""
    with session_factory(site.engine).begin() as session:
        for day, value in ((18, "1.08"), (19, "1.09"), (20, "10.9"), (21, "10.8")):
            rate = Rate("EUR", "USD", Decimal(value), date(2026, 11, day), "a bank")
            keep_rates(session, [rate], NOW)
        return add_price_book(session, parse(PriceBookRequest, BOOK), NOW).id


def test_a_file_is_sent_and_a_jump_decided_on(page: Page, book: str) -> None:
    page.goto("/fx-rates")
    page.get_by_label("File (needed)").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": b"Date,JPY,USD\n2026-11-20,163.45,1.0838\n"}
    )
    page.get_by_label("Who states them").fill("our bank")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").first).to_contain_text("2 rates added")
    page.get_by_role("checkbox", name="EUR in USD").first.check()
    page.get_by_role("button", name="Refuse the ticked").click()
    expect(page.get_by_role("status")).to_contain_text("refused from now on: 1")
    page.get_by_role("button", name="Approve all").click()
    expect(page.get_by_role("status")).to_contain_text("count from now on: 1")
    expect(page.get_by_role("heading", name="Waiting for you")).to_have_count(0)
    page.get_by_role("button", name="Read every working day").first.click()
    expect(page.get_by_role("status")).to_contain_text("European Central Bank")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()


def test_a_book_is_added_and_withdrawn_without_scripts(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/price-books")
    content = json.dumps(BOOK | {"roles": ["finance"]}).encode()
    page.get_by_label("JSON file").set_input_files(
        {"name": "book.json", "mimeType": "application/json", "buffer": content}
    )
    page.get_by_role("button", name="Add").click()
    expect(page.locator("main")).to_contain_text("15 % off")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("counts no more")
    expect(page.get_by_label("Seen by the role")).to_have_value("finance")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_pages_are_clean_for_axe_and_never_scroll_sideways(
    width: int, scheme: str, browser: Browser, site: Site, book: str
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    for address in ("/fx-rates", "/fx-rates?as_of=2026-11-21", "/price-books", f"/price-books/{book}"):
        page.goto(address)
        for violation in Axe().run(page).response["violations"]:
            found.append(f"{address}: {violation['id']} {[node['html'][:160] for node in violation['nodes'][:2]]}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways")
    context.close()
    assert found == []
