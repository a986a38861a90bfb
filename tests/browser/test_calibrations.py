"""Schedules, suites, runs of several devices and findings, as a person uses them: mouse, keyboard, phone, dark."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.calibration.run_states import RunState
from planner.services.claims import begin_run, claim_run, finish_run
from planner.services.devices import DeviceView, record_discovery
from planner.services.requests import ScheduleRequest
from planner.services.runs import TelemetryPoint
from planner.services.schedules import create_schedule
from planner.store.engine import session_factory
from tests.browser.conftest import Site
from tests.browser.looks import LOOKS
from tests.builders import NOW, discovery, seen_node
from tests.runs import CODE, TERM, outcomes_of, queued
from tests.services.test_links import card, exchanges
from tests.web.world import World

BEFORE = NOW - timedelta(hours=1)


@pytest.fixture
def cards(site: Site) -> list[DeviceView]:
    """Four equal cards of a second node: calibrated, their links measured, and a schedule for them."""
    node = seen_node(machine_id="machine-4", hostname="node-4", boot_id="boot-4")
    with session_factory(site.engine).begin() as session:
        found = record_discovery(session, discovery(*(card(number) for number in range(4)), node=node), BEFORE)
        for number, suite in enumerate(("quick", "links")):
            at = BEFORE + number * timedelta(minutes=10)
            queued(session, found[0], suite, at)
            claim = claim_run(session, found[0].node_id, "worker-9", "boot-4", TERM, at)
            assert claim is not None
            assert begin_run(session, claim, at)
            outcomes = exchanges(claim) if claim.peers else outcomes_of(claim)
            points = [TelemetryPoint(0.5 * n, 300.0 + n, None, 40.0, 1.5e9, None, None, 0.9, 2**33) for n in range(20)]
            ended = at + timedelta(minutes=2)
            assert finish_run(session, claim, RunState.SUCCEEDED, outcomes, points, {}, {}, "", ended, CODE)
        create_schedule(session, ScheduleRequest(name="Links", cron="0 3 1 * *", suite="links"), NOW)
    return found


def addresses(cards: list[DeviceView], world: World) -> list[str]:
    """The pages of calibrations, schedules, suites and findings, with several devices in play."""
    return [
        "/schedules",
        "/schedules/new",
        "/suites",
        "/suites/new",
        "/calibrations",
        f"/calibrations/new?device_id={cards[0].id}&suite=links",
        f"/calibrations/{world.running_run}",
        f"/devices/{cards[0].id}",
        f"/devices/{cards[0].id}/findings",
        "/devices/compare",
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_pages_with_several_devices_are_clean_and_never_scroll_sideways(
    scheme: Literal["light", "dark"], width: int, browser: Browser, site: Site, world: World, cards: list[DeviceView]
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page, axe, found = context.new_page(), Axe(), []
    for address in addresses(cards, world):
        page.goto(address)
        for violation in axe.run(page).response["violations"]:
            found.append(f"{address}: {violation['id']} {[node['html'][:160] for node in violation['nodes'][:2]]}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways at {width}")
    context.close()
    assert found == []


def test_a_run_of_several_devices_is_planned_started_and_shown(page: Page, site: Site, cards: list[DeviceView]) -> None:
    page.goto("/calibrations/new")
    page.get_by_label("Device", exact=True).select_option(label="NVIDIA H100 80GB HBM3 2 on node-4")
    page.get_by_label("Suite", exact=True).select_option("links")
    page.get_by_role("button", name="Show the plan").click()
    plan = page.get_by_role("region").or_(page.locator("section")).filter(has_text="What will happen").first
    expect(plan).to_contain_text("among 4 devices of the node at once")
    expect(plan).to_contain_text("and the 3 like it on its node")
    page.get_by_role("button", name="Start").click()
    expect(page).to_have_url(re.compile(r"/calibrations/\w{26}$"))
    page.goto("/calibrations?state=succeeded")
    page.get_by_role("link", name=re.compile("^links")).first.click()
    expect(page.get_by_text("Devices at once")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Link rate")).to_be_visible()
    page.get_by_role("link", name="NVIDIA H100 80GB HBM3 3").click()
    expect(page).to_have_url(re.compile(f"/devices/{cards[3].id}$"))


def test_a_device_that_stands_alone_says_why_it_has_no_links(page: Page, site: Site, world: World) -> None:
    page.goto(f"/calibrations/new?device_id={world.cpu_id}&suite=links")
    expect(page.get_by_role("alert")).to_contain_text("the only one of its kind that works on its node")
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    site.expected = "422"


def test_measured_links_stand_beside_the_published_ones(page: Page, cards: list[DeviceView]) -> None:
    page.goto(f"/devices/{cards[0].id}")
    row = page.get_by_role("row", name=re.compile("^Exchange among 4 devices"))
    expect(row).to_contain_text("300 GB/s")
    expect(row).to_contain_text("450 GB/s")


def test_a_schedule_is_made_by_keyboard_alone(page: Page, site: Site, needs_assets: None) -> None:
    page.goto("/schedules/new")
    page.get_by_label("Name").focus()
    page.keyboard.type("Nightly")
    page.get_by_label("When").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("30 2 * * *")
    expect(page.locator("#preview")).to_contain_text("02:30")
    expect(page.locator("#preview li")).to_have_count(5)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Nightly")).to_be_visible()


def test_a_suite_of_ones_own_is_put_together_by_keyboard(page: Page, site: Site) -> None:
    page.goto("/suites/new")
    page.get_by_role("textbox", name=re.compile("^Name")).focus()
    page.keyboard.type("my-gemms")
    page.get_by_label("Shapes of your own").focus()
    page.keyboard.type("matmul/bf16/k=64,m=64,n=64")
    page.get_by_role("button", name="Keep the suite").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/calibrations/new\?suite=my-gemms$"))
    page.goto("/suites")
    expect(page.get_by_role("row", name=re.compile("^my-gemms"))).to_contain_text("your own")


def test_all_schedules_are_paused_and_resumed_with_a_reason(page: Page, site: Site) -> None:
    page.goto("/schedules")
    page.get_by_label("Because").fill("the room is hot")
    page.get_by_role("button", name="Pause all").click()
    expect(page.get_by_text("All schedules are paused since")).to_contain_text("the room is hot")
    page.get_by_label("Because").fill("cool again")
    page.get_by_role("button", name="Resume all").click()
    expect(page.get_by_text("All schedules are paused since")).to_have_count(0)
