"""Metrics of inference tables as they are spelled: "ITL_ms", "Output tokens (tok/s)", "energy_wh_per_token"."""

from __future__ import annotations

import re

# By the whole name without its unit of time; each is the same figure under another name.
SAME_FIGURE = {
    "itl": "tpot",
    "inter_token_latency": "tpot",
    "time_per_output_token": "tpot",
    "time_to_first_token": "ttft",
    "time_to_first_token_ttft": "ttft",
    "e2e_latency": "latency_avg",
    "e2el": "latency_avg",
    "end_to_end_latency": "latency_avg",
    "request_latency": "latency_avg",
    "batch_latency": "latency_avg",
    "latency": "latency_avg",
    "mean_latency": "latency_avg",
    "latency_mean": "latency_avg",
    "latency_median": "latency_p50",
    "images_per_s": "samples_per_s",
    "pictures_per_s": "samples_per_s",
    "queries_per_s": "samples_per_s",
    "frames_per_s": "samples_per_s",
    "fps": "samples_per_s",
    "output_tokens_per_s": "output_tokens_per_s_total",
    "output_throughput": "output_tokens_per_s_total",
    "request_throughput": "requests_per_s",
    "total_token_throughput": "total_tokens_per_s",
}
STATISTICS = {"mean": "avg", "average": "avg", "median": "p50"}
STATISTIC = "mean|average|median|avg|p\\d+"
WATT_HOUR = 3600.0
# Joules of a unit of energy; nobody uses megawatt-hours or megajoules.
JOULES = {
    "j": 1.0,
    "joules": 1.0,
    "mj": 1e-3,
    "kj": 1e3,
    "wh": WATT_HOUR,
    "kwh": 1e3 * WATT_HOUR,
    "mwh": 1e-3 * WATT_HOUR,
}
OF_ENERGY = {"query": "request", "prompt": "request", "image": "sample", "picture": "sample", "output_token": "token"}
PER_SAMPLE = ("ms_image", "ms_per_image", "ms_sample", "ms_per_sample", "latency_ms_per_image")
UNITS = {"us": 1e3, "ms": 1.0, "s": 1e-3}  # of a millisecond
# Words of a rate: what is counted, as it is spelled.
COUNTED = {
    "tokens": ("tokens", "token", "toks", "tok", "t"),
    "requests": ("requests", "request", "reqs", "req"),
    "samples": (
        *("samples", "sample", "images", "image", "imgs", "img", "pictures", "picture", "queries", "query", "frames"),
        *("frame", "sentences", "sentence", "sequences", "sequence", "seqs", "seq"),
    ),
    "iterations": ("iterations", "iteration", "iters", "iter", "its", "it", "steps", "step"),
}
SHORT_RATES = {"tps": "tokens per s", "qps": "samples per s", "rps": "requests per s", "fps": "samples per s"}
# Words before a rate of tokens, and the metric that they mean for the whole system.
TOKENS = {
    "output": "output_tokens_per_s_total",
    "generated": "output_tokens_per_s_total",
    "generation": "output_tokens_per_s_total",
    "decode": "decode_tokens_per_s",
    "decoding": "decode_tokens_per_s",
    "eval": "decode_tokens_per_s",
    "prefill": "prefill_tokens_per_s",
    "prompt eval": "prefill_tokens_per_s",
    "prompt processing": "prefill_tokens_per_s",
    "total": "total_tokens_per_s",
}
PER_GPU = {
    "output_tokens_per_s_total": "output_tokens_per_s_per_gpu",
    "total_tokens_per_s": "total_tokens_per_s_per_gpu",
}
SAYS_NOTHING = ("throughput", "rate", "speed", "mean", "average", "avg", "median", "total system")


