"""What engines do for mixtures of experts: tiles, few routing kernels, attention in 16 bits; one round of exchange."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.estimates.communication import Links, all_reduce_seconds, all_to_all_seconds
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.serving import serving_links
from planner.estimates.serving_experts import ROUTED_PASSES, SMALLEST_TILE, attention_dtype, routed
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.blocks import DISPATCH_LAUNCHES, DISPATCH_PASSES, block_work
from planner.jobs.engine import Engine
from planner.jobs.footprint import weight_bytes
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Pass, Work, WorkClass
from planner.jobs.presets import ARCHITECTURES

GPT_OSS = ARCHITECTURES["gpt-oss-120b"].architecture
JOB = InferenceJob("x", GPT_OSS, 1024, 128, concurrency=4, dtype=Dtype.BF16, engine=Engine.VLLM, weight_bits=4.25)


def _works(rows: float, **changed: object) -> dict[str, Work]:
    through = replace(Pass(1.0, rows, Dtype.BF16), **changed)  # type: ignore[arg-type]
    return {work.name: work for work in block_work(GPT_OSS, through)}


@pytest.mark.parametrize(("tokens", "rows"), [(8192, 256.0), (1024, 32.0)])
def test_an_expert_computes_half_a_tile_more_than_its_rows_and_at_least_one(tokens: int, rows: float) -> None:
    work = _works(float(tokens))["feed-forward up"]
    assert work.work_class is WorkClass.EXPERT
    assert float(np.asarray(work.rows)) == pytest.approx(rows, rel=0.01)
    found = routed(work, load_serving_priors().engines[Engine.VLLM])
    tile = min(2 * rows, load_serving_priors().figures["expert_tile"])
    assert float(np.asarray(found.flops / work.flops)) == pytest.approx(max(tile, rows + tile / 2) / rows, rel=0.02)
    assert found.num_bytes == work.num_bytes


def test_a_single_row_fills_the_smallest_tile() -> None:
    work = _works(1.0)["feed-forward down"]
    found = routed(work, load_serving_priors().engines[Engine.VLLM])
    assert float(np.asarray(found.flops / work.flops)) == pytest.approx(SMALLEST_TILE)


def test_engines_route_in_few_kernels_and_eager_programs_as_those_that_train() -> None:
    work, engines = _works(64.0)["dispatch to experts"], load_serving_priors().engines
    fused = routed(work, engines[Engine.VLLM])
    kernels = load_serving_priors().figures["routing_kernels"]
    assert fused.launches * engines[Engine.VLLM].kernels == pytest.approx(kernels)
    assert kernels < DISPATCH_LAUNCHES * engines[Engine.VLLM].kernels
    assert fused.num_bytes / work.num_bytes == pytest.approx(ROUTED_PASSES / DISPATCH_PASSES)
    assert routed(work, engines[Engine.TRANSFORMERS]) == work
    plain = _works(64.0)["attention output"]
    assert routed(plain, engines[Engine.VLLM]) is plain


def test_attention_keeps_16_bits_beside_experts_of_4_bit_floating_point() -> None:
    dense = replace(JOB, architecture=ARCHITECTURES["llama-3-8b"].architecture)
    integers = replace(JOB, weight_bits=4.16)  # GPTQ and AWQ pack all products of a block
    assert attention_dtype(JOB) is Dtype.BF16
    assert attention_dtype(replace(JOB, dtype=Dtype.FP4, weight_bits=None)) is Dtype.BF16
    assert attention_dtype(replace(JOB, dtype=Dtype.FP8, weight_bits=None)) is None
    assert attention_dtype(dense) is None
    assert attention_dtype(integers) is None


def test_projections_of_another_format_move_their_own_bytes_and_fill_their_own_memory() -> None:
    packed, wide = _works(1.0, weight_bytes=0.5), _works(1.0, weight_bytes=0.5, attention_dtype=Dtype.BF16)
    moved = wide["attention output"].num_bytes - packed["attention output"].num_bytes
    assert moved == pytest.approx(1.5 * GPT_OSS.hidden * GPT_OSS.num_heads * GPT_OSS.head_dim)
    assert wide["feed-forward up"] == packed["feed-forward up"]
    more = weight_bytes(GPT_OSS, Dtype.BF16, stored=0.5, attention=2.0) - weight_bytes(GPT_OSS, Dtype.BF16, stored=0.5)
    assert more == pytest.approx(1.5 * GPT_OSS.num_layers * GPT_OSS.attention_parameters)


def test_an_exchange_in_one_round_waits_as_long_for_eight_gpus_as_for_two() -> None:
    tree = Links(np.full(9, 100e9), 5e-6)
    once, sizes = replace(tree, rounds=False), np.array([2.0, 8.0])
    for exchange in (all_reduce_seconds, all_to_all_seconds):
        assert exchange(0.0, sizes, once) == pytest.approx([5e-6, 5e-6])
        assert exchange(0.0, sizes, tree) == pytest.approx([10e-6, 20e-6])
    assert all_reduce_seconds(0.0, np.array([1.0]), once) == pytest.approx([0.0])


@pytest.mark.parametrize(
    ("key", "at_once"), [("H100-80GB-SXM", True), ("MI300X", True), ("H100-80GB-PCIE", False), ("L40S", False)]
)
def test_gpus_with_links_to_all_others_exchange_in_one_round(key: str, at_once: bool) -> None:
    links = serving_links(load_catalogue().get(key), 4)
    assert links is not None
    assert links.rounds is not at_once
