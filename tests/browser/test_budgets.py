"""Budgets in a real browser: typed, told by cause, closed, and readable everywhere, without scripts too."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.services.actuals import record_actual
from planner.services.budgets import add_budget
from planner.services.closings import close_month
from planner.services.requests import parse
from planner.services.requests.actuals import ActualRequest
from planner.services.requests.budgets import BudgetRequest, ClosingRequest
from planner.store.engine import session_factory
from tests.browser.conftest import Site
from tests.browser.looks import LOOKS
from tests.builders import NOW
from tests.web.money import BUDGET
from tests.web.world import CODE, World


@pytest.fixture
def finished(site: Site, world: World) -> None:
    """A job of October that was billed, and one whose cost is unknown."""
    figures: tuple[dict[str, str], ...] = (
        {"seconds": "20 h", "lost_seconds": "1 h", "cost": "80"},
        {"step_seconds": "2"},
    )
    with session_factory(site.engine).begin() as session:
        for each in figures:
            asked = {"estimate_id": world.training, "measured_at": "2026-10-20T12:00:00Z", **each}
            record_actual(session, parse(ActualRequest, asked), NOW, CODE)


@pytest.fixture
def budget(site: Site, finished: None) -> str:
    """A budget of October and November, October closed."""
    with session_factory(site.engine).begin() as session:
        view = add_budget(session, parse(BudgetRequest, BUDGET), NOW, "tests")
        close_month(session, ClosingRequest(month="2026-10"), NOW, "tests", CODE)
        return view.id


def test_a_budget_is_typed_and_its_difference_told_by_cause(page: Page, finished: None) -> None:
    page.goto("/budgets")
    page.get_by_role("link", name="New budget").click()
    page.get_by_label("Name", exact=False).first.fill("October")
    page.get_by_label("First month").fill("2026-10")
    page.get_by_label("What it was made from").fill("H100-80GB-SXM 40 2.50")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("status")).to_contain_text("October is kept")
    walk = page.get_by_role("region", name="The difference by cause")
    expect(walk.get_by_role("row", name=re.compile("^Budget"))).to_contain_text("100.00")
    expect(walk.get_by_role("row", name=re.compile("^Actual"))).to_contain_text("80.00")
    expect(page.get_by_role("heading", name="In no sum")).to_be_visible()
    page.get_by_role("link", name="Budgets", exact=True).first.click()
    expect(page.get_by_role("region", name="Budgets with what was spent")).to_contain_text("October")


def test_a_month_is_closed_and_a_budget_withdrawn_without_scripts(browser: Browser, site: Site, finished: None) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/budgets")
    page.get_by_label("Month to close").fill("2026-10")
    page.get_by_role("button", name="Close the month").click()
    expect(page.get_by_role("status")).to_contain_text("is closed with 1 charge.")
    page.goto("/budgets/new")
    page.get_by_label("Name", exact=False).first.fill("Small")
    page.get_by_label("First month").fill("2026-10")
    page.get_by_label("Amount").fill("50")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("heading", name="Booked")).to_be_visible()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("counts no more")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_pages_are_clean_for_axe_and_never_scroll_sideways(
    width: int, scheme: str, browser: Browser, site: Site, budget: str
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    for address in ("/budgets", "/budgets/new", f"/budgets/{budget}", f"/budgets/{budget}/revise", "/closings/2026-10"):
        page.goto(address)
        for violation in Axe().run(page).response["violations"]:
            found.append(f"{address}: {violation['id']} {[node['html'][:160] for node in violation['nodes'][:2]]}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways")
    context.close()
    assert found == []
