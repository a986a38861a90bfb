"""A transformer from a Hugging Face `config.json`: the names that published configurations use, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.jobs.architecture import Transformer

MAX_CHARACTERS = 200_000
# What each figure is called in configurations, the most common name first.
NAMES = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "vocab": ("vocab_size",),
}
OPTIONAL = {
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "ffn": ("moe_intermediate_size", "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_inner"),
    "max_positions": ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length"),
    "head_width": ("head_dim", "d_head"),
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
# Encoder–decoders. Their halves may differ; T5's positions are relative, and without a limit.
T5_FAMILY = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
PAIRS = (*T5_FAMILY, "bart", "mbart", "marian", "pegasus", "blenderbot", "m2m_100", "fsmt", "prophetnet")
OF_HALVES = {
    "num_layers": ("num_decoder_layers", "decoder_layers"),
    "encoder_layers": ("num_layers", "encoder_layers"),
    "num_heads": ("decoder_attention_heads", "encoder_attention_heads", "num_heads"),
    "ffn": ("decoder_ffn_dim", "encoder_ffn_dim", "d_ff"),
}
# Networks for pictures by what their configurations state: width (and blocks per stage), or blocks, width and patch.
SWINS = {(96, (2, 2, 6, 2)): "swin-t", (128, (2, 2, 18, 2)): "swin-b", (192, (2, 2, 18, 2)): "swin-l"}
VITS = {(12, 768, 16): "vit-b-16", (24, 1024, 16): "vit-l-16", (32, 1280, 14): "vit-h-14"}
RESNETS = {
    (2, 2, 2, 2): "resnet-18",
    (3, 4, 6, 3): "resnet-50",
    (3, 4, 23, 3): "resnet-101",
    (3, 8, 36, 3): "resnet-152",
}
ENCODERS = ("bert", "roberta", "distilbert", "electra", "deberta", "albert", "xlm-roberta", "modernbert", "vit", "deit")


def architecture_from_config(text: str) -> Transformer:
    """The architecture that the text of a configuration describes. Raises ValueError saying what is missing."""
    config = _read(text)
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, dict) else config
    family = str(config.get("model_type", "")).casefold()
    if family in PAIRS or config.get("is_encoder_decoder") is True:
        return _pair(config, family)
    if family == "transfo-xl":
        return _recurrent(config)
    return _architecture(config)


def picture_from_config(text: str) -> tuple[str, int | None] | None:
    """The key of the known network for pictures that a configuration describes, and the side of its pictures (None: as
    published); None where it describes something else. Raises ValueError for a shape that no known network has."""
    config = _read(text)
    family = str(config.get("model_type", "")).casefold()
    depths = config.get("depths")
    blocks = tuple(depths) if isinstance(depths, list) else ()
    if family == "swin":
        found = SWINS.get((_whole(config, ("embed_dim",)) or 0, blocks))
    elif family in ("vit", "deit", "vit_mae", "beit"):
        layers, hidden, patch = (
            _whole(config, (name,)) or 0 for name in ("num_hidden_layers", "hidden_size", "patch_size")
        )
        found = VITS.get((layers, hidden, patch))
    elif family == "resnet":
        found = RESNETS.get(blocks)
    else:
        return None
    if found is None:
        raise ValueError(f"no {family} of that shape is known; known are those among the architectures")
    return found, _whole(config, ("image_size",))


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a configuration has at most {MAX_CHARACTERS:,} characters, not {len(text):,}")
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError("a configuration is a JSON object")
    return config


def _pair(config: Mapping[str, Any], family: str) -> Transformer:
    """An encoder–decoder: T5 states one number of layers for both halves unless told otherwise."""
    found = {name: _whole(config, keys) for name, keys in OF_HALVES.items()}
    found |= {name: _whole(config, NAMES[name]) for name in ("hidden", "vocab")}
    found["num_layers"] = found["num_layers"] or found["encoder_layers"]
    found["encoder_layers"] = found["encoder_layers"] or found["num_layers"]
    missing = [OF_HALVES.get(name, NAMES.get(name, ()))[0] for name, value in found.items() if value is None]
    if missing:
        raise ValueError(f"the configuration does not state {', '.join(missing)}")
    is_t5 = family in T5_FAMILY
    heads = {"head_width": _whole(config, ("d_kv", "head_dim"))}
    limit = None if is_t5 else _whole(config, OPTIONAL["max_positions"])
    figures: dict[str, Any] = {name: value for name, value in (found | heads).items() if value is not None}
    return Transformer(
        name=str(config.get("_name_or_path") or family or "custom"),
        num_kv_heads=figures["num_heads"],
        gated=config.get("is_gated_act") is True or str(config.get("feed_forward_proj", "")).startswith("gated"),
        tied_embeddings=config.get("tie_word_embeddings") is not False,
        max_positions=limit,
        **figures,
    )


def _recurrent(config: Mapping[str, Any]) -> Transformer:
    """Transformer-XL: memory of the segment before, and a vocabulary cut by rank."""
    base = _architecture(config)
    cutoffs = config.get("cutoffs")
    if not isinstance(cutoffs, list) or not all(isinstance(cutoff, int) for cutoff in cutoffs):
        raise ValueError("the configuration does not state cutoffs, the ranks at which its vocabulary is cut")
    return replace(
        base,
        gated=False,
        tied_embeddings=True,
        max_positions=None,
        cutoffs=tuple(cutoff for cutoff in cutoffs if cutoff < base.vocab),
        cutoff_divisor=_whole(config, ("div_val",)) or 1,
        segment_memory=_whole(config, ("mem_len",)) or 0,
    )


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
