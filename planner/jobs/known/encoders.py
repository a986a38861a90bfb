"""Encoders for texts, each with the public configuration that has its shape and where that was read."""

from __future__ import annotations

from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder
from planner.jobs.known.sources import FAIRSEQ, KERAS_HUB, LLM_ANALYSIS, TRANSFORMERS

ENCODERS: tuple[NamedArchitecture, ...] = (
    NamedArchitecture(
        "bert-large",
        "BERT large, an encoder",
        decoder("BERT-large", (24, 1024, 16, 16, 4096, 30522), 512, tied=True, gated=False, causal=False),
        335e6,
        f"google-bert/bert-large-uncased config.json, as in {LLM_ANALYSIS}/bert-large.json",
        date(2018, 10, 11),
    ),
    NamedArchitecture(
        "distilbert-base",
        "DistilBERT base, an encoder",
        decoder("DistilBERT-base", (6, 768, 12, 12, 3072, 30522), 512, tied=True, gated=False, causal=False),
        66e6,
        f"distilbert-base-uncased, the defaults of {TRANSFORMERS}/distilbert/configuration_distilbert.py at 06053b8",
        date(2019, 10, 2),
    ),
    NamedArchitecture(
        "roberta-base",
        "RoBERTa base, an encoder",
        decoder("RoBERTa-base", (12, 768, 12, 12, 3072, 50265), 512, tied=True, gated=False, causal=False),
        125e6,
        f"FacebookAI/roberta-base config.json as printed by transformers 4.52; {FAIRSEQ}",
        date(2019, 7, 26),
    ),
    NamedArchitecture(
        "roberta-large",
        "RoBERTa large, an encoder",
        decoder("RoBERTa-large", (24, 1024, 16, 16, 4096, 50265), 512, tied=True, gated=False, causal=False),
        355e6,
        f"FacebookAI/roberta-large config.json as printed by transformers 4.52; {FAIRSEQ}",
        date(2019, 7, 26),
    ),
    NamedArchitecture(
        "bge-m3",
        "BGE M3, an encoder (the shape of XLM-RoBERTa large)",
        decoder("BGE-M3", (24, 1024, 16, 16, 4096, 250002), 8192, tied=True, gated=False, causal=False),
        560e6,
        f"BAAI/bge-m3 model card; XLM-RoBERTa large as in {KERAS_HUB}",
        date(2024, 1, 30),
    ),
    NamedArchitecture(
        "minilm-l6",
        "MiniLM of 6 layers, an encoder",
        decoder("MiniLM-L6", (6, 384, 12, 12, 1536, 30522), 512, tied=True, gated=False, causal=False),
        22.5e6,
        f"all-MiniLM-L6-v2 config.json, as in {LLM_ANALYSIS}/sentence-transformers_all-MiniLM-L6-v2.json",
        date(2021, 8, 30),
    ),
)
