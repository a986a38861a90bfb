"""Configurations as published beside open weights, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.blocks import block_work
from planner.jobs.huggingface import architecture_from_config, picture_from_config
from planner.jobs.presets import ARCHITECTURES, PICTURES
from planner.jobs.work import Pass, total_flops

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


# Configurations as published beside their weights, what is not read left out; millions of parameters as their model
# cards state them, all and those that a token passes.
PUBLISHED = {
    "deepseek-v3": (
        {"model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048}
        | {"num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280}
        | {"n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "first_k_dense_replace": 3}
        | {"moe_layer_freq": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "v_head_dim": 128}
        | {"qk_rope_head_dim": 64, "max_position_embeddings": 163840, "hidden_act": "silu"},
        671_000,
        37_000,
    ),
    "deepseek-v2-lite": (
        {"model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944, "moe_intermediate_size": 1408}
        | {"num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 102400}
        | {"n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "first_k_dense_replace": 1}
        | {"kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64}
        | {"v_head_dim": 128, "max_position_embeddings": 163840},
        15_700,
        2_400,
    ),
    "qwen1.5-moe-a2.7b": (
        {"model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632, "moe_intermediate_size": 1408}
        | {"num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 151936}
        | {"num_experts": 60, "num_experts_per_tok": 4, "shared_expert_intermediate_size": 5632}
        | {"decoder_sparse_step": 1, "use_sliding_window": False, "sliding_window": 32768, "hidden_act": "silu"},
        14_300,
        2_700,
    ),
    "dbrx": (
        {"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768}
        | {"vocab_size": 100352, "attn_config": {"kv_n_heads": 8, "clip_qkv": 8}, "tie_word_embeddings": False}
        | {"ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}},
        132_000,
        36_000,
    ),
    "llama-4-scout": (
        {
            "model_type": "llama4",
            "vision_config": {"hidden_size": 1408},
            "text_config": {"model_type": "llama4_text"}
            | {"hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_hidden_layers": 48}
            | {"num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048}
            | {"num_local_experts": 16, "num_experts_per_tok": 1, "interleave_moe_layer_step": 1},
        },
        109_000,
        17_000,
    ),
    "llama-4-maverick": (
        {
            "text_config": {"model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192}
            | {"intermediate_size_mlp": 16384, "num_hidden_layers": 48, "num_attention_heads": 40, "head_dim": 128}
            | {"num_key_value_heads": 8, "vocab_size": 202048, "num_local_experts": 128, "num_experts_per_tok": 1}
            | {"interleave_moe_layer_step": 2}
        },
        400_000,
        17_000,
    ),
    "gpt-oss-120b": (
        {"model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36}
        | {"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088}
        | {"num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128, "hidden_act": "silu"}
        | {"layer_types": ["sliding_attention", "full_attention"] * 18, "max_position_embeddings": 131072},
        117_000,
        5_100,
    ),
    "gemma-2-9b": (
        {"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42}
        | {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000}
        | {"sliding_window": 4096, "max_position_embeddings": 8192, "hidden_activation": "gelu_pytorch_tanh"},
        9_240,
        None,
    ),
    "gemma-3-4b": (
        {
            "model_type": "gemma3",
            "vision_config": {"hidden_size": 1152},
            "text_config": {"model_type": "gemma3_text"}
            | {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024},
        },
        3_880,
        None,
    ),
    "falcon-7b": (
        {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71}
        | {"multi_query": True, "new_decoder_architecture": False, "vocab_size": 65024},
        6_920,
        None,
    ),
    "falcon-40b": (
        {"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128}
        | {"multi_query": True, "new_decoder_architecture": True, "num_kv_heads": 8, "vocab_size": 65024},
        41_300,
        None,
    ),
    "gpt-neox-20b": (
        {"model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24576, "num_hidden_layers": 44}
        | {"num_attention_heads": 64, "vocab_size": 50432, "tie_word_embeddings": False, "hidden_act": "gelu_fast"},
        20_550,
        None,
    ),
    "bloom-176b": (
        {"model_type": "bloom", "n_embed": 14336, "n_layer": 70, "num_attention_heads": 112, "vocab_size": 250880},
        176_200,
        None,
    ),
    "chatglm3-6b": (
        {"model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_layers": 28, "kv_channels": 128}
        | {"num_attention_heads": 32, "multi_query_attention": True, "multi_query_group_num": 2}
        | {"padded_vocab_size": 65024, "seq_length": 8192},
        6_240,
        None,
    ),
    "starcoder": (
        {
            "model_type": "gpt_bigcode",
            "n_embd": 6144,
            "n_head": 48,
            "n_inner": 24576,
            "n_layer": 40,
            "n_positions": 8192,
        }
        | {"multi_query": True, "vocab_size": 49152, "activation_function": "gelu_pytorch_tanh"},
        15_500,
        None,
    ),
    "mpt-7b": (
        {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "max_seq_len": 2048, "vocab_size": 50432}
        | {"attn_config": {"attn_impl": "torch", "alibi": True}, "expansion_ratio": 4},
        6_650,
        None,
    ),
    "phi-3-mini": (
        {"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064, "sliding_window": 2047}
        | {"max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": False},
        3_820,
        None,
    ),
    "modernbert-base": (
        {"model_type": "modernbert", "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22}
        | {"num_attention_heads": 12, "vocab_size": 50368, "local_attention": 128, "global_attn_every_n_layers": 3}
        | {"max_position_embeddings": 8192},
        149,
        None,
    ),
    "albert-base-v2": (
        {"model_type": "albert", "embedding_size": 128, "hidden_size": 768, "intermediate_size": 3072}
        | {"num_attention_heads": 12, "num_hidden_groups": 1, "num_hidden_layers": 12, "vocab_size": 30000}
        | {"inner_group_num": 1, "hidden_act": "gelu_new", "max_position_embeddings": 512},
        11.68,
        None,
    ),
    "distilbert": (
        {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_heads": 12, "n_layers": 6, "vocab_size": 30522},
        66.4,
        None,
    ),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_configuration_of_any_family_has_its_published_weights(name: str) -> None:
    config, millions, active = PUBLISHED[name]
    found = architecture_from_config(json.dumps(config))
    assert found.num_parameters / 1e6 == pytest.approx(millions, rel=0.025)
    if active is not None:
        assert found.num_active_parameters / 1e6 == pytest.approx(active, rel=0.12)


def _read(name: str, **changes: object) -> Transformer:
    return architecture_from_config(json.dumps(PUBLISHED[name][0] | changes))


def test_latent_attention_is_that_of_the_known_network() -> None:
    known = ARCHITECTURES["deepseek-v3"].architecture
    assert replace(_read("deepseek-v3"), name=known.name) == known


def test_leading_and_listed_layers_without_experts_are_counted() -> None:
    assert (_read("deepseek-v2-lite").dense_layers, _read("deepseek-v2-lite").dense_ffn) == (1, 10944)
    assert (_read("llama-4-maverick").dense_layers, _read("llama-4-maverick").dense_ffn) == (24, 16384)
    assert _read("qwen1.5-moe-a2.7b", mlp_only_layers=[0, 3]).dense_layers == 2
    assert _read("deepseek-v3", moe_layer_freq=[0] * 5 + [1] * 56).dense_layers == 5


@pytest.mark.parametrize(
    ("name", "window", "layers"),
    [
        ("gpt-oss-120b", 128, 18),
        ("gemma-2-9b", 4096, 21),
        ("gemma-3-4b", 1024, 29),
        ("phi-3-mini", 2047, 32),
        ("modernbert-base", 128, 14),
        ("qwen1.5-moe-a2.7b", 0, 0),  # states a window that it does not use
    ],
)
def test_windows_are_those_of_the_layers_that_have_them(name: str, window: int, layers: int) -> None:
    assert (_read(name).window, _read(name).windowed_layers) == (window, layers)


def test_layers_above_the_first_look_back_a_window_where_the_configuration_says_so() -> None:
    config = LLAMA_3_8B | {"use_sliding_window": True, "sliding_window": 1024, "max_window_layers": 20}
    assert architecture_from_config(json.dumps(config)).windowed_layers == 12


def test_a_part_of_a_larger_model_is_named_so() -> None:
    assert _read("gemma-3-4b").name == "gemma3_text, text part"
    assert _read("llama-4-scout").name == "llama4_text, text part"


def test_queries_share_keys_as_each_family_says() -> None:
    assert [_read(name).num_kv_heads for name in ("falcon-7b", "falcon-40b", "chatglm3-6b", "starcoder")] == [
        1,
        8,
        2,
        1,
    ]


def test_shared_layers_work_as_often_as_others_and_weigh_once() -> None:
    shared = _read("albert-base-v2")
    apart = replace(shared, layer_groups=0)
    assert apart.num_parameters - shared.num_parameters == 11 * (4 * 768**2 + 2 * 768 * 3072)
    through = Pass(4.0, 128.0, Dtype.FP16)
    assert total_flops(block_work(apart, through)) == total_flops(block_work(shared, through))


def test_a_sibling_of_unknown_name_is_read_by_what_it_states() -> None:
    config = {**LLAMA_3_8B, "model_type": "something_new", "hidden_act": "relu2"}
    assert not architecture_from_config(json.dumps(config)).gated
    assert architecture_from_config(json.dumps(config | {"hidden_act": "silu"})).gated


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no", "is not JSON"),
        ("[]", "is a JSON object"),
        ('{"hidden_size": 8}', "does not state num_hidden_layers, num_attention_heads, vocab_size"),
        (json.dumps({**LLAMA_3_8B, "hidden_size": "wide"}), "hidden_size must be a whole number"),
        (json.dumps({**LLAMA_3_8B, "hidden_size": 4097}), "must divide hidden"),
        (" " * 300_000, "at most 200,000 characters"),
        (json.dumps({**LLAMA_3_8B, "num_hidden_layers": 10**12}), "num_hidden_layers must be at most 10,000"),
        (json.dumps({**LLAMA_3_8B, "vocab_size": 10**400}), "vocab_size must be at most"),
        (json.dumps({**LLAMA_3_8B, "vocab_size": float("inf")}), "vocab_size must be a whole number"),
        (json.dumps({**LLAMA_3_8B, "vocab_size": float("nan")}), "vocab_size must be a whole number"),
        (json.dumps({**LLAMA_3_8B, "num_attention_heads": [8, 16]}), "num_attention_heads must be a whole number"),
        (json.dumps({**LLAMA_3_8B, "num_local_experts": 8}), "not how many a token picks"),
        (json.dumps({**LLAMA_3_8B, "kv_lora_rank": 512}), "and not qk_rope_head_dim"),
        (json.dumps({**LLAMA_3_8B, "model_type": "jamba"}), "jamba has layers that carry a state"),
        (json.dumps({**LLAMA_3_8B, "layer_types": ["linear_attention"] * 32}), "carry a state .* .linear_attention."),
        ('{"model_type": "mamba", "hidden_size": 768, "state_size": 16}', "mamba has layers that carry a state"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        architecture_from_config(text)
