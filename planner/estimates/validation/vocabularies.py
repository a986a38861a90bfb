"""How many words the networks of one line know, where a table leaves it out: `vocab_size` of their configurations."""

from __future__ import annotations

import re
from typing import NamedTuple

from planner.jobs.known.sources import (
    AICONFIGURATOR,
    LITGPT,
    LLM_ANALYSIS,
    MAXTEXT,
    MLC,
    NEMO,
    TRANSFORMERS,
)


class Line(NamedTuple):
    """Networks whose name, without its maker, begins with `pattern`, and how many words they know."""

    pattern: str
    words: int
    source: str  # where it was read


NOT_READ = "from memory of their configurations, not read again"

# The first that fits; later releases of a line, and what is made of another's, stand before it.
BY_LINE = (
    Line("deepseek-?r1-?distill-?llama", 128_256, f"made of Llama 3.1 and 3.3, as in {LITGPT}"),
    Line("deepseek-?r1-?distill-?qwen", 152_064, f"made of Qwen2.5 from 7B on, as in {LITGPT}"),
    Line(r"(?:meta-?)?llama-?4(?!\d)", 202_048, f"Llama 4 Scout and Maverick in {AICONFIGURATOR}"),
    Line(r"(?:meta-?)?llama-?3(?!\d)", 128_256, LITGPT),
    Line("mistral-?nemo|mistral-?small-?(?:24b|3)|ministral-?3", 131_072, f"{LITGPT}; Ministral 3 in {MLC}"),
    Line(r"mistral-?large|mixtral-?8x22b|mistral-?7b-?(?:instruct-?)?v0\.3", 32_768, LITGPT),
    Line("code-?llama-?(?:7|13|70)b", 32_016, LITGPT),
    Line("(?:meta-?)?llama|vicuna|mistral|mixtral|code-?llama|tinyllama|open-?llama", 32_000, LITGPT),
    Line("nemotron", 256_000, f"the defaults of {TRANSFORMERS}/nemotron/configuration_nemotron.py"),
    Line(r"gemma-?3(?!\d)", 262_208, f"{NEMO}/gemma3.py"),
    Line("gemma", 256_000, LITGPT),
    Line(r"qwen-?3\.5", 248_320, "THUDM/slime, scripts/models/qwen3.5-27B.sh"),
    Line("qwen", 151_936, f"{MLC} (152,064 in Qwen2 and Qwen2.5 from 7B on)"),
    Line("deepseek-?(?:v3|r1)", 129_280, "deepseek2.vocab_size as printed in ikawrakow/ik_llama.cpp, pull request 262"),
    Line("deepseek-?coder(?!-?v2)", 32_256, "DeepSeek Coder 1.3B as printed"),
    Line("deepseek", 102_400, MLC),
    Line("yi-", 64_000, "InternLM/InternEvo-HFModels, huggingface_model/yi/yi_6B/configuration_yi.py"),
    Line("bloom", 250_880, f"{LLM_ANALYSIS}/bigscience_bloom-7b1.json"),
    Line("opt-", 50_272, f"{LLM_ANALYSIS}/facebook_opt-66b.json"),
    Line(r"falcon-?3(?!\d)", 131_072, LITGPT),
    Line("falcon", 65_024, LITGPT),
    Line(r"star-?coder|smollm(?!-?3(?!\d))", 49_152, MLC),
    Line("granite", 49_152, NOT_READ),
    Line("dbrx", 100_352, f"{LLM_ANALYSIS}/dbrx.json"),
    Line(r"internlm-?2(?!\d)", 92_544, MLC),
    Line(r"internlm(?!-?3(?!\d))", 103_168, MLC),
    Line(r"baichuan-?2(?!\d)", 125_696, MLC),
    Line("baichuan", 64_000, "the defaults of configuration_baichuan.py of Baichuan-13B"),
    Line(r"(?:chat)?glm-?[23](?!\d)", 65_024, MLC),
    Line(r"(?:chat)?glm-?4(?!\d)", 151_552, f"the defaults of {TRANSFORMERS}/glm/configuration_glm.py"),
    Line("glm-?130b", 150_528, "THUDM/GLM-130B, configs/model_glm_130b_int4.sh"),
    Line("grok", 131_072, "xai-org/grok-1, run.py"),
    Line("c4ai|command-?r", 256_000, f"the defaults of {TRANSFORMERS}/cohere/configuration_cohere.py"),
    Line("gpt-?oss", 201_088, f"{MAXTEXT}/gpt-oss-20b.yml"),
)


def usual_vocabulary(name: str) -> int | None:
    """Words that a network of that name knows as far as its line is known, else None. Blanks count as hyphens."""
    plain = re.sub(r"[\s_]+", "-", name.casefold().rpartition("/")[2].strip())
    return next((line.words for line in BY_LINE if re.match(line.pattern, plain)), None)
