"""Owned GPUs in a real browser: the preview moves while one types, works without scripts, and reads well everywhere."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from planner.services.assets import create_asset, update_asset
from planner.store.engine import session_factory
from tests.browser.conftest import Site
from tests.browser.looks import LOOKS
from tests.builders import NOW
from tests.services.test_assets import request
from tests.web.world import World


@pytest.fixture
def assets(site: Site, world: World) -> tuple[str, str]:
    """A planned purchase with two revisions, and a device's asset of which little is given."""
    with session_factory(site.engine).begin() as session:
        rack = create_asset(session, request(gpu_key="H100-80GB-SXM", num_gpus=64, utilisation="60 %"), NOW)
        update_asset(session, rack.id, request(gpu_key="H100-80GB-SXM", num_gpus=64, utilisation="60 %"), NOW)
        lab = create_asset(session, request(name="Lab", device_ids=(world.gpu_id,), staff=None, pue=None), NOW)
    return rack.id, lab.id


def addresses(assets: tuple[str, str]) -> list[str]:
    filled = "name=x&price=40000&busy_kw=1.275&utilisation=60+%25&gpu_key=H100-80GB-SXM"
    return [
        "/assets",
        "/assets/new",
        f"/assets/new?preview=1&{filled}",
        *(f"/assets/{asset_id}" for asset_id in assets),
        f"/assets/{assets[0]}?rent=2.29&rent_decline=5+%25",
        f"/assets/{assets[0]}/edit",
    ]


def test_the_chart_is_asked_again_while_one_types(page: Page, needs_assets: None) -> None:
    page.goto("/assets/new")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Price and draw in use are enough to begin with")
    page.get_by_label("Name").fill("Rack 4")
    page.get_by_label("Price, all in").fill("40000")
    expect(preview).to_contain_text("busy kw: is needed")
    page.get_by_label("Draw in use, kW").fill("1.275")
    expect(preview.locator("svg .line-own")).to_have_count(1)
    expect(preview).to_contain_text("neither given nor measured")
    page.get_by_role("textbox", name="Utilisation").fill("60 %")
    page.get_by_label("A rent per GPU-hour").fill("2.29")
    expect(preview).to_contain_text("as asked")
    before = preview.locator(".big").first.inner_text()
    page.get_by_label("Price, all in").fill("20000")
    expect(preview.locator(".big").first).not_to_have_text(before)
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(r"/assets/\w{26}$"))
    expect(page.get_by_role("status")).to_contain_text("Rack 4 is entered")
    expect(page.get_by_role("heading", name="What is assumed")).to_be_visible()


def test_preview_ask_and_save_work_without_scripts(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/assets/new")
    for label, text in (("Name", "Rack 4"), ("Price, all in", "40000"), ("Draw in use, kW", "1.275")):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview svg .line-own")).to_have_count(1)
    expect(page.get_by_label("Price, all in")).to_have_value("40000")
    assert "csrf" not in page.url
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(r"/assets/\w{26}$"))
    page.get_by_label("Utilisation", exact=True).fill("70 %")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("main")).to_contain_text("70.0 % of the hours")
    page.get_by_label("Price, all in, to").fill("80000")
    page.get_by_role("button", name="Ask with these ranges").click()
    page.wait_for_url("**80000**")
    expect(page.get_by_label("Price, all in, to")).to_have_value("80000")
    page.get_by_role("button", name="Take away").click()
    expect(page.get_by_role("status")).to_contain_text("is taken away")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_pages_are_clean_for_axe_and_never_scroll_sideways(
    width: int, scheme: str, browser: Browser, site: Site, assets: tuple[str, str]
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    for address in addresses(assets):
        page.goto(address)
        for violation in Axe().run(page).response["violations"]:
            found.append(f"{address}: {violation['id']} {[node['html'][:160] for node in violation['nodes'][:2]]}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways")
    context.close()
    assert found == []
