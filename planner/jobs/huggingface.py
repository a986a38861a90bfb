"""A transformer from a Hugging Face `config.json`: the names that published configurations use, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planner.jobs.architecture import Transformer

MAX_CHARACTERS = 200_000
# What each figure is called in configurations, the most common name first.
NAMES = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads"),
    "vocab": ("vocab_size",),
}
OPTIONAL = {
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "ffn": ("moe_intermediate_size", "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "max_positions": ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length"),
    "head_width": ("head_dim",),
    "num_experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token"),
    "shared_experts": ("n_shared_experts",),
}
# Families whose feed-forward networks have no gate, and those that look both ways.
UNGATED = (
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "opt",
    "bloom",
    "falcon",
    "mpt",
    "phi",
    "bert",
    "roberta",
    "starcoder2",
)
ENCODERS = ("bert", "roberta", "distilbert", "electra", "deberta", "albert", "xlm-roberta", "modernbert", "vit", "deit")


def architecture_from_config(text: str) -> Transformer:
    """The architecture that the text of a configuration describes. Raises ValueError saying what is missing."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a configuration has at most {MAX_CHARACTERS:,} characters, not {len(text):,}")
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError("a configuration is a JSON object")
    inner = config.get("text_config")
    return _architecture({**config, **inner} if isinstance(inner, dict) else config)


def _architecture(config: Mapping[str, Any]) -> Transformer:
    family = str(config.get("model_type", "")).casefold()
    needed = {name: _whole(config, keys) for name, keys in NAMES.items()}
    missing = [NAMES[name][0] for name, value in needed.items() if value is None]
    if missing:
        raise ValueError(f"the configuration does not state {', '.join(missing)}")
    figures: dict[str, Any] = {name: _whole(config, keys) for name, keys in OPTIONAL.items()}
    figures = {name: value for name, value in (needed | figures).items() if value is not None}
    figures.setdefault("num_kv_heads", 1 if config.get("multi_query") is True else figures["num_heads"])
    gated = family not in UNGATED and family not in ENCODERS
    figures.setdefault("ffn", 4 * figures["hidden"])
    if "num_experts" not in figures or figures["num_experts"] < 2:
        figures = {name: value for name, value in figures.items() if "expert" not in name}
        dense = _whole(config, OPTIONAL["ffn"][1:])
        figures["ffn"] = dense if dense is not None else figures["ffn"]
    return Transformer(
        name=str(config.get("_name_or_path") or family or "custom"),
        gated=gated,
        tied_embeddings=config.get("tie_word_embeddings") is True or family in (*UNGATED, *ENCODERS),
        causal=family not in ENCODERS,
        **figures,
    )


def _whole(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    """The first of the keys that is there, as a whole number. Raises ValueError for something else."""
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise ValueError(f"{key} must be a whole number, not {value!r}")
        return int(value) or None
    return None
