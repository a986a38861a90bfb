"""FLOPs and bytes against layers counted by hand and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.blocks import attended_pairs, attention_work, block_work, touched_experts
from planner.jobs.job import Recompute, TrainingMethod
from planner.jobs.operations import (
    forward_work,
    kv_bytes_per_token,
    lora_parameters,
    model_forward_flops,
    model_training_flops,
    training_work,
)
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.work import Pass, WorkKind, total_bytes, total_flops
from tests.builders import transformer

LLAMA = ARCHITECTURES["llama-3-8b"].architecture
GPT3 = ARCHITECTURES["gpt-3-175b"].architecture


def _named(works, name):
    return next(work for work in works if work.name == name)


def test_products_of_a_llama_block_have_the_shapes_counted_by_hand() -> None:
    works = block_work(LLAMA, Pass(2.0, 1024.0, Dtype.BF16))
    shapes = {work.name: (work.rows, work.columns, work.inner) for work in works if work.kind is WorkKind.GEMM}
    assert shapes == {
        "query, key, value": (2048, 4096 + 2 * 1024, 4096),
        "attention output": (2048, 4096, 4096),
        "feed-forward up": (2048, 2 * 14336, 4096),
        "feed-forward down": (2048, 4096, 14336),
    }
    assert all(work.count == 32 for work in works)


def test_tensor_parallel_divides_products_and_keeps_one_key_value_head_per_gpu() -> None:
    works = block_work(LLAMA, Pass(1.0, 128.0, Dtype.BF16, tensor_parallel=16.0))
    assert _named(works, "query, key, value").columns == (2 + 2 * 1) * 128  # 8 key-value heads over 16 GPUs: one each
    assert _named(works, "feed-forward up").columns == 2 * 14336 / 16
    assert _named(works, "attention output").inner == 2 * 128


def test_forward_flops_of_dense_and_grouped_blocks_add_up_to_the_closed_count() -> None:
    for name in ("gpt2", "llama-3-8b", "llama-2-70b", "qwen2.5-7b", "bert-base"):
        architecture = ARCHITECTURES[name].architecture
        works = forward_work(architecture, Pass(3.0, 256.0, Dtype.BF16))
        products = [work for work in works if work.kind is not WorkKind.MEMORY]
        assert total_flops(products) == pytest.approx(model_forward_flops(architecture, 3, 256), rel=1e-12), name


def test_training_flops_agree_with_megatrons_closed_form() -> None:
    """Narayanan et al. 2021, equation 3 without recomputation: 72·B·s·l·h²·(1 + s/6h + V/12lh), full attention."""
    batch, s, layers, h, vocab = 4, 2048, 24, 2304, 51200
    architecture = transformer(
        num_layers=layers,
        hidden=h,
        num_heads=24,
        num_kv_heads=24,
        ffn=4 * h,
        vocab=vocab,
        gated=False,
        causal=False,
        max_positions=None,
    )
    closed = 72 * batch * s * layers * h**2 * (1 + s / (6 * h) + vocab / (12 * layers * h))
    assert model_training_flops(architecture, batch, s) == pytest.approx(closed, rel=1e-12)


def test_gpt3_trains_at_six_flops_per_weight_and_token_and_a_little_for_attention() -> None:
    """Brown et al. 2020, table D.1: 3.14e23 FLOPs for 300 B tokens by 6·N."""
    per_token = float(model_training_flops(GPT3, 1, 2048)) / 2048
    weights = GPT3.num_parameters  # the embedding is tied to the head, so it is multiplied once
    attention = 6 * GPT3.num_layers * GPT3.hidden * 2049
    assert per_token == pytest.approx(6 * weights + attention, rel=1e-9)
    assert 300e9 * per_token == pytest.approx(3.14e23, rel=0.03)


def test_causal_attention_counts_each_pair_once() -> None:
    causal, full = transformer(causal=True), transformer(causal=False)
    assert attended_pairs(causal, 4.0) == 1 + 2 + 3 + 4
    assert attended_pairs(full, 4.0) == 16
    assert attended_pairs(causal, 1.0, 9.0) == 10
    one_by_one = sum(float(attended_pairs(causal, 1.0, float(seen))) for seen in range(50))
    assert one_by_one == attended_pairs(causal, 50.0)


def test_decoding_reads_every_weight_once_and_the_whole_cache() -> None:
    works = forward_work(LLAMA, Pass(1.0, 1.0, Dtype.BF16, context=1000.0))
    weights = sum(float(work.count * work.columns * work.inner) * 2 for work in works if work.kind is WorkKind.GEMM)
    assert weights == pytest.approx(2 * (LLAMA.num_parameters - LLAMA.vocab * LLAMA.hidden), rel=1e-9)
    cache = float(attention_work(LLAMA, Pass(1.0, 1.0, Dtype.BF16, context=1000.0)).num_bytes) * 32
    assert cache == pytest.approx(1001 * 131_072 + 32 * 2 * 2 * 4096, rel=1e-9)


def test_cache_of_llama_3_8b_takes_128_kib_per_token() -> None:
    assert kv_bytes_per_token(LLAMA, Dtype.BF16) == 131_072
    assert kv_bytes_per_token(LLAMA, Dtype.FP8) == 65_536
    assert kv_bytes_per_token(LLAMA, Dtype.BF16, 16.0) == 131_072 / 8


def test_eight_bit_blocks_halve_the_weight_traffic_but_not_that_of_the_head() -> None:
    wide = forward_work(LLAMA, Pass(1.0, 1.0, Dtype.BF16))
    narrow = forward_work(LLAMA, Pass(1.0, 1.0, Dtype.FP8))
    assert _named(narrow, "output head").dtype is Dtype.BF16
    assert _named(narrow, "output head").num_bytes == _named(wide, "output head").num_bytes
    down = _named(wide, "feed-forward down"), _named(narrow, "feed-forward down")
    assert down[0].num_bytes - down[1].num_bytes == 4096 * 14336


def test_backward_takes_two_products_per_product_and_half_more_than_twice_the_attention() -> None:
    work = training_work(LLAMA, Pass(1.0, 512.0, Dtype.BF16), float(LLAMA.num_parameters))
    forward = total_flops(part for part in work.forward if part.kind is WorkKind.GEMM)
    backward = total_flops(part for part in work.backward if part.kind is WorkKind.GEMM)
    assert backward == pytest.approx(2 * forward)
    attention = [
        total_flops(part for part in phase if part.kind is WorkKind.ATTENTION)
        for phase in (work.forward, work.backward)
    ]
    assert attention[1] == pytest.approx(2.5 * attention[0])


def test_recomputation_repeats_the_blocks_or_attention_alone() -> None:
    through = Pass(1.0, 512.0, Dtype.BF16)
    none, selective, full = (
        training_work(LLAMA, through, 1.0, recompute).recompute
        for recompute in (Recompute.NONE, Recompute.SELECTIVE, Recompute.FULL)
    )
    assert none == ()
    assert total_flops(selective) == total_flops([attention_work(LLAMA, through)])
    assert total_flops(full) == total_flops(block_work(LLAMA, through))


def test_frozen_weights_get_no_weight_gradient() -> None:
    through = Pass(1.0, 512.0, Dtype.BF16)
    lora = training_work(LLAMA, through, 1.0, method=TrainingMethod.LORA)
    products = total_flops(part for part in lora.backward if part.kind is WorkKind.GEMM)
    assert products == pytest.approx(total_flops(p for p in lora.forward if p.kind is WorkKind.GEMM))


def test_adapters_of_llama_3_8b_at_rank_16_have_42_million_weights() -> None:
    """32 blocks · rank 16 · (inputs + outputs): q and o 8,192 each, k and v 5,120 each, three of 18,432."""
    assert 32 * 16 * (2 * 8192 + 2 * 5120 + 3 * 18432) == 41_943_040
    assert lora_parameters(LLAMA, 16) == 41_943_040


def test_few_rows_touch_few_experts_and_many_touch_all() -> None:
    mixtral = ARCHITECTURES["mixtral-8x7b"].architecture
    assert touched_experts(mixtral, 1.0) == pytest.approx(2.0)
    assert touched_experts(mixtral, 2.0) == pytest.approx(8 * (1 - 0.75**2))
    assert touched_experts(mixtral, 4096.0) == pytest.approx(8.0)
    works = forward_work(mixtral, Pass(1.0, 64.0, Dtype.BF16))
    products = total_flops(work for work in works if work.kind is not WorkKind.MEMORY)
    assert products == pytest.approx(model_forward_flops(mixtral, 1, 64), rel=1e-9)


def test_arrays_of_layouts_give_what_single_ones_give() -> None:
    batches = np.array([1.0, 4.0, 16.0])
    together = total_bytes(forward_work(LLAMA, Pass(batches, 128.0, Dtype.BF16)))
    alone = [total_bytes(forward_work(LLAMA, Pass(float(batch), 128.0, Dtype.BF16))) for batch in batches]
    assert np.allclose(together, alone)


def test_a_latent_layer_multiplies_its_weights_once_and_attends_in_the_latent() -> None:
    """DeepSeek-V3's report, section 4.2: 128 heads of 128 over latents of 512 + 64, queries through 1,536."""
    shape = ARCHITECTURES["deepseek-v3"].architecture
    works = forward_work(shape, Pass(1.0, 1.0, Dtype.BF16, context=999.0))
    dense = ("latents", "queries", "keys, values", "attention output")
    weights = sum(float(_named(works, name).columns * _named(works, name).inner) for name in dense)
    assert weights == shape.attention_parameters
    attention = _named(works, "attention")
    assert float(attention.flops) == 2.0 * (576 + 512) * 128 * 1000
    prompt = _named(forward_work(shape, Pass(1.0, 2.0, Dtype.BF16)), "attention")
    assert float(prompt.flops) == 2.0 * (192 + 128) * 128 * 3


