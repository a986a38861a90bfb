"""Memory items against figures counted by hand and published ones."""

from __future__ import annotations

import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.footprint import (
    Split,
    activation_bytes,
    inference_bytes,
    local_parameters,
    logits_bytes,
    training_bytes,
    weight_bytes,
)
from planner.jobs.job import Recompute, TrainingMethod
from planner.jobs.presets import ARCHITECTURES
from tests.builders import transformer

LLAMA = ARCHITECTURES["llama-3-8b"].architecture


def test_mixed_precision_adam_takes_sixteen_bytes_per_weight() -> None:
    """Rajbhandari et al. 2020, section 3.1: 2 + 2 + 12 bytes, 120 GB for 7.5 B weights."""
    items = training_bytes(LLAMA, 128, Dtype.BF16, Split(micro_batch=1.0))
    states = items["weights"] + items["gradients"] + items["optimizer states"]
    assert states == pytest.approx(16 * LLAMA.num_parameters)
    plain = training_bytes(LLAMA, 128, Dtype.FP32, Split(micro_batch=1.0))
    assert plain["weights"] + plain["gradients"] + plain["optimizer states"] == pytest.approx(16 * LLAMA.num_parameters)


def test_sharding_over_64_gpus_gives_the_zero_papers_figures() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5 B weights on 64 GPUs take 31.4 GB (states sharded) and 1.9 GB (all)."""
    model = transformer(num_layers=36, hidden=4096, num_heads=32, num_kv_heads=32, ffn=16384, vocab=50257, gated=False)
    scale = 7.5e9 / model.num_parameters
    states = Split(micro_batch=1.0, data_parallel=64.0, shard_optimizer=1.0)
    every = Split(micro_batch=1.0, data_parallel=64.0, shard_optimizer=1.0, shard_weights=1.0)
    kept = ("weights", "gradients", "optimizer states")
    first, last = (training_bytes(model, 128, Dtype.BF16, split) for split in (states, every))
    assert scale * sum(first[name] for name in kept) == pytest.approx(31.4e9, rel=0.01)
    assert scale * sum(last[name] for name in kept) == pytest.approx(1.9e9, rel=0.02)


def test_activations_of_a_classic_block_take_34_bytes_per_hidden_and_token() -> None:
    """Korthikanti et al. 2022, equation 2 counts 34·s·b·h without scores, 10 of it masks and inputs of dropouts and of
    the softmax that fused attention without dropout does not keep; ours is 4h + 8h + 10h elements for GELU blocks."""
    h = 1024
    classic = transformer(num_layers=1, hidden=h, num_heads=16, num_kv_heads=16, ffn=4 * h, gated=False)
    per_token = activation_bytes(classic, 1.0, 1.0, Dtype.BF16, Recompute.NONE)
    assert per_token == 2 * (4 * h + 4 * h + 2 * 4 * h) + 4 * 16


def test_activations_of_llama_3_8b_take_139_kilobytes_per_token_and_block() -> None:
    per_token = activation_bytes(LLAMA, 1.0, 1.0, Dtype.BF16, Recompute.NONE) / 32
    assert per_token == pytest.approx(139e3, rel=0.02)


def test_full_recomputation_keeps_inputs_and_one_block() -> None:
    full = activation_bytes(LLAMA, 2.0, 1000.0, Dtype.BF16, Recompute.FULL)
    one_block = activation_bytes(LLAMA, 2.0, 1000.0, Dtype.BF16, Recompute.NONE) / 32
    assert full == 2000 * 32 * 2 * 4096 + one_block


def test_logits_of_16k_tokens_on_a_large_vocabulary_take_21_gigabytes() -> None:
    assert logits_bytes(LLAMA, 1.0, 16384.0, Dtype.BF16) == pytest.approx(21e9, rel=0.01)


def test_adapters_leave_the_frozen_weights_without_gradients_and_optimizer_states() -> None:
    items = training_bytes(LLAMA, 128, Dtype.BF16, Split(1.0), method=TrainingMethod.LORA)
    assert items["weights"] == pytest.approx(2 * (LLAMA.num_parameters + 41_943_040))
    assert items["gradients"] == pytest.approx(2 * 41_943_040)
    assert items["optimizer states"] == pytest.approx(12 * 41_943_040)


def test_served_weights_keep_embedding_and_head_in_sixteen_bits() -> None:
    ends = 2 * 128256 * 4096
    assert weight_bytes(LLAMA, Dtype.BF16) == 2 * LLAMA.num_parameters
    assert weight_bytes(LLAMA, Dtype.FP8) == LLAMA.num_parameters - ends + 2 * ends


def test_key_value_heads_are_copied_once_there_are_more_gpus_than_heads() -> None:
    assert local_parameters(LLAMA, 8.0) == LLAMA.num_parameters / 8
    extra = local_parameters(LLAMA, 16.0) - LLAMA.num_parameters / 16
    assert extra == 2 * 32 * 4096 * 128 * 0.5


def test_the_cache_grows_with_sequences_and_tokens() -> None:
    items = inference_bytes(LLAMA, Dtype.BF16, Dtype.BF16, 10.0, 2048, 1024)
    assert items["key-value cache"] == 10 * 2048 * 131_072
