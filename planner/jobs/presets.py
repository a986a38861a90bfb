"""Named architectures, each from a public configuration, and ready jobs to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob, Job, Recompute, TrainingJob, TrainingMethod


@dataclass(frozen=True, slots=True)
class NamedArchitecture:
    """An architecture with the public configuration that it was read from."""

    key: str
    title: str
    architecture: Transformer
    published_parameters: float  # as the source states them, rounded as it rounds
    source: str
    as_of: date  # when that version of the source was published


@dataclass(frozen=True, slots=True)
class JobPreset:
    """A ready job under a short key."""

    key: str
    title: str
    job: Job


def _decoder(
    name: str,
    shape: tuple[int, int, int, int, int, int],
    max_positions: int,
    *,
    tied: bool = False,
    gated: bool = True,
    causal: bool = True,
    experts: tuple[int, int] = (1, 1),
    head_width: int = 0,
) -> Transformer:
    """`shape` is layers, hidden, heads, kv heads, ffn, vocab."""
    layers, hidden, heads, kv_heads, ffn, vocab = shape
    return Transformer(
        name=name,
        num_layers=layers,
        hidden=hidden,
        num_heads=heads,
        num_kv_heads=kv_heads,
        ffn=ffn,
        vocab=vocab,
        gated=gated,
        tied_embeddings=tied,
        max_positions=max_positions,
        causal=causal,
        num_experts=experts[0],
        experts_per_token=experts[1],
        head_width=head_width,
    )


def _by_key(entries: tuple[NamedArchitecture, ...]) -> Mapping[str, NamedArchitecture]:
    return MappingProxyType({entry.key: entry for entry in entries})


ARCHITECTURES: Mapping[str, NamedArchitecture] = _by_key(
    (
        NamedArchitecture(
            "stories-15m",
            "Stories 15M: a Llama of 15 M parameters",
            _decoder("Stories-15M", (6, 288, 6, 6, 768, 32000), 256, tied=True),
            15e6,
            "karpathy/llama2.c README, table of the tinyllamas models",
            date(2023, 7, 23),
        ),
        NamedArchitecture(
            "smollm-135m",
            "SmolLM 135M",
            _decoder("SmolLM-135M", (30, 576, 9, 3, 1536, 49152), 2048, tied=True),
            135e6,
            "HuggingFaceTB/SmolLM-135M config.json",
            date(2024, 7, 16),
        ),
        NamedArchitecture(
            "gpt2",
            "GPT-2 small",
            _decoder("GPT-2", (12, 768, 12, 12, 3072, 50257), 1024, tied=True, gated=False),
            124e6,
            "openai-community/gpt2 config.json; 124 M as corrected in the README of openai/gpt-2",
            date(2019, 2, 14),
        ),
        NamedArchitecture(
            "bert-base",
            "BERT base, an encoder",
            _decoder("BERT-base", (12, 768, 12, 12, 3072, 30522), 512, tied=True, gated=False, causal=False),
            110e6,
            "google-bert/bert-base-uncased config.json; Devlin et al. 2018, section 3",
            date(2018, 10, 11),
        ),
        NamedArchitecture(
            "qwen2.5-0.5b",
            "Qwen2.5 0.5B",
            _decoder("Qwen2.5-0.5B", (24, 896, 14, 2, 4864, 151936), 32768, tied=True),
            0.49e9,
            "Qwen/Qwen2.5-0.5B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "tinyllama-1.1b",
            "TinyLlama 1.1B",
            _decoder("TinyLlama-1.1B", (22, 2048, 32, 4, 5632, 32000), 2048),
            1.1e9,
            "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T config.json",
            date(2023, 12, 31),
        ),
        NamedArchitecture(
            "llama-3.2-1b",
            "Llama 3.2 1B",
            _decoder("Llama-3.2-1B", (16, 2048, 32, 8, 8192, 128256), 131072, tied=True),
            1.23e9,
            "meta-llama/Llama-3.2-1B config.json and model card",
            date(2024, 9, 25),
        ),
        NamedArchitecture(
            "llama-2-7b",
            "Llama 2 7B",
            _decoder("Llama-2-7B", (32, 4096, 32, 32, 11008, 32000), 4096),
            6.74e9,
            "meta-llama/Llama-2-7b-hf config.json",
            date(2023, 7, 18),
        ),
        NamedArchitecture(
            "llama-2-13b",
            "Llama 2 13B",
            _decoder("Llama-2-13B", (40, 5120, 40, 40, 13824, 32000), 4096),
            13.0e9,
            "meta-llama/Llama-2-13b-hf config.json",
            date(2023, 7, 18),
        ),
        NamedArchitecture(
            "llama-2-70b",
            "Llama 2 70B",
            _decoder("Llama-2-70B", (80, 8192, 64, 8, 28672, 32000), 4096),
            69.0e9,
            "meta-llama/Llama-2-70b-hf config.json",
            date(2023, 7, 18),
        ),
        NamedArchitecture(
            "llama-3-8b",
            "Llama 3 8B",
            _decoder("Llama-3-8B", (32, 4096, 32, 8, 14336, 128256), 8192),
            8.03e9,
            "meta-llama/Meta-Llama-3-8B config.json",
            date(2024, 4, 18),
        ),
        NamedArchitecture(
            "llama-3-70b",
            "Llama 3 70B",
            _decoder("Llama-3-70B", (80, 8192, 64, 8, 28672, 128256), 8192),
            70.6e9,
            "meta-llama/Meta-Llama-3-70B config.json",
            date(2024, 4, 18),
        ),
        NamedArchitecture(
            "mistral-7b",
            "Mistral 7B v0.1",
            _decoder("Mistral-7B-v0.1", (32, 4096, 32, 8, 14336, 32000), 32768),
            7.24e9,
            "mistralai/Mistral-7B-v0.1 config.json",
            date(2023, 9, 27),
        ),
        NamedArchitecture(
            "mixtral-8x7b",
            "Mixtral 8x7B, a mixture of experts",
            _decoder("Mixtral-8x7B", (32, 4096, 32, 8, 14336, 32000), 32768, experts=(8, 2)),
            46.7e9,
            "mistralai/Mixtral-8x7B-v0.1 config.json",
            date(2023, 12, 11),
        ),
        NamedArchitecture(
            "qwen2.5-7b",
            "Qwen2.5 7B",
            _decoder("Qwen2.5-7B", (28, 3584, 28, 4, 18944, 152064), 131072),
            7.61e9,
            "Qwen/Qwen2.5-7B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "llama-3.1-405b",
            "Llama 3.1 405B",
            _decoder("Llama-3.1-405B", (126, 16384, 128, 8, 53248, 128256), 131072),
            405e9,
            "meta-llama/Llama-3.1-405B config.json",
            date(2024, 7, 23),
        ),
        NamedArchitecture(
            "qwen3-30b-a3b",
            "Qwen3 30B-A3B, a mixture of experts",
            _decoder("Qwen3-30B-A3B", (48, 2048, 32, 4, 768, 151936), 40960, experts=(128, 8), head_width=128),
            30.5e9,
            "Qwen/Qwen3-30B-A3B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-235b-a22b",
            "Qwen3 235B-A22B, a mixture of experts",
            _decoder("Qwen3-235B-A22B", (94, 4096, 64, 4, 1536, 151936), 40960, experts=(128, 8), head_width=128),
            235e9,
            "Qwen/Qwen3-235B-A22B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "gpt-oss-120b",
            "gpt-oss 120B, a mixture of experts",
            replace(
                _decoder("gpt-oss-120b", (36, 2880, 64, 8, 2880, 201088), 131072, experts=(128, 4), head_width=64),
                window=128,
                windowed_layers=18,
            ),
            117e9,
            "openai/gpt-oss-120b config.json and model card",
            date(2025, 8, 5),
        ),
        NamedArchitecture(
            "qwen2-7b",
            "Qwen2 7B",
            _decoder("Qwen2-7B", (28, 3584, 28, 4, 18944, 152064), 131072),
            7.62e9,
            "Qwen/Qwen2-7B config.json and model card",
            date(2024, 6, 6),
        ),
        NamedArchitecture(
            "gemma-2b",
            "Gemma 2B",
            _decoder("Gemma-2B", (18, 2048, 8, 1, 16384, 256000), 8192, tied=True, head_width=256),
            2.51e9,
            "google/gemma-2b config.json and model card",
            date(2024, 2, 21),
        ),
        NamedArchitecture(
            "gpt-neox-20b",
            "GPT-NeoX 20B",
            _decoder("GPT-NeoX-20B", (44, 6144, 64, 64, 24576, 50432), 2048, gated=False),
            20.55e9,
            "EleutherAI/gpt-neox-20b config.json; Black et al. 2022, section 2",
            date(2022, 4, 14),
        ),
        NamedArchitecture(
            "qwen2.5-1.5b",
            "Qwen2.5 1.5B",
            _decoder("Qwen2.5-1.5B", (28, 1536, 12, 2, 8960, 151936), 131072, tied=True),
            1.54e9,
            "Qwen/Qwen2.5-1.5B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "qwen2.5-3b",
            "Qwen2.5 3B",
            _decoder("Qwen2.5-3B", (36, 2048, 16, 2, 11008, 151936), 32768, tied=True),
            3.09e9,
            "Qwen/Qwen2.5-3B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "qwen2.5-14b",
            "Qwen2.5 14B",
            _decoder("Qwen2.5-14B", (48, 5120, 40, 8, 13824, 152064), 131072),
            14.7e9,
            "Qwen/Qwen2.5-14B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "qwen2.5-32b",
            "Qwen2.5 32B",
            _decoder("Qwen2.5-32B", (64, 5120, 40, 8, 27648, 152064), 131072),
            32.5e9,
            "Qwen/Qwen2.5-32B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "qwen2.5-72b",
            "Qwen2.5 72B",
            _decoder("Qwen2.5-72B", (80, 8192, 64, 8, 29568, 152064), 131072),
            72.7e9,
            "Qwen/Qwen2.5-72B config.json and model card",
            date(2024, 9, 19),
        ),
        NamedArchitecture(
            "qwen3-0.6b",
            "Qwen3 0.6B",
            _decoder("Qwen3-0.6B", (28, 1024, 16, 8, 3072, 151936), 40960, tied=True, head_width=128),
            0.6e9,
            "Qwen/Qwen3-0.6B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-1.7b",
            "Qwen3 1.7B",
            _decoder("Qwen3-1.7B", (28, 2048, 16, 8, 6144, 151936), 40960, tied=True, head_width=128),
            1.72e9,
            "Qwen/Qwen3-1.7B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-4b",
            "Qwen3 4B",
            _decoder("Qwen3-4B", (36, 2560, 32, 8, 9728, 151936), 40960, tied=True, head_width=128),
            4.02e9,
            "Qwen/Qwen3-4B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-8b",
            "Qwen3 8B",
            _decoder("Qwen3-8B", (36, 4096, 32, 8, 12288, 151936), 40960, head_width=128),
            8.19e9,
            "Qwen/Qwen3-8B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-14b",
            "Qwen3 14B",
            _decoder("Qwen3-14B", (40, 5120, 40, 8, 17408, 151936), 40960, head_width=128),
            14.8e9,
            "Qwen/Qwen3-14B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "qwen3-32b",
            "Qwen3 32B",
            _decoder("Qwen3-32B", (64, 5120, 64, 8, 25600, 151936), 40960, head_width=128),
            32.8e9,
            "Qwen/Qwen3-32B config.json and model card",
            date(2025, 4, 28),
        ),
        NamedArchitecture(
            "bloom-176b",
            "BLOOM 176B",
            _decoder("BLOOM-176B", (70, 14336, 112, 112, 57344, 250880), 2048, tied=True, gated=False),
            176e9,
            "bigscience/bloom config.json and model card",
            date(2022, 7, 11),
        ),
        NamedArchitecture(
            "internlm-20b",
            "InternLM 20B",
            _decoder("InternLM-20B", (60, 5120, 40, 40, 13824, 103168), 4096),
            20e9,
            "internlm/internlm-20b config.json and model card",
            date(2023, 9, 20),
        ),
        NamedArchitecture(
            "mixtral-8x22b",
            "Mixtral 8x22B, a mixture of experts",
            _decoder("Mixtral-8x22B", (56, 6144, 48, 8, 16384, 32768), 65536, experts=(8, 2)),
            141e9,
            "mistralai/Mixtral-8x22B-v0.1 config.json",
            date(2024, 4, 17),
        ),
        NamedArchitecture(
            "minimax-m2",
            "MiniMax M2, a mixture of experts",
            _decoder("MiniMax-M2", (62, 3072, 48, 8, 1536, 200064), 196608, experts=(256, 8), head_width=128),
            230e9,
            "MiniMaxAI/MiniMax-M2 config.json and model card",
            date(2025, 10, 27),
        ),
        NamedArchitecture(
            "deepseek-v3",
            "DeepSeek V3, a mixture of experts with latent attention",
            replace(
                _decoder("DeepSeek-V3", (61, 7168, 128, 128, 2048, 129280), 163840, experts=(256, 8), head_width=128),
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
                _decoder("DeepSeek-R1", (61, 7168, 128, 128, 2048, 129280), 163840, experts=(256, 8), head_width=128),
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
                _decoder("Kimi-K2", (61, 7168, 64, 64, 2048, 163840), 131072, experts=(384, 8), head_width=128),
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
        NamedArchitecture(
            "gpt-3-175b",
            "GPT-3 175B",
            _decoder("GPT-3-175B", (96, 12288, 96, 96, 49152, 50257), 2048, tied=True, gated=False),
            175e9,
            "Brown et al. 2020, table 2.1",
            date(2020, 5, 28),
        ),
    )
)


def _shape(key: str) -> Transformer:
    return ARCHITECTURES[key].architecture


JOBS: Mapping[str, JobPreset] = MappingProxyType(
    {
        preset.key: preset
        for preset in (
            JobPreset(
                "finetune-small",
                "Fine-tune a small transformer",
                TrainingJob(
                    name="Fine-tune SmolLM-135M",
                    architecture=_shape("smollm-135m"),
                    num_tokens=20e6,
                    sequence_length=1024,
                    global_batch=32,
                ),
            ),
            JobPreset(
                "serve-small",
                "Serve a small transformer",
                InferenceJob(
                    name="Serve SmolLM-135M",
                    architecture=_shape("smollm-135m"),
                    prompt_tokens=256,
                    output_tokens=128,
                    concurrency=8,
                ),
            ),
            JobPreset(
                "pretrain-tiny",
                "Pre-train a tiny transformer, for a laptop",
                TrainingJob(
                    name="Pre-train Stories-15M",
                    architecture=_shape("stories-15m"),
                    num_tokens=50e6,
                    sequence_length=256,
                    global_batch=64,
                ),
            ),
            JobPreset(
                "pretrain-bert",
                "Pre-train a BERT encoder",
                TrainingJob(
                    name="Pre-train BERT-base",
                    architecture=_shape("bert-base"),
                    num_tokens=16e9,
                    sequence_length=512,
                    global_batch=256,
                ),
            ),
            JobPreset(
                "finetune-llama-3-8b",
                "Fine-tune Llama 3 8B, all weights",
                TrainingJob(
                    name="Fine-tune Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    num_tokens=100e6,
                    sequence_length=4096,
                    global_batch=64,
                    recompute=Recompute.FULL,
                ),
            ),
            JobPreset(
                "lora-llama-3-8b",
                "Fine-tune Llama 3 8B with adapters",
                TrainingJob(
                    name="Fine-tune Llama-3-8B by LoRA",
                    architecture=_shape("llama-3-8b"),
                    num_tokens=100e6,
                    sequence_length=4096,
                    global_batch=64,
                    method=TrainingMethod.LORA,
                    recompute=Recompute.FULL,
                ),
            ),
            JobPreset(
                "pretrain-1b",
                "Pre-train a transformer of 1.1 B parameters",
                TrainingJob(
                    name="Pre-train TinyLlama-1.1B",
                    architecture=_shape("tinyllama-1.1b"),
                    num_tokens=22e9,
                    sequence_length=2048,
                    global_batch=512,
                ),
            ),
            JobPreset(
                "serve-llama-3-8b",
                "Serve Llama 3 8B as a chat service",
                InferenceJob(
                    name="Chat service on Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    prompt_tokens=1024,
                    output_tokens=256,
                    concurrency=32,
                ),
            ),
            JobPreset(
                "serve-llama-3-70b",
                "Serve Llama 3 70B as a chat service",
                InferenceJob(
                    name="Chat service on Llama-3-70B",
                    architecture=_shape("llama-3-70b"),
                    prompt_tokens=1024,
                    output_tokens=256,
                    concurrency=32,
                ),
            ),
            JobPreset(
                "summarise-llama-3-8b-fp8",
                "Summarise a million documents with Llama 3 8B in fp8",
                InferenceJob(
                    name="Summarise documents with Llama-3-8B",
                    architecture=_shape("llama-3-8b"),
                    prompt_tokens=3000,
                    output_tokens=200,
                    num_requests=1e6,
                    dtype=Dtype.FP8,
                ),
            ),
        )
    }
)

FIRST_RUN_JOBS: tuple[str, ...] = ("finetune-small", "serve-small")
