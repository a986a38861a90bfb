"""The shipped architecture that a published name means: "meta-llama/Llama-3.3-70B-Instruct" has Llama 3 70B's shape."""

from __future__ import annotations

import re
from functools import cache

from planner.jobs.architecture import Transformer
from planner.jobs.presets import ARCHITECTURES

# Names of networks that have the shape of another: later releases, tunings and distillations of it (their cards).
SAME_SHAPE = (
    (r"distill-?(llama|qwen)-?(70b|32b|14b|8b|7b|1\.5b)", r"\1-\2"),
    (r"^(?:meta-?)?llama-?(70b|8b)$", r"llama-3-\1"),  # of a distillation
    (r"^qwen-(32b|14b|7b|1\.5b)$", r"qwen2.5-\1"),
    (r"^(?:meta-?)?llama-?3(?:\.[13])?-(?:nemotron-)?(8b|70b)\b.*", r"llama-3-\1"),
    (r"^(?:meta-?)?llama-?3\.1-405b.*", "llama-3.1-405b"),
    (r"^(?:meta-?)?llama-?2-(7b|13b|70b).*", r"llama-2-\1"),
    (r"^(?:meta-?)?llama-?4-(scout|maverick).*", r"llama-4-\1"),
    (r"^(?:vicuna|koala|alpaca|guanaco|baize|wizardlm|code-?llama|llama)-(?:v[\d.]+-)?(7b|13b)\b.*", r"llama-2-\1"),
    (r"^code-?llama-70b.*", "llama-2-70b"),
    (r"^(?:vicuna|guanaco|wizardlm|llama)-(?:v[\d.]+-)?(?:30|33)b\b.*", "llama-30b"),
    (r"^(?:guanaco|llama)-65b\b.*", "llama-65b"),
    (r"^code-?llama-34b.*", "codellama-34b"),
    (r"^(?:dolly-v2|oasst-sft-\d-pythia|pythia)-12b.*", "pythia-12b"),
    (r"^qwq-32b.*", "qwen2.5-32b"),
    (r"^qwen2(?:\.5)?(?:-(?:coder|math|vl))?-(72b|32b|14b|3b|1\.5b|0\.5b).*", r"qwen2.5-\1"),
    (r"^qwen2\.5-(?:coder|math|vl)-7b.*", "qwen2.5-7b"),
    (r"^qwen3-(?:vl|coder)-(30b-a3b|235b-a22b|32b|8b|4b).*", r"qwen3-\1"),
    (r"^mistral-nemo.*", "mistral-nemo"),
    (r"^mistral-large-(?:instruct-)?2\d{3}\b.*", "mistral-large-2"),
    (r"^mistral-small-(?:3(?:\.\d)?-)?24b.*", "mistral-small-24b"),
    (r"^c4ai-command-r(-plus)?(?:-v?0\d.*)?$", r"command-r\1"),
    (r"^gpt-?j(?:-6b)?$", "gpt-j-6b"),
    (r"^phi-?3-mini.*", "phi-3-mini"),
    (r"^(?:bge-large|e5-large|gte-large)(?!-instruct).*", "bert-large"),
    (r"^(?:bge-base|e5-base|gte-base).*", "bert-base"),
    (r"^(?:xlm-roberta-large|multilingual-e5-large|bge-m3).*", "bge-m3"),
    (r"^all-minilm-l6.*", "minilm-l6"),
    (r"^(?:gte-qwen2-7b).*", "qwen2-7b"),
    (r"^(?:e5-mistral-7b|sfr-embedding-mistral).*", "mistral-7b"),
    (r"^qwen3-embedding-(8b|4b|0\.6b).*", r"qwen3-\1"),
)
# What follows the name of another network, not of a release of the same one.
OTHER = re.compile(r"\d+(?:\.\d+)?b|mini|small|tiny|multimodal|nano")


def known_shapes(name: str) -> tuple[Transformer, ...]:
    """The shipped architectures that a published name may mean, the longest key first."""
    return _known(_without_maker(name))


@cache
def _known(name: str) -> tuple[Transformer, ...]:
    told = name
    for pattern, key in SAME_SHAPE:
        found = re.search(pattern, told)
        if found:
            told = found.expand(key)
    exact = ARCHITECTURES.get(told)
    if exact is not None and told != name:
        return (exact.architecture,)
    wanted = _letters(name.replace("pretraining", ""))
    found_keys = sorted((key for key in ARCHITECTURES if _means(wanted, _letters(key))), key=len, reverse=True)
    return tuple(ARCHITECTURES[key].architecture for key in found_keys)


def _means(wanted: str, key: str) -> bool:
    return wanted.startswith(key) and OTHER.match(wanted[len(key) :]) is None


def _without_maker(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.casefold().rpartition("/")[2].strip())


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "", name)
