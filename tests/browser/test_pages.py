"""What a person does: ask, watch, read on a telephone, in the dark and with a screen reader."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.calibration.run_states import RunState
from planner.services.claims import finish_run, note_progress
from planner.store.engine import session_factory
from tests.browser.conftest import Site
from tests.browser.looks import WHOLE
from tests.builders import NOW
from tests.web.test_pages import pages_of
from tests.web.world import CODE, TERM, World, measured


def addresses(world: World) -> list[str]:
    """Every page in every shape, pieces of pages left out."""
    forms = [
        "/estimates/new",
        "/estimates/new?preset=finetune-small",
        "/estimates/new?preset=train-resnet-50",
        "/estimates/new?kind=inference",
        "/schedules/new",
    ]
    return [address for address in [*pages_of(world), *forms, "/api"] if not address.endswith("/progress")]


def test_an_estimate_is_made_by_form_from_a_preset(page: Page, site: Site) -> None:
    page.goto("/")
    page.get_by_role("link", name="New estimate").first.click()
    page.get_by_role("link", name=re.compile("^Fine-tune a small transformer")).click()
    page.get_by_label("Tokens to train on").fill("lots")
    page.get_by_role("button", name="Estimate").click()
    expect(page.get_by_role("alert")).to_contain_text("tokens")
    site.expected = "422"
    expect(page.get_by_label("Tokens to train on")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Tokens to train on").fill("300M")
    page.get_by_label("Rank by").select_option("time")
    page.get_by_text("Only some vendors, GPUs, providers").click()
    page.get_by_role("checkbox", name="H100-80GB-SXM", exact=True).check()
    page.get_by_role("button", name="Estimate").click()
    expect(page).to_have_url(re.compile(r"/estimates/\w{26}$"))
    expect(page.get_by_role("heading", name="Best by time")).to_be_visible()
    expect(page.get_by_role("region", name="Options, best first").get_by_role("row").nth(1)).to_contain_text("the best")


def test_a_network_for_pictures_is_estimated_by_form(page: Page, site: Site) -> None:
    page.goto("/estimates/new")
    page.get_by_role("link", name=re.compile("^Another network for pictures")).first.click()
    page.get_by_label("Architecture").select_option("Swin tiny")
    page.get_by_label("Pictures to train on").fill("1.28M")
    page.get_by_role("button", name="Estimate").click()
    expect(page).to_have_url(re.compile(r"/estimates/\w{26}$"))
    expect(page.get_by_text("1.28 M pictures in steps of 1,024").first).to_be_visible()
    assert site.faults == []


def test_a_running_calibration_moves_by_itself_until_it_has_ended(
    page: Page, site: Site, world: World, needs_assets: None
) -> None:
    claim, open_session = world.running_claim, session_factory(site.engine)
    page.goto(f"/calibrations/{world.running_run}")
    bar = page.get_by_role("progressbar", name="Benches done")
    expect(bar).to_have_attribute("value", "3")
    with open_session.begin() as session:
        assert note_progress(session, claim, 4, claim.benches[4].key, TERM).lease
    expect(page.get_by_role("status")).to_contain_text(claim.benches[4].key)
    expect(bar).to_have_attribute("value", "4")
    with open_session.begin() as session:
        outcomes = {position: measured(bench) for position, bench in enumerate(claim.benches)}
        assert finish_run(session, claim, RunState.SUCCEEDED, outcomes, [], {}, {}, "", NOW, CODE)
    expect(page.get_by_role("heading", name="Samples")).to_be_visible()
    expect(bar).to_have_count(0)


def test_the_telemetry_is_drawn_from_its_table(page: Page, world: World, needs_assets: None) -> None:
    page.goto(f"/calibrations/{world.finished_run}")
    expect(page.locator("[data-chart-of=telemetry] svg")).to_be_visible()
    page.get_by_text("The readings as a table").click()
    expect(page.locator("#telemetry tbody tr")).to_have_count(40)


def test_a_rule_is_read_out_while_it_is_typed(page: Page, needs_assets: None) -> None:
    page.goto("/schedules/new")
    page.get_by_label("When").fill("15 4 * * 1")
    expect(page.locator("#preview")).to_contain_text("Monday")
    page.get_by_label("Name").fill("Mondays")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("Mondays")


def test_filters_of_prices_are_in_the_address(page: Page) -> None:
    page.goto("/prices")
    page.get_by_label("Provider", exact=True).select_option("aws")  # sent at once
    expect(page).to_have_url(re.compile("provider=aws"))
    expect(page.get_by_role("region", name="Offers with their prices").get_by_role("row").nth(1)).to_contain_text("aws")


def test_every_page_is_clean_for_axe_in_light_and_dark(browser: Browser, site: Site, world: World) -> None:
    """Every sixth page in light, every sixth other one in dark; `make browser` takes every page in both."""
    axe = Axe()
    found: list[str] = []
    for place, scheme in enumerate(("light", "dark")):
        context = browser.new_context(base_url=site.address, color_scheme=scheme)
        page = context.new_page()
        every = addresses(world)
        for address in every if WHOLE else every[3 * place :: 6]:
            page.goto(address)
            for violation in axe.run(page).response["violations"]:
                where = [node["html"][:160] for node in violation["nodes"][:2]]
                found.append(f"{scheme} {address}: {violation['id']} {where}")
        context.close()
    assert found == []


def test_every_page_fits_narrow_and_wide_obeys_the_policy_and_logs_no_error(page: Page, world: World) -> None:
    """Opened on a telephone and then widened; `make browser` opens it again at the other width."""
    wide = []
    for address in addresses(world):
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            if width == 390 or WHOLE:
                page.goto(address)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                wide.append(f"{width} {address}")
    assert wide == []


def test_light_and_dark_are_chosen_once_and_kept(page: Page) -> None:
    page.goto("/")
    root = page.locator("html")
    before = root.get_attribute("data-bs-theme")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).not_to_have_attribute("data-bs-theme", before or "")
    page.goto("/prices")
    expect(root).not_to_have_attribute("data-bs-theme", before or "")


def test_every_form_works_without_scripts(browser: Browser, site: Site, world: World) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/estimates/new?preset=serve-small")
    page.get_by_role("button", name="Estimate").click()
    expect(page).to_have_url(re.compile(r"/estimates/\w{26}$"))
    page.goto(f"/calibrations/new?device_id={world.gpu_id}&suite=smoke")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("main")).to_contain_text("Waiting for the worker")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("main")).to_contain_text("cancelled")
    context.close()


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/prices")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
