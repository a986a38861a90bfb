"""Dense decoders whose feed-forward network has no gate, each with where its shape was read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder
from planner.jobs.known.sources import LITGPT, LLM_ANALYSIS, METASEQ, MLC, NEMO, TRANSFORMERS, VLLM

# The checkpoints hold the output head as a second copy of the embedding, which it is (vLLM ties it in all Falcons but
# that of 11 B): what is counted from files of weights has it twice.
FALCON = f"as in {LITGPT}; tied as in {VLLM}/falcon.py"
OPT = f"{METASEQ}; vocabulary as in {LLM_ANALYSIS}/facebook_opt-66b.json"

UNGATED: tuple[NamedArchitecture, ...] = (
    NamedArchitecture(
        "falcon-7b",
        "Falcon 7B",
        decoder("Falcon 7B", (32, 4544, 71, 1, 18176, 65024), 2048, tied=True, gated=False),
        7e9,
        f"tiiuae/falcon-7b model card; config.json {FALCON}",
        date(2023, 5, 24),
    ),
    NamedArchitecture(
        "falcon-40b",
        "Falcon 40B",
        decoder("Falcon 40B", (60, 8192, 128, 8, 32768, 65024), 2048, tied=True, gated=False),
        41.8e9,
        f"tiiuae/falcon-40b weights, which hold the head twice; config.json {FALCON}",
        date(2023, 5, 24),
    ),
    NamedArchitecture(
        "falcon-180b",
        "Falcon 180B",
        decoder("Falcon 180B", (80, 14848, 232, 8, 59392, 65024), 2048, tied=True, gated=False),
        180e9,
        f"tiiuae/falcon-180B model card; config.json {FALCON}",
        date(2023, 9, 6),
    ),
    NamedArchitecture(
        "gpt-j-6b",
        "GPT-J 6B",
        decoder("GPT-J 6B", (28, 4096, 16, 16, 16384, 50400), 2048, gated=False),
        6.05e9,
        f"EleutherAI/gpt-j-6b model card; config.json as in {MLC}",
        date(2021, 6, 4),
    ),
    NamedArchitecture(
        "opt-6.7b",
        "OPT 6.7B",
        decoder("OPT 6.7B", (32, 4096, 32, 32, 16384, 50272), 2048, tied=True, gated=False),
        6.66e9,
        f"OPT (arXiv:2205.01068), its sizes in {OPT}",
        date(2022, 5, 2),
    ),
    NamedArchitecture(
        "opt-13b",
        "OPT 13B",
        decoder("OPT 13B", (40, 5120, 40, 40, 20480, 50272), 2048, tied=True, gated=False),
        12.85e9,
        f"OPT (arXiv:2205.01068), its sizes in {OPT}",
        date(2022, 5, 2),
    ),
    NamedArchitecture(
        "opt-30b",
        "OPT 30B",
        decoder("OPT 30B", (48, 7168, 56, 56, 28672, 50272), 2048, tied=True, gated=False),
        30.0e9,
        f"OPT (arXiv:2205.01068), its sizes in {OPT}",
        date(2022, 5, 2),
    ),
    NamedArchitecture(
        "opt-66b",
        "OPT 66B",
        decoder("OPT 66B", (64, 9216, 72, 72, 36864, 50272), 2048, tied=True, gated=False),
        65.7e9,
        f"OPT (arXiv:2205.01068), its sizes in {OPT}",
        date(2022, 5, 2),
    ),
    NamedArchitecture(
        "opt-175b",
        "OPT 175B",
        decoder("OPT 175B", (96, 12288, 96, 96, 49152, 50272), 2048, tied=True, gated=False),
        175e9,
        f"OPT (arXiv:2205.01068), its sizes in {OPT}",
        date(2022, 5, 2),
    ),
    NamedArchitecture(
        "mpt-7b",
        "MPT 7B",
        decoder("MPT 7B", (32, 4096, 32, 32, 16384, 50432), 2048, tied=True, gated=False),
        6.65e9,
        "mosaicml/mpt-7b model card, table of hyperparameters; feed-forward width as in "
        "mosaicml/llm-foundry at 15fb4ff, scripts/train/yamls/pretrain/mpt-7b.yaml",
        date(2023, 5, 5),
    ),
    NamedArchitecture(
        "mpt-30b",
        "MPT 30B",
        decoder("MPT 30B", (48, 7168, 64, 64, 28672, 50432), 8192, tied=True, gated=False),
        29.95e9,
        "mosaicml/mpt-30b model card, table of hyperparameters; feed-forward width as in "
        "mosaicml/llm-foundry at 39393a2, scripts/train/yamls/pretrain/mpt-30b.yaml",
        date(2023, 6, 22),
    ),
    NamedArchitecture(
        "bloom-7b1",
        "BLOOM 7B",
        decoder("BLOOM 7B", (30, 4096, 32, 32, 16384, 250880), 2048, tied=True, gated=False),
        7.07e9,
        f"bigscience/bloom-7b1 model card; config.json as in {LLM_ANALYSIS}/bigscience_bloom-7b1.json",
        date(2022, 7, 6),
    ),
    NamedArchitecture(
        "pythia-12b",
        "Pythia 12B",
        decoder("Pythia 12B", (36, 5120, 40, 40, 20480, 50688), 2048, gated=False),
        11.85e9,
        f"EleutherAI/pythia-12b model card; config.json as in {LITGPT}",
        date(2023, 4, 3),
    ),
    NamedArchitecture(
        "starcoder2-15b",
        "StarCoder2 15B",
        replace(
            decoder("StarCoder2 15B", (40, 6144, 48, 4, 24576, 49152), 16384, gated=False),
            window=4096,
            windowed_layers=40,
        ),
        15.96e9,
        f"bigcode/starcoder2-15b config.json, as in {NEMO}/starcoder2.py at 0674227; "
        "window as in huggingface/transformers, docs/source/en/model_doc/starcoder2.md",
        date(2024, 2, 28),
    ),
    NamedArchitecture(
        "nemotron-4-340b",
        "Nemotron-4 340B",
        decoder("Nemotron-4 340B", (96, 18432, 96, 8, 73728, 256000), 4096, gated=False),
        341e9,
        f"Nemotron-4 340B report (arXiv:2406.11704), as in {NEMO}/nemotron.py at 0037ec8; "
        f"vocabulary as in {TRANSFORMERS}/nemotron/configuration_nemotron.py",
        date(2024, 6, 14),
    ),
)
