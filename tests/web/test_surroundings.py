"""What a job takes beside its steps, asked by form and by REST: refused in halves, shown by part, filled in again."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from tests.web.conftest import Send
from tests.web.world import World

FORM = "/estimates/new?kind=training"
JOB = {
    "kind": "training",
    "architecture": "llama-3-8b",
    "dtype": "bf16",
    "goal": "cost",
    "tokens": "300M",
    "sequence_length": "4096",
    "global_batch": "64",
    "method": "lora",
}
AROUND = {
    "feed_rate": "2",
    "evaluate_every": "100",
    "evaluation_samples": "1K",
    "startup_time": "15 min",
    "queue_time": "2 h",
}


def made(client: FlaskClient, send: Send, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The new estimate's id, and its best option by REST."""
    answer = send("/estimates", fields, page=FORM)
    assert answer.status_code == 303, answer.text
    estimate_id = answer.headers["Location"].split("/")[-1]
    found = client.get(f"/api/v1/estimates/{estimate_id}?options=1").json
    return estimate_id, found["options"][0]


def test_the_parts_are_shown_and_add_up(client: FlaskClient, world: World, send: Send) -> None:
    estimate_id, best = made(client, send, JOB | AROUND)
    extras = best["extras"]
    for part in ("evaluation_seconds", "start_up_seconds", "queue_seconds", "steady_steps_seconds"):
        assert extras[part]["mid"] > 0
    assert extras["start_up_seconds"]["mid"] == 900.0
    assert extras["queue_seconds"]["mid"] == 7200.0
    text = client.get(f"/estimates/{estimate_id}").text
    for words in ("Evaluation", "Start up", "Queue", "Steady steps"):
        assert words in text


def test_they_are_filled_in_again(client: FlaskClient, world: World, send: Send) -> None:
    estimate_id, _ = made(client, send, JOB | AROUND)
    form = client.get(f"/estimates/new?like={estimate_id}").text
    assert 'name="evaluate_every"' in form
    assert 'value="2 h"' in form
    assert '<details class="more" open>\n      <summary>Data, evaluation and waiting</summary>' in form


def test_half_an_evaluation_is_refused_by_its_field(world: World, send: Send) -> None:
    answer = send("/estimates", JOB | {"evaluate_every": "100"}, page=FORM)
    assert answer.status_code == 422
    assert "go together" in answer.text


def test_they_do_not_belong_to_inference(world: World, send: Send) -> None:
    fields = {"kind": "inference", "architecture": "llama-3-8b", "prompt_tokens": "100", "output_tokens": "10"}
    answer = send("/estimates", fields | {"queue_time": "1 h"}, page="/estimates/new?kind=inference")
    assert answer.status_code == 422
    assert "does not belong to inference" in answer.text
