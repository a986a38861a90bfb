"""Networks for pictures, encoder–decoders and adapters, asked by form and by REST, shown and filled in again."""

from __future__ import annotations

import html
import io
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from planner.jobs.presets import PICTURES
from tests.web.conftest import Send
from tests.web.world import World


def made(send: Send, fields: dict[str, Any], page: str) -> str:
    """The id of the new estimate."""
    answer = send("/estimates", fields, page=page)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].split("/")[-1]


def test_a_network_for_pictures_is_asked_for_in_pictures(client: FlaskClient, send: Send, world: World) -> None:
    page = "/estimates/new?preset=train-resnet-50"
    form = client.get(page).text
    assert "Pictures to train on" in form
    assert "Tokens per sequence" not in form
    fields = {"kind": "training", "architecture": "swin-t", "dtype": "bf16", "goal": "cost", "recompute": "none"}
    estimate = made(send, {**fields, "pictures": "1.28M", "global_batch": "256", "image_size": "224"}, page)
    shown = client.get(f"/estimates/{estimate}").text
    assert "1,280,000" in shown
    assert "1.28 M pictures in steps of 256" in shown
    again = client.get(f"/estimates/new?like={estimate}").text
    assert 'value="1.28M"' in again
    assert 'value="swin-t" selected' in again


def test_a_size_that_is_not_the_published_one_comes_back(client: FlaskClient, world: World) -> None:
    asked = {"kind": "training", "architecture": "vit-b-16", "pictures": 1e6, "global_batch": 64, "image_size": 384}
    answer = client.post("/api/v1/estimates", json=asked)
    assert answer.status_code == 201, answer.text
    estimate = answer.json["id"]
    form = client.get(f"/estimates/new?like={estimate}").text
    assert 'name="image_size"' in form
    assert 'value="384"' in form


def test_an_encoder_decoder_says_what_it_reads_and_writes(client: FlaskClient, send: Send, world: World) -> None:
    page = "/estimates/new?preset=finetune-t5-base"
    assert "Tokens written per sequence" in client.get(page).text
    fields = {"kind": "training", "architecture": "t5-base", "dtype": "bf16", "goal": "cost", "tokens": "10M"}
    lengths = {"sequence_length": "512", "target_length": "64", "global_batch": "32", "method": "full"}
    estimate = made(send, {**fields, **lengths}, page)
    assert "steps of 32 × 512 read and 64 written" in client.get(f"/estimates/{estimate}").text


def test_adapters_are_chosen_in_the_form_and_told(client: FlaskClient, send: Send, world: World) -> None:
    fields = {"kind": "training", "architecture": "llama-3-8b", "dtype": "bf16", "goal": "cost", "tokens": "10M"}
    more = {"sequence_length": "2048", "global_batch": "8", "method": "lora", "lora_rank": "64"}
    page = "/estimates/new?kind=training"
    estimate = made(send, {**fields, **more, "lora_targets": "attention"}, page)
    shown = client.get(f"/estimates/{estimate}").text
    assert "queries, keys and values" in shown
    again = client.get(f"/estimates/new?like={estimate}").text
    assert 'value="attention" selected' in again
    assert 'value="64"' in again


def test_what_belongs_to_the_other_kind_is_refused_beside_its_field(send: Send, world: World) -> None:
    fields = {"kind": "training", "architecture": "resnet-50", "dtype": "bf16", "goal": "cost", "global_batch": "8"}
    answer = send("/estimates", {**fields, "tokens": "1M"}, page="/estimates/new?preset=train-resnet-50")
    assert answer.status_code == 422
    assert "fault-pictures" in answer.text


