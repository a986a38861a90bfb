"""Mixtures of experts, each with the public configuration it was read from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder

EXPERTS: tuple[NamedArchitecture, ...] = (
    NamedArchitecture(
        "mixtral-8x7b",
        "Mixtral 8x7B, a mixture of experts",
        decoder("Mixtral-8x7B", (32, 4096, 32, 8, 14336, 32000), 32768, experts=(8, 2)),
        46.7e9,
        "mistralai/Mixtral-8x7B-v0.1 config.json",
        date(2023, 12, 11),
    ),
    NamedArchitecture(
        "qwen3-30b-a3b",
        "Qwen3 30B-A3B, a mixture of experts",
        decoder("Qwen3-30B-A3B", (48, 2048, 32, 4, 768, 151936), 40960, experts=(128, 8), head_width=128),
        30.5e9,
        "Qwen/Qwen3-30B-A3B config.json and model card",
        date(2025, 4, 28),
    ),
    NamedArchitecture(
        "qwen3-235b-a22b",
        "Qwen3 235B-A22B, a mixture of experts",
        decoder("Qwen3-235B-A22B", (94, 4096, 64, 4, 1536, 151936), 40960, experts=(128, 8), head_width=128),
        235e9,
        "Qwen/Qwen3-235B-A22B config.json and model card",
        date(2025, 4, 28),
    ),
    NamedArchitecture(
        "gpt-oss-120b",
        "gpt-oss 120B, a mixture of experts",
        replace(
            decoder("gpt-oss-120b", (36, 2880, 64, 8, 2880, 201088), 131072, experts=(128, 4), head_width=64),
            window=128,
            windowed_layers=18,
        ),
        117e9,
        "openai/gpt-oss-120b config.json and model card",
        date(2025, 8, 5),
    ),
    NamedArchitecture(
        "mixtral-8x22b",
        "Mixtral 8x22B, a mixture of experts",
        decoder("Mixtral-8x22B", (56, 6144, 48, 8, 16384, 32768), 65536, experts=(8, 2)),
        141e9,
        "mistralai/Mixtral-8x22B-v0.1 config.json",
        date(2024, 4, 17),
    ),
    NamedArchitecture(
        "minimax-m2",
        "MiniMax M2, a mixture of experts",
        decoder("MiniMax-M2", (62, 3072, 48, 8, 1536, 200064), 196608, experts=(256, 8), head_width=128),
        230e9,
        "MiniMaxAI/MiniMax-M2 config.json and model card",
        date(2025, 10, 27),
    ),
    NamedArchitecture(
        "deepseek-v3",
        "DeepSeek V3, a mixture of experts with latent attention",
        replace(
            decoder("DeepSeek-V3", (61, 7168, 128, 128, 2048, 129280), 163840, experts=(256, 8), head_width=128),
            shared_experts=1,
            latent_kv=576,
            latent_rope=64,
            latent_query=1536,
            dense_layers=3,
            dense_ffn=18432,
        ),
        671e9,
        "deepseek-ai/DeepSeek-V3 config.json and model card",
        date(2024, 12, 26),
    ),
    NamedArchitecture(
        "deepseek-r1",
        "DeepSeek R1, a mixture of experts with latent attention",
        replace(
            decoder("DeepSeek-R1", (61, 7168, 128, 128, 2048, 129280), 163840, experts=(256, 8), head_width=128),
            shared_experts=1,
            latent_kv=576,
            latent_rope=64,
            latent_query=1536,
            dense_layers=3,
            dense_ffn=18432,
        ),
        671e9,
        "deepseek-ai/DeepSeek-R1 config.json and model card",
        date(2025, 1, 20),
    ),
    NamedArchitecture(
        "kimi-k2",
        "Kimi K2, a mixture of experts with latent attention",
        replace(
            decoder("Kimi-K2", (61, 7168, 64, 64, 2048, 163840), 131072, experts=(384, 8), head_width=128),
            shared_experts=1,
            latent_kv=576,
            latent_rope=64,
            latent_query=1536,
            dense_layers=1,
            dense_ffn=18432,
        ),
        1.03e12,
        "moonshotai/Kimi-K2-Instruct config.json; 1,026 B in its safetensors index",
        date(2025, 7, 11),
    ),
)
