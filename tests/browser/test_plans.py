"""Plans as a person meets them: asked, watched, found, clashing, tracked and printed; on a telephone, in the dark."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.plans.plan import plan
from planner.services.plan_search import claim_plan, finish_search, note_search
from planner.services.plans import SearchProgress
from planner.store.engine import database_now, session_factory
from tests.browser.conftest import Site
from tests.browser.looks import LOOKS
from tests.web.world import TERM, World

QUESTION = {
    "name": "By form",
    "span": "1 day",
    "jobs": [{"name": "train", "options": [{"gpu": "H100", "num_gpus": 4, "time": "6 h"}], "deadline": "20 h"}],
    "supply": {
        "offers": False,
        "own": False,
        "extra": [{"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5}],
    },
}


def plan_pages(world: World) -> list[str]:
    return [
        "/plans",
        "/plans/new",
        f"/plans/{world.plan}",
        f"/plans/{world.plan}?use=lots",
        f"/plans/{world.plan}/brief",
        f"/plans/{world.plan}/compare",
        f"/plans/{world.locked_plan}",
        f"/plans/{world.locked_plan}/tracking",
        f"/plans/{world.clashing_plan}",
        f"/plans/{world.searching_plan}",
        "/replays",
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_plan_page_is_clean_and_fits(width: int, scheme: str, browser: Browser, site: Site, world: World) -> None:
    context = browser.new_context(
        base_url=site.address,
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page, axe, found = context.new_page(), Axe(), []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    for address in plan_pages(world):
        page.goto(address)
        found += [f"{address}: {each['id']}" for each in axe.run(page).response["violations"]]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways")
    context.close()
    assert found == []


def test_a_plan_is_asked_by_keyboard_watched_and_found(page: Page, site: Site, needs_assets: None) -> None:
    page.goto("/plans/new")
    page.get_by_text("Or the whole question as JSON").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Question").focus()
    page.keyboard.insert_text(json.dumps(QUESTION))
    page.get_by_role("button", name="Ask for the plan").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Waiting for a worker")
    with session_factory(site.engine).begin() as session:
        claim = claim_plan(session, "w", "b", timedelta(minutes=5), database_now(session))
        assert claim is not None
        note_search(session, claim, SearchProgress(70.0, 60.0, 1 / 7, 1.2, "first plan"), TERM)
    expect(page.get_by_role("status")).to_contain_text("a gap of 14 %")
    with session_factory(site.engine).begin() as session:
        note_search(session, claim, SearchProgress(61.0, 60.0, 1 / 61, 2.5, "search"), TERM)
    expect(page.get_by_role("status")).to_contain_text("$61.00")
    with session_factory(site.engine).begin() as session:
        assert finish_search(session, claim, plan(claim.request, seconds=600), "", database_now(session))
    expect(page.get_by_role("heading", name="Where the work is done")).to_be_visible()
    expect(page.get_by_text("$60.00").first).to_be_visible()


def test_a_search_is_stopped_from_its_page(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.searching_plan}")
    page.get_by_role("button", name="Stop with the best so far").click()
    expect(page.get_by_text("It has been asked to stop")).to_be_visible()


def test_a_clash_is_named_and_nothing_can_be_decided_on(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.clashing_plan}")
    clash = page.get_by_role("region", name="What clashes")
    expect(clash.get_by_role("listitem")).to_have_text(["first", "second"])
    expect(page.get_by_label("Next step").get_by_role("option")).to_have_text(["withdrawn"])


def test_a_plan_without_an_offer_is_a_scenario_in_one_click(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.plan}")
    second = page.get_by_role("region", name="Second choices")
    expect(second.get_by_role("row", name=re.compile("^reserve"))).to_contain_text("of rent")
    second.get_by_role("row", name=re.compile("^reserve")).get_by_role("button", name="Plan without it").click()
    expect(page.get_by_role("heading", name="without reserve")).to_be_visible()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_role("columnheader", name=re.compile("without reserve"))).to_be_visible()


def test_a_brief_prints_without_the_navigation_and_without_buttons(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.plan}/brief")
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation").first).to_be_hidden()
    expect(page.get_by_role("heading", name="Findings")).to_be_visible()
    expect(page.get_by_role("heading", name="Assumptions")).to_be_visible()
    expect(page.locator("main button:visible")).to_have_count(0)


def test_a_locked_plan_is_followed_and_its_rest_planned(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.locked_plan}")
    page.get_by_role("link", name="Planned against happened").click()
    expect(page.get_by_role("row", name=re.compile("^night"))).to_contain_text("entered by hand")
    page.get_by_role("button", name="Plan the rest").click()
    expect(page.get_by_role("heading", name="Decided, the rest")).to_be_visible()
    expect(page.get_by_text("tune: 100 % done, by the timetable")).to_be_visible()


def test_the_commitments_are_drawn_for_any_use(page: Page, world: World) -> None:
    page.goto(f"/plans/{world.plan}")
    page.get_by_label("Draw it for a use of").fill("50 %")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("heading", name=re.compile("used 50 % of the time"))).to_be_visible()
