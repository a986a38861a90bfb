"""How many words the networks of one line know, where a table leaves it out: `vocab_size` of their configurations,
written down from memory of them and not read again."""

from __future__ import annotations

import re

# The first that the name, without its maker, begins with; later releases of a line stand before it.
BY_LINE = (
    ("llama-?(?:3|4)", 128_256),
    ("llama|vicuna|mistral|mixtral|code-?llama|tinyllama|open-?llama", 32_000),
    ("nemotron", 256_000),
    ("gemma", 256_000),
    ("qwen", 151_936),
    ("deepseek-?(?:v3|r1)", 129_280),
    ("deepseek", 102_400),
    ("yi-", 64_000),
    ("bloom", 250_880),
    ("opt-", 50_272),
    ("falcon", 65_024),
    ("star-?coder|smollm|granite", 49_152),
    ("dbrx", 100_352),
    ("internlm-?2", 92_544),
    ("internlm", 103_168),
    ("baichuan-?2", 125_696),
    ("baichuan", 64_000),
    ("(?:chat)?glm-?[23]", 65_024),
    ("glm-?130b", 150_528),
    ("grok", 131_072),
    ("c4ai|command-?r", 256_000),
    ("gpt-?oss", 201_088),
)


def usual_vocabulary(name: str) -> int | None:
    """Words that a network of that name knows as far as its line is known, else None."""
    plain = name.casefold().rpartition("/")[2].strip()
    return next((size for line, size in BY_LINE if re.match(line, plain)), None)
