"""Mixtures of experts that are served widely, each with the configuration that it has and where that was read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder
from planner.jobs.known.sources import AICONFIGURATOR, LLM_ANALYSIS, MAXTEXT, MEGATRON_BRIDGE, MLC, TRANSFORMERS

ROUTED: tuple[NamedArchitecture, ...] = (
    NamedArchitecture(
        "gpt-oss-20b",
        "gpt-oss 20B, a mixture of experts",
        replace(
            decoder("gpt-oss 20B", (24, 2880, 64, 8, 2880, 201088), 131072, experts=(32, 4), head_width=64),
            window=128,
            windowed_layers=12,
        ),
        20.9e9,
        f"openai/gpt-oss-20b model card; config.json as in {MAXTEXT}/gpt-oss-20b.yml",
        date(2025, 8, 5),
    ),
    NamedArchitecture(
        "llama-4-scout",
        "Llama 4 Scout, text",
        replace(
            decoder("Llama 4 Scout", (48, 5120, 40, 8, 8192, 202048), 10485760, experts=(16, 1), head_width=128),
            shared_experts=1,
            window=8192,
            windowed_layers=36,
        ),
        109e9,
        f"meta-llama/Llama-4-Scout-17B-16E model card; config.json as in {AICONFIGURATOR}",
        date(2025, 4, 5),
    ),
    NamedArchitecture(
        "llama-4-maverick",
        "Llama 4 Maverick, text",
        replace(
            decoder("Llama 4 Maverick", (48, 5120, 40, 8, 8192, 202048), 1048576, experts=(128, 1), head_width=128),
            shared_experts=1,
            dense_layers=24,
            dense_ffn=16384,
            window=8192,
            windowed_layers=36,
        ),
        400e9,
        f"meta-llama/Llama-4-Maverick-17B-128E model card; config.json as in {AICONFIGURATOR}",
        date(2025, 4, 5),
    ),
    NamedArchitecture(
        "deepseek-v2-lite",
        "DeepSeek V2 Lite, a mixture of experts",
        replace(
            decoder("DeepSeek V2 Lite", (27, 2048, 16, 16, 1408, 102400), 163840, experts=(64, 6), head_width=128),
            shared_experts=2,
            latent_kv=576,
            latent_rope=64,
            dense_layers=1,
            dense_ffn=10944,
        ),
        15.7e9,
        f"deepseek-ai/DeepSeek-V2-Lite model card; config.json as in {MLC}",
        date(2024, 5, 15),
    ),
    NamedArchitecture(
        "deepseek-v2",
        "DeepSeek V2, a mixture of experts",
        replace(
            decoder("DeepSeek V2", (60, 5120, 128, 128, 1536, 102400), 163840, experts=(160, 6), head_width=128),
            shared_experts=2,
            latent_kv=576,
            latent_rope=64,
            latent_query=1536,
            dense_layers=1,
            dense_ffn=12288,
        ),
        236e9,
        f"deepseek-ai/DeepSeek-V2 model card; config.json as in {MAXTEXT}/deepseek2-236b.yml",
        date(2024, 5, 6),
    ),
    NamedArchitecture(
        "qwen3-coder-480b",
        "Qwen3 Coder 480B-A35B, a mixture of experts",
        decoder("Qwen3 Coder 480B-A35B", (62, 6144, 96, 8, 2560, 151936), 262144, experts=(160, 8), head_width=128),
        480e9,
        "Qwen/Qwen3-Coder-480B-A35B-Instruct model card; config.json as in zyzshishui/miles at b269970, "
        "scripts/models/qwen3-coder-480B-A35B.sh",
        date(2025, 7, 22),
    ),
    NamedArchitecture(
        "glm-4.5",
        "GLM-4.5, a mixture of experts",
        replace(
            decoder("GLM-4.5", (92, 5120, 96, 8, 1536, 151552), 131072, experts=(160, 8), head_width=128),
            shared_experts=1,
            dense_layers=3,
            dense_ffn=12288,
        ),
        355e9,
        f"zai-org/GLM-4.5 model card; config.json as in {MEGATRON_BRIDGE}/glm45.md",
        date(2025, 7, 28),
    ),
    NamedArchitecture(
        "glm-4.5-air",
        "GLM-4.5 Air, a mixture of experts",
        replace(
            decoder("GLM-4.5 Air", (46, 4096, 96, 8, 1408, 151552), 131072, experts=(128, 8), head_width=128),
            shared_experts=1,
            dense_layers=1,
            dense_ffn=10944,
        ),
        106e9,
        f"zai-org/GLM-4.5-Air model card; config.json as in {MEGATRON_BRIDGE}/glm45.md",
        date(2025, 7, 28),
    ),
    NamedArchitecture(
        "dbrx",
        "DBRX, a mixture of experts",
        decoder("DBRX", (40, 6144, 48, 8, 10752, 100352), 32768, experts=(16, 4)),
        132e9,
        f"databricks/dbrx, MODEL_CARD_dbrx_base.md; config.json as in {LLM_ANALYSIS}/dbrx.json at 3a2b9c0",
        date(2024, 3, 27),
    ),
    NamedArchitecture(
        "grok-1",
        "Grok-1, a mixture of experts",
        decoder("Grok-1", (64, 6144, 48, 8, 32768, 131072), 8192, tied=True, experts=(8, 2), head_width=128),
        314e9,
        "xai-org/grok-1 README, run.py and model.py",
        date(2024, 3, 17),
    ),
    NamedArchitecture(
        "phi-3.5-moe",
        "Phi-3.5 MoE, a mixture of experts",
        decoder("Phi-3.5 MoE", (32, 4096, 32, 8, 6400, 32064), 131072, experts=(16, 2)),
        41.9e9,
        "microsoft/Phi-3.5-MoE-instruct model card; config.json as the defaults of "
        f"{TRANSFORMERS}/phimoe/configuration_phimoe.py at 040e1a7",
        date(2024, 8, 20),
    ),
)
