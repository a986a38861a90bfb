"""The pages and the API of what calibrations say, and the page of one run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.calibration.bench_time import BENCH_VERSION
from planner.services.drift import RunLevel
from planner.services.estimates import make_estimate
from planner.services.requests import EstimateRequest
from planner.services.runs import list_runs
from planner.store.engine import session_factory
from planner.web.run_charts import level_chart
from tests.builders import NOW
from tests.runs import CODE, known_devices
from tests.services.test_outcomes import PRODUCTS, run_on
from tests.web.world import World

START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("address", ["/devices/{gpu}/findings", "/devices/{cpu}/findings", "/devices/compare"])
def test_a_page_answers(client: FlaskClient, world: World, address: str) -> None:
    answer = client.get(address.format(gpu=world.gpu_id, cpu=world.cpu_id))
    assert answer.status_code == 200
    assert "<h1>" in answer.text


def test_findings_hold_both_sides_and_the_error_of_each_part(client: FlaskClient, world: World) -> None:
    page = client.get(f"/devices/{world.gpu_id}/findings").text
    assert "pushes this device harder than" in page
    assert "the driver told no power beside that run" in page
    assert "Error of samples left out" in page
    assert "No judgement yet: 0 earlier runs" in page


def test_a_device_never_measured_has_no_findings_and_says_so(client: FlaskClient, world: World) -> None:
    page = client.get(f"/devices/{world.cpu_id}/findings").text
    assert "No run of this device has succeeded yet" in page
    assert "No fit yet" in page
    assert client.get("/devices/none/findings").status_code == 404


def test_without_a_measured_cpu_the_comparison_is_unknown(client: FlaskClient) -> None:
    page = client.get("/devices/compare?preset=serve-small").text
    assert "Unknown: no measured CPU here does this job." in page
    assert client.get("/devices/compare?preset=nonsense").status_code == 404


def test_what_is_worth_measuring_has_a_button_that_asks_for_that_run(empty_app: Flask) -> None:
    sessions = session_factory(empty_app.extensions["planner"].engine)
    with sessions.begin() as session:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW - timedelta(hours=1), suite=PRODUCTS)
        made = make_estimate(session, EstimateRequest(preset="finetune-small"), NOW, CODE)
    client = empty_app.test_client()
    best = client.get(f"/api/v1/estimates/{made.id}/worth").get_json()["measurements"][0]
    page = client.get(f"/estimates/{made.id}/worth").text
    assert f'name="suite" value="{best["suite"]}"' in page
    assert f'name="device_id" value="{gpu.id}"' in page
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    fields = {"csrf_token": token[1], "device_id": gpu.id, "suite": best["suite"]}
    assert client.post("/calibrations", data=fields).status_code == 303
    with sessions() as session:
        assert list_runs(session)[0].suite == best["suite"]


def test_where_nothing_is_worth_measuring_the_reason_is_shown(client: FlaskClient, world: World) -> None:
    page = client.get(f"/estimates/{world.training}/worth").text
    assert "Nothing: what widens this estimate is no lack of measurements" in page
    assert "What stays open" in page


def test_the_page_of_a_run_says_how_to_make_it_again_and_what_was_not_told(client: FlaskClient, world: World) -> None:
    page = client.get(f"/calibrations/{world.finished_run}").text
    assert "planner calibrate --device GPU-11111111-2222-3333-4444-555555555555 --suite quick" in page
    assert re.search(r"Not told: memory clock \(the driver did not tell it\)", page)
    assert f"version {BENCH_VERSION}" in page


def test_the_live_part_draws_a_line_per_quantity_and_names_what_is_unknown(client: FlaskClient, world: World) -> None:
    part = client.get(f"/calibrations/{world.running_run}/progress").text
    assert part.count("<figure") == 6
    assert "nothing was read yet" in part


def level(day: int, change: float | None, **changed: tuple[str, str]) -> RunLevel:
    return RunLevel(f"run-{day}", START + timedelta(days=day), "quick", change, 12, changed)


def test_a_chart_marks_what_changed_and_draws_slower_above() -> None:
    chart = level_chart([level(0, 0.0), level(7, 0.002), level(14, 0.08, driver_version=("580", "590"))])
    assert chart is not None
    assert [dot.is_large for dot in chart.dots] == [False, False, True]
    assert chart.dots[2].y < chart.dots[0].y
    assert chart.dots[0].x < chart.dots[1].x < chart.dots[2].x
    assert [(mark.number, mark.words) for mark in chart.marks] == [(1, "driver version went from 580 to 590")]
    assert chart.band[0] < chart.dots[0].y < chart.band[1]


def test_a_single_run_is_no_chart() -> None:
    assert level_chart([level(0, None), level(7, 0.1)]) is None


def test_the_api_gives_the_same_facts(client: FlaskClient, world: World) -> None:
    get: Callable[[str], dict[str, object]] = lambda address: client.get(f"/api/v1{address}").get_json()  # noqa: E731
    assert get(f"/devices/{world.gpu_id}/drift")["change"] is None
    assert get(f"/devices/{world.gpu_id}/fits")["fits"]
    assert get(f"/devices/{world.gpu_id}/comparison")["run_id"] == world.finished_run
    assert get("/siblings") == {"groups": []}
    assert get("/cpu-against-gpu?preset=pretrain-tiny")["times_faster"] is None
    assert client.get("/api/v1/cpu-against-gpu?preset=nonsense").status_code == 404


def test_the_run_that_is_compared_is_one_of_the_device(app: Flask, world: World) -> None:
    with session_factory(app.extensions["planner"].engine)() as session:
        assert world.finished_run in {run.id for run in list_runs(session, device_id=world.gpu_id)}
