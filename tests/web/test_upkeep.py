"""The forms that keep calibration in order, sent the way a browser does."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import Send
from tests.web.world import World


def test_a_device_is_kept_from_work_checked_and_let_out_on_its_page(
    client: FlaskClient, send: Send, world: World
) -> None:
    page = f"/devices/{world.gpu_id}"
    assert send(f"{page}/quarantine", {"reason": "it <smells>"}).status_code == 303
    text = client.get(page).text
    assert "Kept from work: it &lt;smells&gt;" in text
    check = send(f"{page}/check", {"suite": "smoke"})
    assert check.status_code == 303
    assert "This is a check" in client.get(check.headers["Location"]).text
    assert send(f"{page}/release", {"reason": "a cable"}).status_code == 303
    text = client.get(page).text
    assert "by user: a cable" in text
    assert "Put in quarantine" in text
    assert send(f"{page}/quarantine", {"reason": ""}).status_code == 422


def test_a_label_is_given_and_a_schedule_chooses_by_it(client: FlaskClient, send: Send, world: World) -> None:
    assert send(f"/devices/{world.gpu_id}/label", {"label": "night"}).status_code == 303
    fields = {"name": "by label", "cron": "0 3 * * *", "timezone": "UTC", "suite": "smoke", "label": "night"}
    limits = {"window_start": "22:00", "window_end": "06:00", "daily_minutes": "30", "enabled": "true"}
    assert send("/schedules", fields | limits).status_code == 303
    text = client.get("/schedules").text
    assert "devices with label night" in text
    assert "from 22:00 to 06:00" in text
    assert "0.0 min today of 30" in text
    assert send("/schedules", fields | {"name": "half", "window_start": "22:00"}).status_code == 422


@pytest.mark.fault(81)
def test_a_form_that_was_opened_before_anothers_change_is_refused(
    client: FlaskClient, send: Send, world: World
) -> None:
    page = f"/schedules/{world.schedule}"
    found = re.search(r'name="revision" value="(\d+)"', client.get(page).text)
    assert found is not None
    fields = {"name": "Weekly check", "cron": "0 4 * * 6", "timezone": "UTC", "suite": "quick", "revision": found[1]}
    assert send(page, fields).status_code == 303
    refused = send(page, fields | {"cron": "0 5 * * 6"})
    assert refused.status_code == 412
    assert "was changed since you opened its form" in refused.text
    assert "0 4 * * 6" in client.get("/schedules").text


def test_all_schedules_are_paused_and_resumed_on_their_page(client: FlaskClient, send: Send) -> None:
    assert send("/schedules/pause", {"paused": "true", "reason": "an audit"}).status_code == 303
    text = client.get("/schedules").text
    assert "All schedules are paused since" in text
    assert "all paused" in text
    assert send("/schedules/pause", {"paused": "false", "reason": "over"}).status_code == 303
    assert "All schedules are paused since" not in client.get("/schedules").text


def test_a_suite_of_chosen_and_own_shapes_is_kept_and_planned(client: FlaskClient, send: Send, world: World) -> None:
    key = re.search(r'name="benches" value="(matmul/[^"]+)"', client.get("/suites/new").text)
    assert key is not None
    fields = {"name": "mine", "own": "copy/fp32/num_bytes=1000000\r\n\r\n", "benches": key[1]}
    kept = send("/suites", fields, page="/suites/new")
    assert kept.status_code == 303
    assert "suite=mine" in kept.headers["Location"]
    plan = client.get(f"/calibrations/new?device_id={world.gpu_id}&suite=mine").text
    assert "2 benches" in plan
    assert "nobody entered what an hour of" in plan
    assert "copy/fp32/num_bytes=1000000" in client.get("/suites").text
    refused = send("/suites", {"name": "mine", "own": "sort/fp32/k=1"}, page="/suites/new")
    assert refused.status_code == 422
    assert "is no operation" in refused.text
