"""Back and the keyboard: what was typed is not lost, nothing is sent twice, and no mouse is needed."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.web.world import World

PRESET = "/estimates/new?preset=finetune-small"
MADE = re.compile(r"/estimates/\w{26}$")


def refuse(page: Page, site: Site, tokens: str = "lots") -> None:
    """Send a form that cannot be used; the browser's own note of the refusal, whenever it comes, is no fault."""
    page.get_by_label("Tokens to train on").fill(tokens)
    page.get_by_role("button", name="Estimate", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    site.expected = "422"


def test_back_from_an_estimate_finds_the_form_as_it_was_typed(page: Page) -> None:
    page.goto(PRESET)
    page.get_by_label("Tokens to train on").fill("321M")
    page.get_by_text("Only some vendors, GPUs, providers").click()
    page.get_by_label("Power limit, in watts").fill("20K")
    page.get_by_role("button", name="Estimate", exact=True).click()
    expect(page).to_have_url(MADE)
    page.go_back()
    expect(page.get_by_label("Tokens to train on")).to_have_value("321M")
    expect(page.get_by_label("Power limit, in watts")).to_have_value("20K")
    expect(page.get_by_label("Power limit, in watts")).to_be_visible()
    page.get_by_role("button", name="Estimate", exact=True).click()
    expect(page).to_have_url(MADE)


def test_back_after_a_refused_form_asks_for_no_resending(page: Page, site: Site) -> None:
    page.goto("/")
    page.goto(PRESET)
    refuse(page, site)
    expect(page).to_have_url(re.compile(r"preset=finetune-small$"))
    page.get_by_label("Tokens to train on").fill("300M")
    page.get_by_role("button", name="Estimate", exact=True).click()
    expect(page).to_have_url(MADE)
    for _ in range(2):
        page.go_back()
        expect(page.get_by_label("Tokens to train on")).to_be_visible()
        expect(page).to_have_url(re.compile(r"preset=finetune-small$"))
    page.go_back()
    expect(page.get_by_role("heading", name="What does a job take")).to_be_visible()


def test_a_filter_says_what_is_shown_after_back(page: Page) -> None:
    page.goto("/prices")
    page.get_by_label("Provider", exact=True).select_option("aws")
    expect(page).to_have_url(re.compile("provider=aws"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/prices$"))
    expect(page.get_by_label("Provider", exact=True)).to_have_value("")
    page.go_forward()
    expect(page.get_by_label("Provider", exact=True)).to_have_value("aws")


def test_a_preview_follows_what_back_brought_again(page: Page, needs_assets: None) -> None:
    page.goto("/schedules/new")
    page.get_by_label("When").fill("15 4 * * 1")
    expect(page.locator("#preview")).to_contain_text("Monday")
    page.get_by_role("link", name="Back").click()
    expect(page).to_have_url(re.compile("/schedules$"))
    page.go_back()
    expect(page.get_by_label("When")).to_have_value("15 4 * * 1")
    expect(page.locator("#preview")).to_contain_text("Monday")


def test_the_button_that_cancels_keeps_the_focus_while_its_panel_is_replaced(
    page: Page, world: World, needs_assets: None
) -> None:
    page.goto(f"/calibrations/{world.running_run}")
    button = page.get_by_role("button", name="Cancel")
    button.focus()
    with page.expect_response(re.compile("/progress$")):
        pass
    with page.expect_response(re.compile("/progress$")):
        pass
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()


def test_an_estimate_is_made_and_read_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/")

    def go_to(name: str, role: str = "link") -> None:
        wanted = page.get_by_role(role, name=re.compile(f"^{name}")).first  # type: ignore[arg-type]
        expect(wanted).to_be_visible()
        for _ in range(150):
            page.keyboard.press("Tab")
            if wanted.evaluate("node => node === document.activeElement"):
                return
        raise AssertionError(f"{name} is not reached by the Tab key")

    go_to("New estimate")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New estimate")).to_be_visible()
    go_to("Fine-tune a small transformer")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Tokens to train on")).to_be_visible()
    go_to("Tokens to train on", "textbox")
    page.keyboard.press("Control+a")
    page.keyboard.type("50M")
    page.keyboard.press("Enter")
    expect(page).to_have_url(MADE)
    expect(page.get_by_text("50 M tokens").first).to_be_visible()
    memory = page.get_by_role("region", name="Memory bill")
    expect(memory).not_to_be_visible()
    page.keyboard.press("Tab")
    go_to("Memory")
    page.keyboard.press("Enter")
    expect(memory).to_be_visible()
