"""How many words a line of networks knows, by its name alone."""

from __future__ import annotations

import pytest

from planner.estimates.validation.vocabularies import BY_LINE, usual_vocabulary
from planner.jobs.presets import ARCHITECTURES


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("meta-llama/Llama-4-Scout-17B-16E", 202_048),
        ("Meta-Llama-3.1-8B", 128_256),
        ("Llama-2-7b", 32_000),
        ("LLaMA-33B", 32_000),
        ("InternLM-20B", 103_168),
        ("SmolLM-360M", 49_152),
        ("CodeLlama-13b-hf", 32_016),
        ("CodeLlama-34b-hf", 32_000),
        ("Mistral-7B-Instruct-v0.3", 32_768),
        ("Mistral-7B-v0.1", 32_000),
        ("Mistral-Small-3.1-24B-Instruct-2503", 131_072),
        ("Mistral-Small-Instruct-2409", 32_000),
        ("DeepSeek-R1-Distill-Llama-8B", 128_256),
        ("DeepSeek-R1", 129_280),
        ("deepseek-coder-6.7b", 32_256),
        ("DeepSeek-Coder-V2-Lite", 102_400),
        ("Falcon3-7B", 131_072),
        ("falcon-7b", 65_024),
        ("glm-4-9b", 151_552),
        ("GLM-130B", 150_528),
        ("SmolLM3-3B", None),
        ("some-other-network", None),
    ],
)
def test_a_later_release_of_a_line_stands_before_it(name: str, words: int | None) -> None:
    assert usual_vocabulary(name) == words


NAMED = (
    *("llama-30b", "llama-3.2-3b", "codellama-34b", "llama-4-scout", "llama-4-maverick"),
    *("mistral-nemo", "mistral-small-24b", "mistral-large-2", "mixtral-8x7b", "mixtral-8x22b"),
    *("gemma-2-9b", "gemma-3-27b", "nemotron-4-340b", "deepseek-coder-33b", "deepseek-v2", "deepseek-v3"),
    *("falcon-40b", "opt-30b", "bloom-7b1", "starcoder2-15b", "yi-6b", "glm-4-9b", "glm-4.5", "chatglm3-6b"),
    *("baichuan2-13b", "internlm2-7b", "internlm-20b", "dbrx", "grok-1", "command-r", "gpt-oss-20b", "qwen3-8b"),
)


@pytest.mark.parametrize("key", NAMED)
def test_a_line_knows_as_many_words_as_its_named_networks(key: str) -> None:
    named = ARCHITECTURES[key]
    assert usual_vocabulary(named.title) == named.architecture.vocab


def test_every_line_says_where_it_was_read() -> None:
    assert all(line.source for line in BY_LINE)
