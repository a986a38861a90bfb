"""Published names of networks, and the shipped shapes that they mean."""

from __future__ import annotations

import pytest

from planner.estimates.validation.names import known_shapes
from planner.jobs.presets import ARCHITECTURES


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3-70b"),
        ("Meta-Llama-3-8B", "llama-3-8b"),
        ("Llama 3.1 405B", "llama-3.1-405b"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
        ("lmsys/vicuna-13B", "llama-2-13b"),
        ("metaai/llama-65B", "llama-65b"),
        ("codellama/CodeLlama-34b-Instruct-hf", "codellama-34b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama-3-70b"),
        ("DeepSeek-R1-Distill-Qwen-32B", "qwen2.5-32b"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3"),
        ("DeepSeek-V2-Lite-Chat", "deepseek-v2-lite"),
        ("Llama-4-Maverick-17B-128E-Instruct-FP8", "llama-4-maverick"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-7b"),
        ("Qwen3-VL-235B-A22B", "qwen3-235b-a22b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("google/gemma-2-27b-it", "gemma-2-27b"),
        ("CohereForAI/c4ai-command-r-plus-08-2024", "command-r-plus"),
        ("BERT-large (SQuAD)", "bert-large"),
        ("Qwen/Qwen3-Embedding-8B", "qwen3-8b"),
        ("microsoft/Phi-4-mini-instruct", None),
        ("c4ai-command-r7b", None),
        ("Mistral-Large-3", None),
    ],
)
def test_a_published_name_means_one_shape_or_none(name: str, key: str | None) -> None:
    found = known_shapes(name)
    assert found[:1] == (() if key is None else (ARCHITECTURES[key].architecture,))
