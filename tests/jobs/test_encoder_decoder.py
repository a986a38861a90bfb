"""Encoder–decoders and recurrence over segments against layers counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.hardware.gpu import Dtype
from planner.jobs.blocks import block_work, exchanging_layers
from planner.jobs.footprint import Split, training_bytes
from planner.jobs.job import LoraTargets, Recompute, TrainingMethod
from planner.jobs.operations import forward_work, lora_parameters, model_forward_flops, training_work
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.work import Pass, Work, WorkKind, total_flops

T5 = ARCHITECTURES["t5-base"].architecture
PAIR = replace(T5, num_layers=2, encoder_layers=3, hidden=64, num_heads=4, num_kv_heads=4, head_width=16, ffn=256)
BIG = ARCHITECTURES["transformer-big"].architecture


def _products(works: tuple[Work, ...]) -> float:
    return float(sum(np.asarray(w.flops * w.count) for w in works if w.kind is not WorkKind.MEMORY))


def test_weights_are_those_of_both_halves_and_of_looking_up() -> None:
    attention, ffn = 4 * 64 * 64, 2 * 64 * 256
    assert PAIR.num_parameters - PAIR.embedding_parameters == 3 * (attention + ffn) + 2 * (2 * attention + ffn)


def test_a_step_reads_one_length_and_writes_another() -> None:
    """Products per weight and row, attention per pair: 10 tokens read, 6 written, causally among themselves."""
    read, wrote, batch = 10, 6, 2
    through = Pass(float(batch), float(read), Dtype.BF16, target_tokens=float(wrote))
    attention, ffn = 4 * 64 * 64, 2 * 64 * 256
    rows = 3 * batch * read * (attention + ffn) + 2 * batch * wrote * (attention + ffn)
    looking_up = 2 * batch * (wrote * 2 * 64 * 64 + read * 2 * 64 * 64)
    pairs = 3 * read * read + 2 * wrote * (wrote + 1) // 2 + 2 * wrote * read
    by_hand = 2 * (rows + looking_up) + 4 * batch * 64 * pairs
    assert _products(block_work(PAIR, through)) == pytest.approx(by_hand)


def test_the_head_sees_what_is_written_and_not_what_is_read() -> None:
    through = Pass(2.0, 512.0, Dtype.BF16, target_tokens=128.0)
    head = next(w for w in training_work(T5, through, 0.0).forward if w.name == "output head")
    assert head.flops == 2 * (2 * 128) * T5.vocab * T5.hidden


def test_useful_flops_are_those_of_the_operations() -> None:
    through = Pass(3.0, 256.0, Dtype.BF16)
    works = training_work(T5, through, 0.0).forward
    assert _products(works) == pytest.approx(float(model_forward_flops(T5, 3.0, 256.0)), rel=1e-9)


def test_answering_reads_once_and_then_writes_token_by_token() -> None:
    """A pass over the prompt holds the encoder and one token written; a later token passes the half that writes."""
    reading = _products(forward_work(BIG, Pass(1.0, 100.0, Dtype.BF16, head_tokens=1.0)))
    writing = _products(forward_work(BIG, Pass(1.0, 1.0, Dtype.BF16, context=100.0)))
    encoder = 6 * (2 * 100 * (BIG.attention_parameters + BIG.ffn_parameters) + 4 * 1024 * 100 * 100)
    keys = 6 * 2 * 100 * 2 * 1024 * 1024
    assert reading == pytest.approx(encoder + keys + writing, rel=0.001)
    decoder = 6 * 2 * (BIG.attention_parameters + BIG.ffn_parameters + 2 * 1024 * 1024)
    assert writing == pytest.approx(decoder + 6 * 4 * 1024 * 101 + 2 * BIG.vocab * 1024)


def test_layouts_of_reading_and_writing_passes_broadcast() -> None:
    through = Pass(1.0, np.array([1.0, 64.0]), Dtype.BF16, context=np.array([64.0, 0.0]))
    both = np.asarray(sum(w.flops * w.count for w in forward_work(BIG, through)))
    apart = [
        float(np.asarray(total_flops(forward_work(BIG, Pass(1.0, tokens, Dtype.BF16, context=context)))))
        for tokens, context in ((1.0, 64.0), (64.0, 0.0))
    ]
    assert both == pytest.approx(apart)


def test_scores_that_are_not_fused_are_those_of_all_three_kinds_of_attention() -> None:
    through = Pass(1.0, 10.0, Dtype.BF16, target_tokens=6.0)
    work = training_work(PAIR, through, 0.0, Recompute.NONE, fused_attention=False)
    scores = [w for w in work.forward if w.name == "scores in memory"]
    assert [w.flops / 8 / PAIR.num_heads * w.count for w in scores] == [3 * 100, 2 * 36, 2 * 60]


def test_adapters_count_the_layers_that_look_up_too() -> None:
    per_attention = 4 * (64 + 64)
    ffn = 2 * (64 + 256)
    assert lora_parameters(PAIR, 8) == 8 * (5 * (per_attention + ffn) + 2 * per_attention)
    assert lora_parameters(PAIR, 8, LoraTargets.ATTENTION) == 8 * 3 * (64 + 64) * 7
    through = Pass(1.0, 16.0, Dtype.BF16)
    work = training_work(PAIR, through, 0.0, Recompute.NONE, TrainingMethod.LORA, 8)
    adapters = sum(w.flops * w.count for w in work.forward if w.name == "adapters")
    assert adapters == pytest.approx(2 * 16 * lora_parameters(PAIR, 8))


def test_memory_grows_with_what_is_written() -> None:
    short, long = (training_bytes(T5, 512, Dtype.BF16, Split(4.0), written=wrote) for wrote in (32, 512))
    assert short["activations"] < long["activations"]
    assert long["logits"] == pytest.approx(16 * short["logits"])
    assert training_bytes(T5, 512, Dtype.BF16, Split(4.0)) == long


def test_a_layer_that_looks_up_exchanges_three_times_where_others_do_twice() -> None:
    assert exchanging_layers(T5, 512, 128) == 12 + 12 * 1.5 / 4
    assert exchanging_layers(ARCHITECTURES["llama-3-8b"].architecture, 512) == 32


def test_a_segment_sees_the_one_before_it() -> None:
    """Keys of 4 + 6 tokens, made anew for the earlier ones; positions have a product of their own, shared by all."""
    base = ARCHITECTURES["transformer-xl-base"].architecture
    shape = replace(base, num_layers=1, hidden=64, num_heads=4, num_kv_heads=4, ffn=256, segment_memory=6)
    works = {w.name: w for w in block_work(shape, Pass(2.0, 4.0, Dtype.BF16))}
    assert works["query, key, value"].rows == 2 * (4 + 6)
    assert works["positions"].rows == 10
    assert works["attention"].flops == 6 * 64 * 2 * (4 * 6 + 4 * 5 / 2)


def test_rare_words_cost_as_often_as_they_come_up() -> None:
    """Of 100 words the first 10 have full vectors, the others a quarter; ln 10 ÷ ln 100 = one half of the text."""
    base = replace(T5, vocab=100, hidden=64, head_width=16, num_heads=4, num_kv_heads=4, encoder_layers=0)
    cut = replace(base, cutoffs=(10,), cutoff_divisor=4)
    assert base.head_columns == 100
    assert cut.head_columns == pytest.approx(10 + 1 + 0.5 * (90 * 16 / 64 + 16))
    assert cut.embedding_parameters == 10 * 64 + 90 * 16 + 64 * (64 + 16)
