"""Encoders for texts, written down from memory of the public configuration that each names."""

from __future__ import annotations

from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder, recalled

ENCODERS: tuple[NamedArchitecture, ...] = recalled(
    NamedArchitecture(
        "bert-large",
        "BERT large, an encoder",
        decoder("BERT-large", (24, 1024, 16, 16, 4096, 30522), 512, tied=True, gated=False, causal=False),
        335e6,
        "google-bert/bert-large-uncased config.json and model card",
        date(2018, 10, 11),
    ),
    NamedArchitecture(
        "distilbert-base",
        "DistilBERT base, an encoder",
        decoder("DistilBERT-base", (6, 768, 12, 12, 3072, 30522), 512, tied=True, gated=False, causal=False),
        66e6,
        "distilbert/distilbert-base-uncased config.json; Sanh et al. 2019, table 3",
        date(2019, 10, 2),
    ),
    NamedArchitecture(
        "roberta-base",
        "RoBERTa base, an encoder",
        decoder("RoBERTa-base", (12, 768, 12, 12, 3072, 50265), 512, tied=True, gated=False, causal=False),
        125e6,
        "FacebookAI/roberta-base config.json and model card",
        date(2019, 7, 26),
    ),
    NamedArchitecture(
        "roberta-large",
        "RoBERTa large, an encoder",
        decoder("RoBERTa-large", (24, 1024, 16, 16, 4096, 50265), 512, tied=True, gated=False, causal=False),
        355e6,
        "FacebookAI/roberta-large config.json and model card",
        date(2019, 7, 26),
    ),
    NamedArchitecture(
        "bge-m3",
        "BGE M3, an encoder (the shape of XLM-RoBERTa large)",
        decoder("BGE-M3", (24, 1024, 16, 16, 4096, 250002), 8192, tied=True, gated=False, causal=False),
        560e6,
        "BAAI/bge-m3 config.json and model card",
        date(2024, 1, 30),
    ),
    NamedArchitecture(
        "minilm-l6",
        "MiniLM of 6 layers, an encoder",
        decoder("MiniLM-L6", (6, 384, 12, 12, 1536, 30522), 512, tied=True, gated=False, causal=False),
        22.5e6,
        "sentence-transformers/all-MiniLM-L6-v2 config.json and model card",
        date(2021, 8, 30),
    ),
)
