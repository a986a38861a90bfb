"""Configurations as published beside open weights, and what is said of those that cannot be used."""

from __future__ import annotations

import json

import pytest

from planner.jobs.huggingface import architecture_from_config
from planner.jobs.presets import ARCHITECTURES

LLAMA_3_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}
GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}
QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "moe_intermediate_size": 768,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "vocab_size": 151936,
}


@pytest.mark.parametrize(("config", "key"), [(LLAMA_3_8B, "llama-3-8b"), (GPT2, "gpt2"), (QWEN3_MOE, "qwen3-30b-a3b")])
def test_a_published_configuration_has_the_published_number_of_parameters(config: dict, key: str) -> None:
    named = ARCHITECTURES[key]
    found = architecture_from_config(json.dumps(config))
    assert found.num_parameters == named.architecture.num_parameters
    assert found.num_active_parameters == named.architecture.num_active_parameters
    assert found.gated == named.architecture.gated
    assert found.max_positions == named.architecture.max_positions


def test_the_text_part_of_a_model_for_several_kinds_of_input_is_read() -> None:
    assert architecture_from_config(json.dumps({"text_config": LLAMA_3_8B})).hidden == 4096


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no", "is not JSON"),
        ("[]", "is a JSON object"),
        ('{"hidden_size": 8}', "does not state num_hidden_layers, num_attention_heads, vocab_size"),
        (json.dumps({**LLAMA_3_8B, "hidden_size": "wide"}), "hidden_size must be a whole number"),
        (json.dumps({**LLAMA_3_8B, "hidden_size": 4097}), "must divide hidden"),
        (" " * 300_000, "at most 200,000 characters"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        architecture_from_config(text)