def test_a_configuration_of_an_encoder_decoder_is_read_from_a_file(
    client: FlaskClient, send: Send, world: World
) -> None:
    config = {"model_type": "t5", "d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4, "num_layers": 2}
    sent = (io.BytesIO(json.dumps({**config, "vocab_size": 1000}).encode()), "config.json")
    fields = {"kind": "training", "dtype": "bf16", "goal": "cost", "tokens": "1M", "sequence_length": "128"}
    estimate = made(send, {**fields, "global_batch": "8", "config_file": sent}, "/estimates/new?kind=training")
    assert "128 read and 128 written" in client.get(f"/estimates/{estimate}").text


def test_rest_lists_the_networks_for_pictures_with_published_and_counted_weights(client: FlaskClient) -> None:
    listed = client.get("/api/v1/presets").json["pictures"]
    assert [found["key"] for found in listed] == list(PICTURES)
    for found in listed:
        assert found["num_parameters"] == pytest.approx(found["published_parameters"], rel=0.015)
        assert found["source"]


def test_pictures_a_second_and_the_cost_of_a_thousand_are_shown(client: FlaskClient, send: Send, world: World) -> None:
    page = "/estimates/new?preset=classify-resnet-50"
    form = client.get(page).text
    assert "Pictures in all" in form
    assert "Tokens in a prompt" not in form
    fields = {"kind": "inference", "architecture": "resnet-50", "dtype": "fp16", "goal": "cost"}
    estimate = made(send, {**fields, "answer_within": "20 ms"}, page)
    shown = client.get(f"/estimates/{estimate}").text
    assert "Pictures per second" in shown
    assert "per thousand" in shown
    assert "Alone, in a batch of 1" in shown
    assert "Tokens" not in shown.partition("What was asked")[0]
    assert "each within 20 ms" in shown
    again = client.get(f"/estimates/new?like={estimate}").text
    assert 'value="20 ms"' in again
    assert "pictures/s" in client.get("/estimates").text


def test_rest_gives_frames_cameras_and_the_floor(client: FlaskClient, world: World) -> None:
    asked = {"kind": "inference", "architecture": "yolov5m", "frame_rate": 30, "answer_within": "20 ms"}
    answer = client.post("/api/v1/estimates", json=asked)
    assert answer.status_code == 201, answer.text
    best = answer.json["options"][0]
    cameras, rate = best["extras"]["concurrency"], best["extras"]["requests_per_second"]
    assert cameras["unit"] == "cameras"
    assert rate["mid"] == pytest.approx(30 * cameras["mid"])
    assert best["cost_per_thousand_requests"]["unit"] == "USD/thousand"
    below = client.post("/api/v1/estimates", json={**asked, "answer_within": 2e-5})
    assert below.json["num_options"] == 0
    assert "is below the floor" in below.json["rejections"][0]["reason"]


def test_the_form_of_a_network_that_draws_asks_for_its_steps(client: FlaskClient, send: Send, world: World) -> None:
    page = "/estimates/new?preset=draw-sdxl"
    assert "Steps of a drawing" in client.get(page).text
    fields = {"kind": "inference", "architecture": "sdxl", "dtype": "fp16", "goal": "cost"}
    refused = send("/estimates", fields, page=page)
    assert refused.status_code == 422
    assert "fault-steps" in refused.text
    shown = client.get(f"/estimates/{made(send, {**fields, 'steps': '20'}, page)}").text
    assert "in 20 steps" in shown
    assert "Drawings per second" in shown


def test_an_encoder_embeds_texts_by_its_form(client: FlaskClient, send: Send, world: World) -> None:
    page = "/estimates/new?preset=embed-bert-base"
    fields = {"kind": "inference", "architecture": "bert-base", "dtype": "fp16", "goal": "cost", "requests": "1M"}
    shown = client.get(f"/estimates/{made(send, {**fields, 'prompt_tokens': '256'}, page)}").text
    assert "1 M texts of 256 tokens" in shown
    assert "Texts per second" in shown
    assert "Cost of a thousand" in shown


def test_an_estimate_from_a_configuration_is_changed_with_all_that_it_said(client: FlaskClient) -> None:
    config = {"model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    config |= {"num_hidden_layers": 12, "vocab_size": 1000, "sliding_window": 32, "sliding_window_pattern": 6}
    asked = {"kind": "inference", "config": json.dumps(config), "prompt_tokens": 64, "output_tokens": 8}
    made = client.post("/api/v1/estimates", json=asked).get_json()
    assert made["job"]["architecture"]["windowed_layers"] == 10
    form = client.get(f"/estimates/new?like={made['id']}").text
    kept = re.search(r'<textarea[^>]*name="config"[^>]*>(.*?)</textarea>', form, re.S)
    assert kept is not None
    assert json.loads(html.unescape(kept[1])) == config
    assert 'name="layers" value=""' in form


def test_rest_says_which_shapes_were_not_read_from_the_source_they_name(client: FlaskClient) -> None:
    listed = {found["key"]: found for found in client.get("/api/v1/presets").json["architectures"]}
    assert listed["llama-3-8b"]["was_read"]
    assert listed["dbrx"]["was_read"]
    assert not listed["command-r-plus"]["was_read"]
