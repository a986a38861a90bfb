"""Services of single passes, and training against inference, over HTTP: pages with their forms, and the API."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.services.test_pass_sizing import CAMERAS
from tests.web.conftest import Send

PASSES, PRESSURE = "/api/v1/pass-sizes", "/api/v1/training-against-inference"
ASKED = {name: str(value) for name, value in CAMERAS.items()}


def test_api_answers_with_options_reasons_and_a_curve(client: FlaskClient) -> None:
    answer = client.post(PASSES, json=CAMERAS, query_string={"options": 2, "rejections": 1})
    assert answer.status_code == 200, answer.text
    found = answer.json
    assert len(found["options"]) == 2 <= found["num_options"]
    assert len(found["others"]) == 1 <= found["num_others"]
    assert found["item"] == "frame"
    assert [point["share"] for point in found["curve"]] == sorted(point["share"] for point in found["curve"])
    assert found["options"][0]["late_share"] <= 0.01


def test_api_names_the_field_that_cannot_be_used(client: FlaskClient) -> None:
    answer = client.post(PASSES, json={**CAMERAS, "network": "nothing"})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "network"


def test_page_starts_with_a_form_and_its_address_holds_the_question(client: FlaskClient, send: Send) -> None:
    assert 'name="cameras"' in client.get("/services/passes").text
    sent = send("/services/passes", {**ASKED, "gpus": "H100-80GB-SXM"})
    assert sent.status_code == 303
    assert "cameras=40" in sent.headers["Location"]
    page = client.get(sent.headers["Location"])
    assert page.status_code == 200
    assert "Later than the deadline" in page.text
    assert "Per thousand frames" in page.text
    assert ">None<" not in page.text


def test_page_names_bad_fields_and_says_when_nothing_keeps_the_deadline(client: FlaskClient) -> None:
    bad = client.get("/services/passes", query_string={**ASKED, "percentile": "90"})
    assert bad.status_code == 422
    assert "must be 50, 95 or 99" in bad.text
    none = client.get("/services/passes", query_string={**ASKED, "deadline": "0.1 ms"})
    assert none.status_code == 200
    assert "Nothing keeps this deadline" in none.text
    assert "below the floor" in none.text


def test_training_against_inference_is_told_by_page_and_api(client: FlaskClient, send: Send) -> None:
    found = client.post(PRESSURE, json={"architecture": "llama-3-8b", "gpus": ["H100-80GB-SXM", "L4"]})
    assert found.status_code == 200, found.text
    told = {gpu["gpu_key"]: gpu["more_arithmetic"] for gpu in found.json["gpus"]}
    assert told["H100-80GB-SXM"] == told["L4"] == "training"
    assert 'name="concurrency"' in client.get("/services/training-or-inference").text
    sent = send("/services/training-or-inference", {"architecture": "llama-3-8b", "gpus": "L4"})
    page = client.get(sent.headers["Location"])
    assert page.status_code == 200
    assert "presses the arithmetic of" in page.text
    assert "Taking prompts in" in page.text
    assert ">None<" not in page.text
    assert client.get("/services/training-or-inference?architecture=llama-3-8b&dtype=int4").status_code == 422