def plain_metric(spelled: str) -> tuple[str, float]:
    """The metric that is meant, and what its figure is multiplied with to be in the unit that is spelled."""
    name = re.sub(r"[^a-z0-9]+", "_", spelled.casefold()).strip("_")
    special = _energy(name) or _rate(spelled)
    if special is not None:
        return special
    if name in PER_SAMPLE:
        return "latency_ms_per_sample", 1.0
    if name in SAME_FIGURE:
        return SAME_FIGURE[name], 1.0
    if "_per_" in name and not name.startswith("time_per"):
        return name, 1.0
    found = re.fullmatch(rf"(?:({STATISTIC})_)?([a-z0-9_]+?)(?:_({STATISTIC}))?_(us|ms|s)(?:_({STATISTIC}))?", name)
    if found is None:
        return name, 1.0
    statistic = found[1] or found[3] or found[5] or ""
    figure = SAME_FIGURE.get(found[2], found[2])
    if figure.startswith("latency") and statistic:
        figure = f"latency_{STATISTICS.get(statistic, statistic)}"
    elif statistic.startswith("p") and statistic != "p50":
        return name, 1.0  # a percentile of a time that is estimated as a mean
    parts = figure.partition("_")
    return f"{parts[0]}_ms{parts[1]}{parts[2]}", UNITS[found[4]]


def _energy(name: str) -> tuple[str, float] | None:
    """Per token, request or sample, with its unit before ("energy_wh_per_token", "J/token") or behind it."""
    units = "|".join(JOULES)
    found = re.fullmatch(rf"(?:energy_)?(?P<unit>{units})_(?:per_)?(?P<of>\w+)", name)
    found = found or re.fullmatch(rf"energy_per_(?P<of>\w+)_(?P<unit>{units})", name)
    if found is None:
        return None
    return f"energy_j_per_{OF_ENERGY.get(found['of'], found['of'])}", 1.0 / JOULES[found["unit"]]


def _rate(spelled: str) -> tuple[str, float] | None:
    """Of something per second or minute, of the whole system, per GPU or per user: "tok/s/gpu", "Samples/s"."""
    text = re.sub(r"[^a-z0-9/]+", " ", spelled.casefold())
    text = re.sub(r"\s*/\s*", " per ", text)
    text = re.sub(r"\b(?:seconds?|secs?)\b", "s", text)
    text = re.sub(r"\b(?:minutes?|mins?)\b", "min", text)
    text = re.sub(rf"\b({'|'.join(SHORT_RATES)})\b", lambda short: SHORT_RATES[short[1]], text)
    found = re.fullmatch(
        rf"\s*(.*?)\s*\b(\w+) per (s|min)(?: per (gpu|user))?(?: (total|{'|'.join(TOKENS)}))?\s*", text
    )
    if found is None:
        return None
    counted = next((noun for noun, words in COUNTED.items() if found[2] in words), None)
    if counted is None:
        return None
    factor = 60.0 if found[3] == "min" else 1.0
    metric = (
        _tokens_rate(f"{found[1]} {found[5] or ''}", found[4])
        if counted == "tokens"
        else _other_rate(found[1], found[4], counted)
    )
    return None if metric is None else (metric, factor)


def _tokens_rate(before: str, each: str | None) -> str | None:
    """`before` says which tokens count; what a user sees is the inverse of the time per token."""
    words = [word for word in before.split() if word not in (*SAYS_NOTHING, *COUNTED["tokens"], "per", "gpu", "user")]
    of = " ".join(words)
    is_per_gpu = each == "gpu" or "per gpu" in before
    if each == "user" or "per user" in before:
        return "output_tokens_per_s_per_user" if of in ("", "output", "generation", "decode") else None
    metric = TOKENS.get(of)
    if metric is None:
        return "tokens_per_s" if not of else None
    return PER_GPU.get(metric) if is_per_gpu else metric


def _other_rate(before: str, each: str | None, counted: str) -> str | None:
    known = (*SAYS_NOTHING, *(word for words in COUNTED.values() for word in words))
    if each is not None or any(word not in known for word in before.split()):
        return None
    return f"{counted}_per_s"
