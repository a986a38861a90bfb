"""Configurations as published beside open weights, and what is said of those that cannot be used."""

from __future__ import annotations

import json

import pytest

from planner.jobs.huggingface import architecture_from_config, picture_from_config
from planner.jobs.presets import ARCHITECTURES, PICTURES

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


T5_BASE = {  # as published, what is not read left out
    "model_type": "t5",
    "d_ff": 3072,
    "d_kv": 64,
    "d_model": 768,
    "is_encoder_decoder": True,
    "n_positions": 512,
    "num_heads": 12,
    "num_layers": 12,
    "vocab_size": 32128,
}
FLAN_T5_XL = T5_BASE | {
    "d_ff": 5120,
    "d_model": 2048,
    "feed_forward_proj": "gated-gelu",
    "num_decoder_layers": 24,
    "num_heads": 32,
    "num_layers": 24,
    "tie_word_embeddings": False,
}
BART_LARGE = {
    "model_type": "bart",
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layers": 12,
    "is_encoder_decoder": True,
    "max_position_embeddings": 1024,
    "num_hidden_layers": 12,
    "vocab_size": 50265,
}


@pytest.mark.parametrize(
    ("config", "key"), [(T5_BASE, "t5-base"), (FLAN_T5_XL, "flan-t5-xl"), (BART_LARGE, "bart-large")]
)
def test_an_encoder_decoder_is_read_with_both_halves(config: dict, key: str) -> None:
    named = ARCHITECTURES[key].architecture
    found = architecture_from_config(json.dumps(config))
    assert (found.encoder_layers, found.num_layers) == (named.encoder_layers, named.num_layers)
    assert found.num_parameters == named.num_parameters
    assert found.max_positions == named.max_positions


def test_a_memory_of_the_segment_before_is_read() -> None:
    config = {"model_type": "transfo-xl", "d_model": 1024, "d_head": 64, "d_inner": 4096, "n_head": 16, "n_layer": 18}
    config |= {"vocab_size": 267735, "mem_len": 1600, "div_val": 4, "cutoffs": [20000, 40000, 200000]}
    found = architecture_from_config(json.dumps(config))
    assert (found.segment_memory, found.cutoffs, found.cutoff_divisor) == (1600, (20000, 40000, 200000), 4)
    assert found.num_parameters / 1e6 == pytest.approx(284, rel=0.01)
    with pytest.raises(ValueError, match="does not state cutoffs"):
        architecture_from_config(json.dumps({**config, "cutoffs": None}))


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"model_type": "swin", "embed_dim": 128, "depths": [2, 2, 18, 2], "image_size": 384}, ("swin-b", 384)),
        ({"model_type": "vit", "num_hidden_layers": 12, "hidden_size": 768, "patch_size": 16}, ("vit-b-16", None)),
        ({"model_type": "resnet", "depths": [3, 4, 6, 3]}, ("resnet-50", None)),
        (LLAMA_3_8B, None),
    ],
)
def test_a_network_for_pictures_is_known_by_its_configuration(config: dict, found: tuple | None) -> None:
    assert picture_from_config(json.dumps(config)) == found
    assert found is None or found[0] in PICTURES


def test_a_picture_network_of_another_shape_is_not_taken_for_a_known_one() -> None:
    with pytest.raises(ValueError, match="no swin of that shape is known"):
        picture_from_config(json.dumps({"model_type": "swin", "embed_dim": 128, "depths": [1, 1, 1, 1]}))


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
