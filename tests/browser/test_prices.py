"""Prices in a real browser: a file is previewed, applied and rolled back; charts and comparisons can be read."""

from __future__ import annotations

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from planner.readers.own_csv import template
from tests.browser.conftest import Site
from tests.web.world import World

DEARER = template().replace("17.60", "35.20").replace("2026-01-01", "2026-02-01")


def violations(page: Page) -> list[str]:
    return [
        f"{page.url}: {found['id']} {found['nodes'][0]['html'][:160]}"
        for found in Axe().run(page).response["violations"]
    ]


def no_wider_than_its_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def preview(page: Page, path: Path) -> None:
    page.goto("/imports/new")
    page.locator("#field-file").set_input_files(path)
    page.get_by_role("button", name="Preview").click()


def test_a_file_is_previewed_applied_and_rolled_back(page: Page, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        template() + "aws,us-east-1,,broken,on_demand,USD,H100,,8,,,yes,0,2026-01-01,2026-01-01,x,,,,,,,,\n"
    )
    page.goto("/imports/new")
    found = violations(page)
    preview(page, path)
    expect(page.get_by_role("heading", name="What “mine.csv” would do")).to_be_visible()
    expect(page.get_by_text(re.compile("price_per_hour")).first).to_be_visible()
    found += violations(page)
    page.goto("/prices?provider=example-cloud")
    expect(page.get_by_text("No offer passes these filters")).to_be_visible()
    preview(page, path)
    page.get_by_role("button", name=re.compile("^(Import|Apply|Store)")).click()
    expect(page.get_by_role("status")).to_contain_text("Prices stored: 1 of 2 rows")
    found += violations(page)
    page.set_viewport_size({"width": 390, "height": 800})
    assert no_wider_than_its_window(page)
    address = page.url
    path.write_text(DEARER)
    preview(page, path)
    page.get_by_role("button", name=re.compile("^(Import|Apply|Store)")).click()
    expect(page.get_by_text("wait for you")).to_be_visible()
    found += violations(page)
    page.goto(address)
    page.get_by_role("button", name=re.compile("[Rr]oll")).click()
    expect(page.get_by_role("status")).to_contain_text("rolled back")
    page.goto("/prices?provider=example-cloud&known_at=2027-01-01T00:00Z")
    expect(page.get_by_text("was rolled back, and no earlier price is known").first).to_be_visible()
    assert found == []


def test_two_offers_are_ticked_and_compared(page: Page, site: Site) -> None:
    page.goto("/prices?gpu=H100-80GB-SXM&limit=20")
    boxes = page.get_by_role("checkbox", name=re.compile("^Compare "))
    boxes.nth(0).check()
    boxes.nth(15).check()
    page.get_by_role("button", name="Compare the ticked offers").click()
    expect(page).to_have_url(re.compile(r"/prices/compare\?offer=\d+&offer=\d+$"))
    expect(page.get_by_text("cheapest", exact=True)).to_be_visible()
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert no_wider_than_its_window(page)


def test_a_source_is_asked_for(page: Page, site: Site, world: World) -> None:
    page.goto("/price-sources/oci")
    page.get_by_role("button", name="Refresh now").click()
    expect(page.get_by_role("status")).to_contain_text("is asked for")
    expect(page.get_by_text("asked for", exact=True)).to_be_visible()
    assert violations(page) == []
