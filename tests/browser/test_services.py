"""Sizing pages in a real browser: an answer that a keyboard reaches, readable at every width and in both schemes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site
from tests.browser.looks import LOOKS

DAY = "+".join(["1"] * 7 + ["5"] * 4 + ["8"] * 8 + ["3"] * 5)
TOKENS = "/services?architecture=llama-3-8b&prompt_tokens=1024&output_tokens=256&rate=40&gpus=H100-80GB-SXM"
ANSWERS = (
    f"{TOKENS}&first_token=500+ms&spare=1&hours={DAY}&api_input_price=0.2&api_output_price=0.6&apart_link=50GB",
    f"{TOKENS}&first_token=1+ms",
    "/services/passes?network=yolov5m&image_size=1280&cameras=16&frame_rate=30&deadline=50+ms&spare=1",
    "/services/passes?network=bert-base&rate=2000&deadline=20+us",
    "/services/training-or-inference?architecture=llama-3-8b&gpus=L4&gpus=H100-80GB-SXM",
)
FORMS = ("/services", "/services/passes", "/services/training-or-inference")


def test_a_service_is_sized_by_keyboard_alone(page: Page) -> None:
    page.goto("/services")
    rate = page.get_by_label("Requests per second")
    rate.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.wait_for_url("**rate=12**")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("GPU")
    expect(page.get_by_role("img", name="Time of a whole request against load")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_cameras_are_sized_and_the_three_kinds_lie_side_by_side(page: Page) -> None:
    page.goto("/services")
    page.get_by_role("link", name="Pictures, frames, texts").click()
    page.get_by_label("Cameras", exact=True).fill("8")
    page.get_by_role("button", name="Size").click()
    page.wait_for_url("**cameras=8**")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("GPU")
    page.get_by_role("link", name="Training or inference").click()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**architecture=**")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("presses the arithmetic")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_answers_are_clean_for_axe_and_never_scroll_sideways(
    width: int, scheme: str, browser: Browser, site: Site
) -> None:
    context = browser.new_context(base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    for address in (*FORMS, *ANSWERS):
        page.goto(address)
        for violation in Axe().run(page).response["violations"]:
            found.append(f"{address}: {violation['id']} {[node['html'][:160] for node in violation['nodes'][:2]]}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address} scrolls sideways")
    context.close()
    assert found == []
