"""How a Hugging Face `config.json` says that weights are stored: their bits with scales, and what they multiply in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.hardware.gpu import Dtype

SCALE = 16.0  # bits of a group's scale
USUAL_GROUP = 128  # weights, where GPTQ and AWQ state none (their configuration classes)
# bitsandbytes: an fp32 scale per 64 weights, or 8 bits of it and an fp32 one per 256 such (Dettmers et al. 2023).
NF4_BITS, NF4_TWICE_BITS = 4.0 + 32.0 / 64, 4.0 + 8.0 / 64 + 32.0 / (64 * 256)
MXFP4_BITS = 4.0 + 8.0 / 32  # a shared exponent per 32 weights (Open Compute Project, MX formats v1.0)


@dataclass(frozen=True, slots=True)
class Stored:
    """Bits of a block's weight, scales counted (None: those of `dtype`), and the format of the arithmetic (None: not
    stated)."""

    weight_bits: float | None = None
    dtype: Dtype | None = None


def stored_from_config(text: str) -> Stored:
    """What the text of a readable configuration says. Raises ValueError for a way of storing that is not known."""
    config = json.loads(text.lstrip("\ufeff"))
    said = config.get("quantization_config") or config.get("quantization")
    if not isinstance(said, dict):
        return Stored()
    method = str(said.get("quant_method") or ("mlx" if "bits" in said else "")).casefold()
    read = {
        "gptq": _grouped,
        "awq": _grouped,
        "mlx": _grouped,
        "bitsandbytes": _bitsandbytes,
        "compressed-tensors": _compressed,
    }.get(method)
    if method in ("fp8", "fbgemm_fp8"):
        return Stored(dtype=Dtype.FP8)
    if method == "mxfp4":
        return Stored(MXFP4_BITS)
    found = None if read is None else read(said)
    if found is None:
        name = method or "its quantization_config"
        raise ValueError(f"how {name} stores weights is not known: say the bits of a weight")
    return found


def _grouped(said: Mapping[str, Any]) -> Stored | None:
    """So many bits, and a scale and a zero for each group (-1: one per column, which is nothing)."""
    bits = said.get("bits", said.get("w_bit"))
    group = said.get("group_size", said.get("q_group_size", USUAL_GROUP))
    if not isinstance(bits, int) or not isinstance(group, int) or not 1 <= bits <= 8:
        return None
    return Stored(bits + ((SCALE + bits) / group if group > 0 else 0.0))


def _bitsandbytes(said: Mapping[str, Any]) -> Stored | None:
    if said.get("load_in_4bit") or said.get("_load_in_4bit"):
        return Stored(NF4_TWICE_BITS if said.get("bnb_4bit_use_double_quant") else NF4_BITS)
    return Stored(8.0) if said.get("load_in_8bit") or said.get("_load_in_8bit") else None


def _compressed(said: Mapping[str, Any]) -> Stored | None:
    """Weights alone, or weights and what they are multiplied with in one format of 8 bits."""
    groups = said.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    if not isinstance(first, dict) or not isinstance(first.get("weights"), dict):
        return None
    weights = first["weights"]
    if first.get("input_activations"):
        formats = {"float 8": Dtype.FP8, "int 8": Dtype.INT8, "float 4": Dtype.FP4}
        dtype = formats.get(f"{weights.get('type')} {weights.get('num_bits')}")
        return None if dtype is None else Stored(dtype=dtype)
    return _grouped({"bits": weights.get("num_bits"), "group_size": weights.get("group_size") or -1})
