"""Services over HTTP: the page with its form, and the API's operation."""

from __future__ import annotations

import gzip
import html
import json
import re
from io import BytesIO

from flask.testing import FlaskClient

from tests.services.test_sizing import ASKED, TRACE
from tests.web.conftest import Send

API = "/api/v1/service-sizes"
QUESTION = {**ASKED, "gpus": ["H100-80GB-SXM"], "offer_kinds": ["on_demand"]}


def test_api_answers_with_options_reasons_and_a_curve(client: FlaskClient) -> None:
    answer = client.post(API, json=QUESTION, query_string={"options": 2, "rejections": 1})
    assert answer.status_code == 200, answer.text
    found = answer.json
    assert len(found["options"]) == 2 < found["num_options"]
    assert len(found["others"]) == 1 < found["num_others"]
    assert found["sentence"].startswith(f"{found['options'][0]['num_gpus']} GPU")
    shares = [point["share"] for point in found["curve"]["points"]]
    assert shares == sorted(shares)
    assert found["options"][0]["found"]["whole"]["p50"] <= found["options"][0]["found"]["whole"]["p99"]


def test_api_takes_a_trace_as_text(client: FlaskClient) -> None:
    answer = client.post(API, json={"architecture": "llama-3-8b", "trace": TRACE, "gpus": ["H100-80GB-SXM"]})
    assert answer.status_code == 200, answer.text
    assert answer.json["demand"]["num_requests"] == 400


def test_api_names_the_field_that_cannot_be_used(client: FlaskClient) -> None:
    answer = client.post(API, json={**QUESTION, "rate": "many"})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "rate"


def test_page_starts_with_a_form_and_its_address_holds_the_question(client: FlaskClient, send: Send) -> None:
    assert 'name="prompt_tokens"' in client.get("/services").text
    sent = send("/services", {**{k: str(v) for k, v in ASKED.items()}, "gpus": "H100-80GB-SXM", "spare": "1"})
    assert sent.status_code == 303
    address = sent.headers["Location"]
    assert "rate=40" in address
    assert "spare=1" in address
    page = client.get(address)
    assert page.status_code == 200
    assert "1 spare) replicas" in page.text
    assert "Latency against load" in page.text
    assert "Why not" in page.text
    assert ">None<" not in page.text


def test_page_answers_a_trace_at_once(client: FlaskClient, send: Send) -> None:
    form = {"architecture": "llama-3-8b", "gpus": "H100-80GB-SXM", "first_token": "1 s"}
    file = (BytesIO(gzip.compress(TRACE.encode())), "trace.csv.gz")
    page = send("/services", {**form, "trace_file": file})
    assert page.status_code == 200, page.text
    assert "400 requests" in page.text
    assert "Cheapest mix of GPU kinds" in page.text
    assert "Proven" in page.text


def test_page_names_bad_fields_and_says_when_nothing_keeps_the_level(client: FlaskClient) -> None:
    asked = {name: str(value) for name, value in ASKED.items()}
    bad = client.get("/services", query_string={**asked, "percentile": "90"})
    assert bad.status_code == 422
    assert "must be 50, 95 or 99" in bad.text
    none = client.get("/services", query_string={**asked, "first_token": "1 ms"})
    assert none.status_code == 200
    assert "Nothing keeps this level" in none.text
    assert "below the floor" in none.text


def test_page_sizes_a_network_by_its_configuration_at_once(client: FlaskClient, send: Send) -> None:
    config = {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8}
    text = json.dumps(config | {"num_hidden_layers": 4, "vocab_size": 1000})
    form = {**{k: str(v) for k, v in ASKED.items()}, "architecture": "llama-3-70b", "gpus": "H100-80GB-SXM"}
    page = send("/services", {**form, "config_file": (BytesIO(text.encode()), "config.json")})
    assert page.status_code == 200, page.text
    assert "Latency against load" in page.text
    assert "llama-3-70b" not in re.sub(r"<select.*?</select>", "", page.text, flags=re.S)
    kept = re.search(r'<textarea[^>]*name="config"[^>]*>(.*?)</textarea>', page.text, re.S)
    assert kept is not None, "the next answer needs it again"
    assert html.unescape(kept[1]) == text
    assert "is not JSON" in send("/services", {**form, "config": "{no"}).text
