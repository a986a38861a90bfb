"""Number formats as tables spell them: "FP8 (E4M3)", "W4A16-AWQ", "Q5_K_M", "GPTQ-Int4", "4.0bpw", "bfloat16"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.hardware.gpu import Dtype

# Bits of a stored weight with its scales: groups of 128 with a 16-bit scale and a zero (GPTQ, AWQ), of 32 with an 8-bit
# scale (OCP MX), 8 bits with a scale per 32 (q8_0).
GROUP = 128
SCALE_BITS = 16
MX_4BIT = 4.25
Q8_0 = 8.5
# Bits per weight of a whole file in llama.cpp's formats, as its tools/quantize/README.md has them for Llama 3.1 8B
# (read 2026-11-21); q4_k_m between those of Llama 2 7B and Llama 3 8B; those that end in _0 and _1 by their blocks of
# 32 weights with one or two 16-bit numbers.
GGUF = {
    "iq1s": 2.00,
    "iq1m": 2.15,
    "iq2xxs": 2.38,
    "iq2xs": 2.59,
    "iq2s": 2.74,
    "iq2m": 2.93,
    "iq3xxs": 3.25,
    "iq3xs": 3.50,
    "iq3s": 3.66,
    "iq3m": 3.76,
    "iq4xs": 4.46,
    "iq4nl": 4.68,
    "q2ks": 2.97,
    "q2k": 3.16,
    "q3ks": 3.64,
    "q3km": 4.00,
    "q3kl": 4.30,
    "q4ks": 4.67,
    "q4km": 4.85,
    "q5ks": 5.57,
    "q5km": 5.70,
    "q6k": 6.56,
    "q40": 4.5,
    "q41": 5.0,
    "q50": 5.5,
    "q51": 6.0,
    "q80": Q8_0,
}
USUAL_SUFFIX = "m"  # of a k-quant that does not state its mixture
PACKERS = re.compile(r"awq|gptq|marlin|nf4|bnb|bitsandbytes|hqq|eetq|exl[23]?|quip|aqlm")
BY_WEIGHTS = re.compile(r"\bwoq?\b|weight only|weights? only|llm int8")
SIXTEEN = re.compile(r"\b(?:b?fp?16|bfloat16|float16|half|amp|mixed|16 bits?)\b")
CACHE = re.compile(
    r"\bkv(?: cache)? (?:in )?(?P<after>[a-z]*\d+(?: e[45]m[23])?)|"
    r"(?P<before>\b[a-z]+\d+(?: e[45]m[23])?) ?kv(?: cache)?\b"
)


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a table says: the format of the products (None: 16 bits beside packed weights, or 8-bit integers where the
    GPU and the network multiply them), the bits of a stored weight where they are packed, and the cache's format."""

    dtype: Dtype | None = None
    weight_bits: float | None = None
    kv_dtype: Dtype | None = None
    is_mx: bool = False  # 4 bits that engines multiply in 8 where they can


def spelled(text: str) -> Spelled | None:
    """The formats that a text names; None where it names none that is known, or several that exclude each other."""
    plain = _plain(text)
    found = CACHE.search(plain)
    cache = None if found is None else plain_format(found["after"] or found["before"])
    if found is not None:
        plain = f"{plain[: found.start()]} {plain[found.end() :]}".strip()
    weights = _weights(plain)
    return None if weights is None else Spelled(weights.dtype, weights.weight_bits, cache, weights.is_mx)


def plain_format(text: str) -> Dtype | None:
    """The format of plain numbers, as of a cache; None where none, or another, is named."""
    plain = _plain(text)
    if re.search(r"fp4|int4|\b4 bits?\b", plain):
        return Dtype.FP4
    if re.search(r"fp8|e4m3|e5m2|float8", plain):
        return Dtype.FP8
    if re.search(r"int8|\b8 bits?\b", plain):
        return Dtype.INT8
    return _wide(plain)


