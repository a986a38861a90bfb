"""Encoder–decoders, and decoders that remember the segment before, each with the source of its shape."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.jobs.architecture import Transformer
from planner.jobs.known.named import NamedArchitecture, decoder

T5_VOCABULARY, MT5_VOCABULARY = 32_128, 250_112


def _pair(
    name: str,
    shape: tuple[int, int, int, int, int],
    max_positions: int | None = None,
    *,
    head_width: int = 0,
    gated: bool = False,
    tied: bool = True,
) -> Transformer:
    """`shape` is layers of each half, hidden, heads, ffn, vocab. T5's positions are relative and without a limit."""
    layers, hidden, heads, ffn, vocab = shape
    return Transformer(
        name=name,
        num_layers=layers,
        hidden=hidden,
        num_heads=heads,
        num_kv_heads=heads,
        ffn=ffn,
        vocab=vocab,
        gated=gated,
        tied_embeddings=tied,
        max_positions=max_positions,
        head_width=head_width,
        encoder_layers=layers,
    )


def _t5(key: str, shape: tuple[int, int, int, int], published: float, head_width: int = 64) -> NamedArchitecture:
    title = f"T5 {key.removeprefix('t5-')}, an encoder–decoder"
    architecture = _pair(f"T5-{key.removeprefix('t5-')}", (*shape, T5_VOCABULARY), head_width=head_width)
    return NamedArchitecture(
        key, title, architecture, published, f"google-t5/{key} config.json; Raffel et al. 2020", date(2019, 10, 23)
    )


def _gated_t5(key: str, maker: str, shape: tuple[int, int, int, int], published: float) -> NamedArchitecture:
    """T5 1.1 and mT5: gated feed-forward networks, an output head of its own."""
    vocabulary = MT5_VOCABULARY if key.startswith("mt5") else T5_VOCABULARY
    architecture = _pair(key, (*shape, vocabulary), head_width=64, gated=True, tied=False)
    source = f"{maker}/{key} config.json; safetensors or checkpoint size on its page"
    as_of = date(2020, 10, 22) if vocabulary == MT5_VOCABULARY else date(2020, 11, 19)
    return NamedArchitecture(key, f"{key}, an encoder–decoder", architecture, published, source, as_of)


def _remembering(name: str, base: Transformer, memory: int, divisor: int) -> Transformer:
    """WikiText-103 cuts its words at ranks of 20, 40 and 200 thousand (Dai et al. 2019, their scripts)."""
    return replace(base, name=name, segment_memory=memory, cutoffs=(19_997, 39_997, 199_997), cutoff_divisor=divisor)


PAIRS: tuple[NamedArchitecture, ...] = (
    _t5("t5-small", (6, 512, 8, 2048), 60.5e6),
    _t5("t5-base", (12, 768, 12, 3072), 222.9e6),
    _t5("t5-large", (24, 1024, 16, 4096), 737.7e6),
    _t5("t5-3b", (24, 1024, 32, 16384), 2.85e9, 128),
    _t5("t5-11b", (24, 1024, 128, 65536), 11.3e9, 128),
    _gated_t5("t5-v1_1-base", "google", (12, 768, 12, 2048), 247.6e6),
    _gated_t5("flan-t5-large", "google", (24, 1024, 16, 2816), 783e6),
    _gated_t5("flan-t5-xl", "google", (24, 2048, 32, 5120), 2.85e9),
    _gated_t5("flan-t5-xxl", "google", (24, 4096, 64, 10240), 11.1e9),
    _gated_t5("mt5-base", "google", (12, 768, 12, 2048), 582e6),
    _gated_t5("mt5-xl", "google", (24, 2048, 32, 5120), 3.74e9),
    NamedArchitecture(
        "bart-base",
        "BART base, an encoder–decoder",
        _pair("BART-base", (6, 768, 12, 3072, 50265), 1024),
        139.4e6,
        "facebook/bart-base config.json; Lewis et al. 2020",
        date(2019, 10, 29),
    ),
    NamedArchitecture(
        "bart-large",
        "BART large, an encoder–decoder",
        _pair("BART-large", (12, 1024, 16, 4096, 50265), 1024),
        406.3e6,
        "facebook/bart-large config.json; Lewis et al. 2020",
        date(2019, 10, 29),
    ),
    NamedArchitecture(
        "opus-mt-en-de",
        "OPUS-MT English to German, a small translator",
        _pair("opus-mt-en-de", (6, 512, 8, 2048, 58101), 512),
        74.4e6,
        "Helsinki-NLP/opus-mt-en-de config.json",
        date(2020, 4, 1),
    ),
    NamedArchitecture(
        "transformer-big",
        "Transformer big, the translator of 2017",
        _pair("Transformer-big", (6, 1024, 16, 4096, 37000), 1024),
        213e6,
        "Vaswani et al. 2017, table 3 and section 5.1",
        date(2017, 6, 12),
    ),
    NamedArchitecture(
        "transformer-xl-base",
        "Transformer-XL base, with memory of the segment before",
        _remembering(
            "Transformer-XL-base",
            decoder("", (16, 512, 8, 8, 2048, 267_735), 192, tied=True, gated=False),
            192,
            1,
        ),
        192e6,
        "NVIDIA NGC transformerxl_base_pyt_ckpt, hyperparameters of the base model",
        date(2020, 6, 1),
    ),
)