def test_windowed_layers_do_not_look_further_back() -> None:
    shape = ARCHITECTURES["gpt-oss-120b"].architecture
    near, far = (
        float(attention_work(shape, Pass(1.0, 1.0, Dtype.BF16, context=context)).flops) for context in (128.0, 10128.0)
    )
    assert near == 4.0 * 64 * 64 * 128.5  # half of the layers look at 128 keys, half at all 129
    assert far / near == pytest.approx((128 + 10_129) / (128 + 129))


def test_windows_bound_the_pairs_of_prompts_as_of_their_tokens_one_by_one() -> None:
    shape = transformer(causal=True, window=16, windowed_layers=1, num_layers=2)
    one_by_one = sum(float(attended_pairs(shape, 1.0, float(seen))) for seen in range(50))
    assert attended_pairs(shape, 50.0) == one_by_one
    chunks = attended_pairs(shape, 10.0) + attended_pairs(shape, 20.0, 10.0) + attended_pairs(shape, 20.0, 30.0)
    assert chunks == one_by_one
    both_ways = transformer(causal=False, window=16, windowed_layers=2, num_layers=2)
    assert attended_pairs(both_ways, 50.0) == 50 * 16


def test_packed_weights_move_fewer_bytes_and_multiply_as_often() -> None:
    plain, packed = (forward_work(LLAMA, Pass(1.0, 1.0, Dtype.BF16, weight_bytes=stored)) for stored in (None, 0.5))
    assert total_flops(plain) == total_flops(packed)
    assert _named(plain, "feed-forward down").num_bytes - _named(packed, "feed-forward down").num_bytes == (
        1.5 * 4096 * 14336
    )
