"""Metrics of training tables as they are spelled: "tokens/s/GPU", "images_per_sec", "step_time_ms", "HFU"."""

from __future__ import annotations

import re

# Parts of a name that mean the same.
ALIKE = (
    (r"(?:iteration|iter|batch)_time", "step_time"),
    (r"time_per_(?:step|iteration|iter|batch)", "step_time"),
    (r"^(?:images?|imgs?|pictures?|sequences?|seqs?|examples?)_", "samples_"),
    (r"^(?:toks?|token)_", "tokens_"),
    (r"^(?:iterations?|iters?|it|batches)_", "steps_"),
    (r"_per_sec(?:onds?)?", "_per_s"),
    (r"_per_(?:device|chip|accelerator|card|hpu|gcd)", "_per_gpu"),
)
# Of the whole system where nothing is said.
WHOLE = ("tokens_per_s", "samples_per_s")
MILLISECONDS = 1000.0


def plain_training_metric(spelled: str) -> tuple[str, float]:
    """The metric that is meant, and what its figure is multiplied with to be in the unit that is spelled."""
    name = spelled.casefold().replace("/", "_per_")
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    ms = re.fullmatch(r"ms_per_(?:step|iteration|iter|batch)", name)
    name = "step_time_ms" if ms else name
    for pattern, plain in ALIKE:
        name = re.sub(pattern, plain, name)
    if name in WHOLE:
        name += "_total"
    return ("step_time_s", MILLISECONDS) if name == "step_time_ms" else (name, 1.0)
