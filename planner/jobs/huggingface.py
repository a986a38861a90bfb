"""A transformer from a Hugging Face `config.json`: the names that published configurations use, nothing fetched."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.jobs.architecture import Transformer
from planner.jobs.config_names import (
    ACTIVATIONS,
    ENCODERS,
    EVERY,
    EXPERT_WIDTH,
    EXPERTS,
    FIRST_DENSE,
    GATED,
    GATING,
    LARGEST,
    NAMES,
    OF_HALVES,
    OPTIONAL,
    OTHER_PARTS,
    PAIRS,
    PICKED,
    RESNETS,
    SHARED,
    STATE_KEYS,
    STATEFUL,
    STATES,
    SWINS,
    T5_FAMILY,
    TEXT_PARTS,
    TIED,
    UNGATED,
    USUAL,
    VITS,
)

MAX_CHARACTERS = 200_000
Config = Mapping[str, Any]


def architecture_from_config(text: str) -> Transformer:
    """The architecture that the text of a configuration describes; of a model for several kinds of input the part that
    reads and writes text, named so. Raises ValueError saying what is missing or not estimated."""
    config = _read(text)
    part = next((config[name] for name in TEXT_PARTS if isinstance(config.get(name), dict)), None)
    has_others = any(config.get(name) for name in OTHER_PARTS)
    if part is not None:
        config = {**{name: value for name, value in config.items() if name != "model_type"}, **part}
    config = {**USUAL.get(_family(config), {}), **_flat(config)}
    _refuse_states(config)
    if _family(config) in PAIRS or config.get("is_encoder_decoder") is True:
        found = _pair(config)
    elif _family(config) == "transfo-xl":
        found = _recurrent(config)
    else:
        found = _architecture(config)
    return replace(found, name=f"{found.name}, text part") if has_others else found


def picture_from_config(text: str) -> tuple[str, int | None] | None:
    """The key of the known network for pictures that a configuration describes, and the side of its pictures (None: as
    published); None where it describes something else. Raises ValueError for a shape that no known network has."""
    config = _read(text)
    family = _family(config)
    depths = config.get("depths")
    blocks = tuple(each for each in depths if isinstance(each, int)) if isinstance(depths, list) else ()
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
        config = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError("a configuration is a JSON object")
    return config


def _family(config: Config) -> str:
    return str(config.get("model_type") or "").casefold()


def _flat(config: Config) -> dict[str, Any]:
    """The configuration with the figures of its parts for attention and feed-forward beside the others (DBRX)."""
    found = dict(config)
    for part in ("attn_config", "ffn_config"):
        inner = config.get(part)
        if isinstance(inner, dict):
            found |= {name: value for name, value in inner.items() if name not in found}
    if "kv_n_heads" in found:
        found.setdefault("num_kv_heads", found["kv_n_heads"])
    return found


def _refuse_states(config: Config) -> None:
    """Raise ValueError where layers carry a state instead of attending: they are not counted here."""
    family, kinds = _family(config), config.get("layer_types") or config.get("layers_block_type") or ()
    listed = {str(kind).casefold() for kind in kinds} if isinstance(kinds, list) else set()
    marks = [key for key in STATE_KEYS if config.get(key)]
    marks += sorted(kind for kind in listed if any(state in kind for state in STATES))
    if family in STATEFUL or marks:
        why = f" ({', '.join(marks)})" if marks else ""
        raise ValueError(
            f"{family or 'this model'} has layers that carry a state instead of attending{why}, which are not estimated"
        )


def _pair(config: Config) -> Transformer:
    """An encoder–decoder: T5 states one number of layers for both halves unless told otherwise."""
    family = _family(config)
    found = {name: _figure(config, name, keys) for name, keys in OF_HALVES.items()}
    found |= {name: _figure(config, name, NAMES[name]) for name in ("hidden", "vocab")}
    found["num_layers"] = found["num_layers"] or found["encoder_layers"]
    found["encoder_layers"] = found["encoder_layers"] or found["num_layers"]
    missing = [OF_HALVES.get(name, NAMES.get(name, ()))[0] for name, value in found.items() if value is None]
    if missing:
        raise ValueError(f"the configuration does not state {', '.join(missing)}")
    is_t5 = family in T5_FAMILY
    heads = {"head_width": _figure(config, "head_width", ("d_kv", "head_dim"))}
    limit = None if is_t5 else _figure(config, "max_positions", OPTIONAL["max_positions"])
    figures: dict[str, Any] = {name: value for name, value in (found | heads).items() if value is not None}
    return Transformer(
        name=_name(config),
        num_kv_heads=figures["num_heads"],
        gated=config.get("is_gated_act") is True or str(config.get("feed_forward_proj", "")).startswith("gated"),
        tied_embeddings=config.get("tie_word_embeddings") is not False,
        max_positions=limit,
        **figures,
    )


def _recurrent(config: Config) -> Transformer:
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


def _architecture(config: Config) -> Transformer:
    needed = {name: _figure(config, name, keys) for name, keys in NAMES.items()}
    missing = [NAMES[name][0] for name, value in needed.items() if value is None]
    if missing:
        raise ValueError(f"the configuration does not state {', '.join(missing)}")
    optional = {name: _figure(config, name, keys) for name, keys in OPTIONAL.items()}
    figures: dict[str, Any] = {name: value for name, value in (needed | optional).items() if value is not None}
    figures["num_kv_heads"] = _kv_heads(config, figures)
    figures.setdefault("ffn", 4 * figures["hidden"])
    family = _family(config)
    encodes = family in ENCODERS
    return Transformer(
        name=_name(config),
        gated=_is_gated(config),
        tied_embeddings=_is_tied(config),
        causal=not encodes,
        **figures
        | _experts(config, figures)
        | _latent(config, figures["num_heads"])
        | _windows(config, figures)
        | _embedding(config, figures),
    )


def _name(config: Config) -> str:
    return str(config.get("_name_or_path") or _family(config) or "custom")[:100]


def _is_gated(config: Config) -> bool:
    """By the family, else by the activation; where neither is stated as in most decoders of today."""
    family = _family(config)
    activation = next((config[key] for key in ACTIVATIONS if key in config), None)
    if family in GATED or str(activation).casefold() in GATING:
        return True
    return family not in UNGATED and family not in ENCODERS and activation is None


def _is_tied(config: Config) -> bool:
    stated = config.get("tie_word_embeddings")
    if isinstance(stated, bool):
        return stated
    return _family(config) in (*TIED, *ENCODERS)


def _kv_heads(config: Config, figures: Config) -> int:
    """As stated; all keys and values in one head where queries alone have several; latents serve every head."""
    groups = _whole(config, ("multi_query_group_num",)) if config.get("multi_query_attention") else None
    if groups is not None:
        return groups
    if _whole(config, ("kv_lora_rank",)) is not None:
        return int(figures["num_heads"])
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        return 1
    return int(figures.get("num_kv_heads", figures["num_heads"]))


def _experts(config: Config, figures: Config) -> dict[str, Any]:
    """Experts, those that every token passes, and the layers that have one network in their place. Empty: none."""
    number = _figure(config, "num_experts", EXPERTS)
    if number is None or number < 2:
        return {}
    picked = _whole(config, PICKED)
    if picked is None:
        raise ValueError(f"the configuration states {number} experts and not how many a token picks ({PICKED[0]})")
    dense, layers = int(figures["ffn"]), int(figures["num_layers"])
    width = _figure(config, "ffn", EXPERT_WIDTH) or dense
    found: dict[str, Any] = {"num_experts": number, "experts_per_token": picked, "ffn": width}
    found["shared_experts"] = _shared_experts(config, width)
    plain = _dense_layers(config, layers)
    if plain:
        wide = _figure(config, "ffn", ("intermediate_size_mlp", "dense_intermediate_size")) or dense
        found |= {"dense_layers": plain, "dense_ffn": wide}
    return found


def _shared_experts(config: Config, width: int) -> int:
    shared = _whole(config, SHARED)
    if shared is not None:
        return shared
    if _family(config).startswith("llama4"):
        return 1  # of the width of an expert, in every layer with experts
    together = _whole(config, ("shared_expert_intermediate_size", "shared_intermediate_size"))
    if together is None:
        return 0
    if together % width:
        raise ValueError(f"shared experts {together:,} wide are no multiple of an expert's {width:,}: not estimated")
    return together // width


def _dense_layers(config: Config, layers: int) -> int:
    """Layers without experts: the first so many, all but every so manyth, or those that are listed."""
    marked = config.get("moe_layer_freq")
    if isinstance(marked, list):
        return sum(not mark for mark in marked[:layers])
    step, first = _whole(config, EVERY) or 1, _whole(config, FIRST_DENSE) or 0
    listed = config.get("mlp_only_layers")
    plain = {place for place in range(layers) if place < first or (place + 1) % step}
    if isinstance(listed, list):
        plain |= {place for place in listed if isinstance(place, int) and 0 <= place < layers}
    if len(plain) >= layers:
        raise ValueError("the configuration states experts, and that no layer has them")
    return len(plain)


def _latent(config: Config, heads: int) -> dict[str, Any]:
    """Multi-head latent attention (DeepSeek). Empty: keys and values are kept as they are."""
    latent = _whole(config, ("kv_lora_rank",))
    if latent is None:
        return {}
    rope, plain, value = (_whole(config, (f"{name}_head_dim",)) for name in ("qk_rope", "qk_nope", "v"))
    if rope is None or plain is None or value is None:
        lacking = "qk_rope_head_dim, qk_nope_head_dim, v_head_dim"
        raise ValueError(f"the configuration states kv_lora_rank and not {lacking}")
    if plain != value:
        raise ValueError(
            f"keys of {plain} and values of {value} elements per head (latent attention) are not estimated"
        )
    return {
        "num_kv_heads": heads,
        "head_width": value,
        "latent_kv": latent + rope,
        "latent_rope": rope,
        "latent_query": _whole(config, ("q_lora_rank",)) or 0,
    }


def _windows(config: Config, figures: Config) -> dict[str, Any]:
    """Layers that look back a window, and its length: as listed, by a pattern, else all. Empty: none does."""
    window = _whole(config, ("sliding_window", "attention_chunk_size", "local_attention", "window_size"))
    layers, limit = int(figures["num_layers"]), figures.get("max_positions")
    if window is None or config.get("use_sliding_window") is False or (limit is not None and window >= limit):
        return {}
    kinds = config.get("layer_types")
    pattern = _whole(config, ("sliding_window_pattern", "global_attn_every_n_layers"))
    whole_first = _whole(config, ("max_window_layers",))
    if isinstance(kinds, list) and len(kinds) == layers:
        narrow = sum("full" not in str(kind) and "global" not in str(kind) for kind in kinds)
    elif _family(config).startswith("llama4"):
        narrow = layers - layers // 4  # every fourth layer sees everything (its configuration class)
    elif pattern is not None:  # the last of so many sees everything, of ModernBERT's the first
        narrow = layers - (math.ceil(layers / pattern) if "local_attention" in config else layers // pattern)
    elif config.get("use_sliding_window") is True and whole_first is not None:
        narrow = max(layers - whole_first, 0)
    else:
        narrow = layers
    return {"window": window, "windowed_layers": narrow} if narrow else {}


def _embedding(config: Config, figures: Config) -> dict[str, Any]:
    """Vectors of words narrower than the rest, and layers that share their weights (ALBERT, ELECTRA, OPT)."""
    found: dict[str, Any] = {}
    narrow = _figure(config, "hidden", ("embedding_size", "word_embed_proj_dim"))
    if narrow is not None and narrow != figures["hidden"]:
        found["embedding_width"] = narrow
    if _family(config) == "albert":
        found |= {"layer_groups": _whole(config, ("num_hidden_groups",)) or 1, "pooler": True}
    return found


def _figure(config: Config, name: str, keys: tuple[str, ...]) -> int | None:
    """A figure of an architecture. Raises ValueError for one that is no whole number, or beyond all reason."""
    found = _whole(config, keys)
    if found is not None and found > LARGEST.get(name, found):
        key = next(key for key in keys if config.get(key))
        raise ValueError(f"{key} must be at most {LARGEST[name]:,}, not {found:,}")
    return found


def _whole(config: Config, keys: tuple[str, ...]) -> int | None:
    """The first of the keys that is there, as a whole number; None for 0. Raises ValueError for something else."""
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        is_whole = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value.is_integer())
        if not is_whole or isinstance(value, bool) or value < 0:
            raise ValueError(f"{key} must be a whole number, not {str(value)[:60]!r}")
        return int(value) or None
    return None