def grouped_bits(bits: int) -> float:
    """Of a weight in groups that share a scale of 16 bits and a zero."""
    return round(bits + (SCALE_BITS + bits) / GROUP, 2)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", " ", text.casefold()).strip()


def _weights(plain: str) -> Spelled | None:
    packed = _in_file(plain)
    if packed is not None:
        return Spelled(weight_bits=packed)
    found = re.search(r"w(\d+)a(\d+)", plain)
    if found:
        return _both(int(found[1]), int(found[2]), "fp8" in plain)
    kinds = [kind for kind in (_fp4(plain), _fp8(plain), _integers(plain)) if kind is not None]
    if len(kinds) > 1:
        return None
    if kinds:
        return kinds[0]
    wide = _wide(plain)
    return None if wide is None else Spelled(wide)


def _in_file(plain: str) -> float | None:
    """Bits per weight of llama.cpp's and MLC's formats, or as stated."""
    stated = re.search(r"(\d+(?:\.\d+)?) ?(?:bpw|bits? per weight)", plain)
    if stated and 1.0 < float(stated[1]) <= 8.5:
        return float(stated[1])
    compiled = re.search(r"\bq([34])f(?:16|32)\b", plain)
    if compiled:
        return int(compiled[1]) + 0.5  # groups of 32 weights share a 16-bit scale (MLC LLM documentation)
    found = re.search(r"\bi?q[1-8] ?(?:k ?[sml]?\b|[01]\b|xxs\b|xs\b|nl\b|[sm]\b)", plain)
    if found is None:
        return None
    name = found[0].replace(" ", "")
    return GGUF.get(name, GGUF.get(name + USUAL_SUFFIX))


def _both(weights: int, activations: int, is_float: bool) -> Spelled | None:
    """W4A16 and the like: bits of weights and of what they are multiplied with."""
    if weights not in range(2, 17) or activations not in (4, 8, 16):
        return None
    packed = None if weights >= activations else grouped_bits(weights)
    if activations == 16:
        packed = Q8_0 if weights == 8 else packed
        return Spelled(weight_bits=packed) if packed else Spelled(Dtype.BF16)
    if activations == 8:
        return Spelled(Dtype.FP8 if is_float else Dtype.INT8, packed)
    return Spelled(Dtype.FP4)


def _fp4(plain: str) -> Spelled | None:
    found = re.search(r"(nv|mx)?fp4|e2m1", plain)
    return None if found is None else Spelled(Dtype.FP4, MX_4BIT if found[1] == "mx" else None, is_mx=found[1] == "mx")


def _fp8(plain: str) -> Spelled | None:
    return Spelled(Dtype.FP8) if re.search(r"fp8|float8|e4m3|e5m2", plain) else None


def _integers(plain: str) -> Spelled | None:
    """Weights of so many bits; of 8 both may be multiplied as they lie."""
    packer = PACKERS.search(plain)
    found = re.search(r"(?:u?int|q|w|fp(?=6)) ?([2-8])\b|\b([2-8]) ?bits?\b", plain)
    near = re.search(rf"(?:{PACKERS.pattern}) ?([2-8])\b", plain)
    if found is None and near is None and packer is None:
        return Spelled(Dtype.INT8) if re.search(r"smooth ?quant|\bsq\b", plain) else None
    bits = int((found[1] or found[2]) if found else near[1] if near else 4)
    if bits != 8:
        return Spelled(weight_bits=grouped_bits(bits))
    if re.search(r"smooth ?quant|\bsq\b", plain):
        return Spelled(Dtype.INT8)
    return Spelled(weight_bits=Q8_0) if packer or BY_WEIGHTS.search(plain) else Spelled()


def _wide(plain: str) -> Dtype | None:
    if re.search(r"tf32|tensorfloat", plain):
        return Dtype.TF32
    if re.search(r"bf16|bfloat16", plain):
        return Dtype.BF16
    if SIXTEEN.search(plain):
        return Dtype.FP16
    return Dtype.FP32 if re.search(r"\b(?:fp?32|float32|single|32 bits?)\b", plain) else None
