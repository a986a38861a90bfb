"""Estimates of serving take how a replica is divided, and several nodes, from the form and keep them."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.web.conftest import Send

ASKED = {"kind": "inference", "architecture": "mixtral-8x7b", "prompt_tokens": "512", "output_tokens": "128"}


def test_groups_that_share_experts_are_kept_and_shown(client: FlaskClient, send: Send) -> None:
    splits = {"tensor_parallel": "2", "expert_parallel": "4", "concurrency": "64"}
    sent = send("/estimates", {**ASKED, **splits, "goal": "time", "gpus": "H100-80GB-SXM"})
    assert sent.status_code == 303, sent.text
    page = client.get(sent.headers["Location"]).text
    assert "experts over 4" in page
    again = client.get("/estimates/new", query_string={"like": sent.headers["Location"].rsplit("/", 1)[1]}).text
    assert 'name="expert_parallel"' in again
    assert 'value="4"' in again


def test_experts_that_do_not_divide_are_refused_by_field(send: Send) -> None:
    bad = send("/estimates", {**ASKED, "expert_parallel": "3", "goal": "cost"})
    assert bad.status_code == 422
    assert "does not divide the experts of Mixtral-8x7B, 8" in bad.text


def test_serving_over_nodes_is_estimated(client: FlaskClient, send: Send) -> None:
    fields = {**ASKED, "architecture": "llama-3.1-405b", "nodes": "2", "tensor_parallel": "8", "pipeline_parallel": "2"}
    sent = send("/estimates", {**fields, "goal": "cost", "gpus": "H100-80GB-SXM"})
    assert sent.status_code == 303, sent.text
    page = client.get(sent.headers["Location"]).text
    assert "in 2 nodes" in page
    assert "8 tensor × 2 pipeline" in page
