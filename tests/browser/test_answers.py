"""Answers as they are read, folded and printed: what a person at a meeting gets on paper, and that nothing jumps."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site
from tests.web.world import World

SHIFTS = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) sum += one.value; })
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 400);
})"""


def test_the_rejected_are_opened_by_what_they_lack(page: Page, world: World) -> None:
    page.goto(f"/estimates/{world.nothing_fits}")
    page.get_by_role("link", name="A cost within the budget").click()
    expect(page).to_have_url(re.compile(r"lack=budget#rejected$"))
    rows = page.get_by_role("region", name="Rejections").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("the budget is")
    expect(rows.last).to_contain_text("the budget is")


def test_a_folded_part_opens_when_a_link_leads_into_it(page: Page, world: World) -> None:
    page.goto(f"/calibrations/{world.finished_run}")
    inside = page.get_by_role("heading", name="Memory bandwidth, fp32")
    expect(inside).not_to_be_visible()
    page.get_by_role("link", name="Memory bandwidth, fp32").click()
    expect(inside).to_be_visible()


@pytest.mark.parametrize("which", ["training", "plan"])
def test_paper_is_white_and_holds_the_answer_and_nothing_to_press(
    which: str, browser: Browser, site: Site, world: World
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme="dark")
    page = context.new_page()
    page.goto(f"/estimates/{world.training}" if which == "training" else f"/plans/{world.plan}/brief")
    button = page.get_by_role("button", name="Print")
    expect(button).to_be_visible()
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.get_by_text("In short")).to_be_visible()
    expect(button).not_to_be_visible()
    expect(page.get_by_role("navigation", name="Main")).not_to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    context.close()


def test_nothing_jumps_while_the_lines_of_a_run_are_drawn(page: Page, world: World, needs_assets: None) -> None:
    page.goto(f"/calibrations/{world.finished_run}")
    assert page.evaluate(SHIFTS) < 0.02


def test_the_button_of_a_long_form_stays_in_sight_and_hides_no_field(page: Page) -> None:
    page.goto("/estimates/new?preset=finetune-small")
    button = page.get_by_role("button", name="Estimate", exact=True)
    expect(button).to_be_in_viewport()
    for field in ("Tokens to train on", "Activations computed again", "Oldest price, in days"):
        place = page.get_by_label(field)
        place.click()  # which scrolls it into sight
        below, above = place.bounding_box(), button.bounding_box()
        assert below is not None
        assert above is not None
        assert below["y"] + below["height"] <= above["y"], field


ANCHORS = ("answer", "options", "frontier", "contests", "best", "why-range", "memory", "rejected", "asked", "used")


@pytest.mark.parametrize("which", ["training", "service"])
def test_an_estimate_answers_in_the_first_screen_and_folds_the_rest(page: Page, world: World, which: str) -> None:
    page.goto(f"/estimates/{getattr(world, which)}")
    expect(page.get_by_role("heading", level=2).first).to_be_in_viewport()
    for words in ("How sure", "The cheapest"):
        expect(page.get_by_text(words, exact=False).first).to_be_in_viewport()
    expect(page.get_by_role("region", name="Memory bill")).not_to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") <= 2500


def test_every_part_of_an_estimate_is_led_to_and_opened(page: Page, world: World) -> None:
    for anchor in ANCHORS:
        page.goto("about:blank")
        page.goto(f"/estimates/{world.training}#{anchor}")
        heading = page.locator(f"#{anchor}")
        expect(heading).to_be_in_viewport()
        assert heading.evaluate("node => node.closest('details:not([open])') === null"), anchor


def test_folded_parts_open_together_one_by_one_and_on_paper(browser: Browser, site: Site, world: World) -> None:
    context = browser.new_context(base_url=site.address)
    page = context.new_page()
    page.goto(f"/estimates/{world.training}")
    bill = page.get_by_role("region", name="Memory bill")
    page.get_by_role("button", name="Open all").click()
    expect(bill).to_be_visible()
    page.get_by_role("button", name="Fold all").click()
    expect(bill).not_to_be_visible()
    page.emulate_media(media="print")
    expect(bill).to_be_visible()
    expect(page.get_by_role("region", name="Rejections")).to_be_visible()
    context.close()


def test_a_part_is_unfolded_without_scripts(browser: Browser, site: Site, world: World) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/estimates/{world.training}")
    page.get_by_role("heading", name="Memory of each GPU").click()
    expect(page.get_by_role("region", name="Memory bill")).to_be_visible()
    expect(page.get_by_role("button", name="Open all")).to_have_count(0)
    context.close()


def test_tables_that_are_decided_on_stand_whole_on_a_telephone(browser: Browser, site: Site, world: World) -> None:
    context = browser.new_context(base_url=site.address, viewport={"width": 390, "height": 844})
    page = context.new_page()
    for address, name in (
        ("/estimates", "Estimates"),
        ("/prices?limit=5", "Offers with their prices"),
        (f"/estimates/{world.training}", "Options, best first"),
        (f"/estimates/{world.service}", "Options, best first"),
        (f"/estimates/{world.training}/nodes", "Node counts"),
    ):
        page.goto(address)
        box = page.get_by_role("region", name=name, exact=True)
        expect(box.get_by_role("row").nth(1)).to_be_visible()
        assert box.evaluate("node => node.scrollWidth <= node.clientWidth"), address
    context.close()
