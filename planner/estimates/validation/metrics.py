"""Metrics of inference tables as they are spelled: "ITL_ms", "e2e_latency_s", "images_per_s", "energy_wh_per_token"."""

from __future__ import annotations

import re

# By the whole name without its unit of time; each is the same figure under another name.
SAME_FIGURE = {
    "itl": "tpot",
    "inter_token_latency": "tpot",
    "time_per_output_token": "tpot",
    "time_to_first_token": "ttft",
    "e2e_latency": "latency_avg",
    "e2el": "latency_avg",
    "end_to_end_latency": "latency_avg",
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
    "energy_j_per_output_token": "energy_j_per_token",
}
STATISTICS = {"mean": "avg", "median": "p50"}
WATT_HOUR = 3600.0  # joules
UNITS = {"us": 1e3, "ms": 1.0, "s": 1e-3}  # of a millisecond


def plain_metric(spelled: str) -> tuple[str, float]:
    """The metric that is meant, and what its figure is multiplied with to be in the unit that is spelled."""
    name = re.sub(r"[^a-z0-9]+", "_", spelled.casefold()).strip("_")
    found = re.fullmatch(r"energy_(k?wh|mwh)_per_(\w+)", name)
    if found:
        joules = WATT_HOUR * {"wh": 1.0, "kwh": 1e3, "mwh": 1e-3}[found[1]]  # nobody uses megawatt-hours
        return _same(f"energy_j_per_{found[2]}"), 1.0 / joules
    found = re.fullmatch(r"(.*)_per_min(?:ute)?", name)
    if found:
        return _same(f"{found[1]}_per_s"), 60.0
    if name in SAME_FIGURE:
        return SAME_FIGURE[name], 1.0
    if "_per_" in name and not name.startswith("time_per"):
        return name, 1.0
    found = re.fullmatch(r"(?:(mean|median|avg|p50)_)?([a-z0-9_]+?)_(us|ms|s)(?:_(mean|median|avg|p\d+))?", name)
    if found is None:
        return name, 1.0
    statistic = found[1] or found[4] or ""
    figure = SAME_FIGURE.get(found[2], found[2])
    if figure.startswith("latency") and statistic:
        figure = f"latency_{STATISTICS.get(statistic, statistic)}"
    elif statistic.startswith("p") and statistic != "p50":
        return name, 1.0  # a percentile of a time that is estimated as a mean
    parts = figure.partition("_")
    return f"{parts[0]}_ms{parts[1]}{parts[2]}", UNITS[found[3]]


def _same(name: str) -> str:
    return SAME_FIGURE.get(name, name)
