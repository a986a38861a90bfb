"""Rows of inference tables as others spell them: scenarios, families of networks, numbers with commas, "pp512"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from planner.estimates.validation.table import Row

# By a scenario without case and separators.
SCENARIOS: Mapping[str, str] = {
    **dict.fromkeys(("singlestream", "single", "singlerequest", "singleuser", "lowlatency"), "single_stream"),
    **dict.fromkeys(("fixedbatch", "static", "staticbatch", "batch", "batched", "multistream"), "fixed_batch"),
    **dict.fromkeys(
        ("fixedconcurrency", "concurrency", "concurrent", "closedloop", "online", "serving"), "fixed_concurrency"
    ),
    **dict.fromkeys(("offline", "throughput", "maxthroughput", "saturated"), "offline"),
    "server": "server",
    "interactive": "interactive",
    "training": "training",
}
FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(("dense", "llm", "decoder", "decoderonly", "causallm", "densellm", "gpt"), "dense-transformer"),
    **dict.fromkeys(("moe", "mixtureofexperts", "moellm", "sparsemoe"), "moe-transformer"),
    **dict.fromkeys(("bert", "embedding", "encoderonly", "textencoder"), "encoder"),
    **dict.fromkeys(("convnet", "resnet", "detection", "detector", "segmentation", "convolutional"), "cnn"),
    **dict.fromkeys(("visiontransformer",), "vit"),
    **dict.fromkeys(("texttoimage", "diffusionmodel", "latentdiffusion", "stablediffusion"), "diffusion"),
}
NUMBERS = ("num_gpus", "tp", "pp", "batch_or_concurrency", "input_len", "output_len", "layers", "hidden", "vocab")
WITH_COMMAS = re.compile(r"\d{1,3}(?:,\d{3})+")
SEVERAL = re.compile(r"(\d+) ?[x×] ?(.+)|(.+?) [x×] ?(\d+)", re.IGNORECASE)  # "8x H100", "H100 x8"
# llama-bench: a prompt of so many tokens, or so many generated from an empty cache.
BENCH = re.compile(r"(pp|tg) ?(\d+)(?: ?\(?(?:t/s|tok/s|tokens/s|tokens_per_s)\)?)?", re.IGNORECASE)


def plain_row(row: Row) -> Row:
    """The row with what is spelled otherwise in the reader's words; what is not known stays as it is."""
    cells = dict(row.cells)
    for name, known in (("scenario", SCENARIOS), ("model_family", FAMILIES)):
        spelled = cells.get(name, "")
        cells[name] = known.get(re.sub(r"[^a-z0-9]+", "", spelled.casefold()), spelled)
    for name in NUMBERS:
        if WITH_COMMAS.fullmatch(cells.get(name, "")):
            cells[name] = cells[name].replace(",", "")
    several = SEVERAL.fullmatch(cells.get("gpu_model", ""))
    if several is not None and cells.get("num_gpus", "") in ("", several[1] or several[4]):
        cells["gpu_model"], cells["num_gpus"] = several[2] or several[3], several[1] or several[4]
    found = BENCH.fullmatch(row.metric.strip())
    if found is None:
        return replace(row, cells=cells)
    is_prompt = found[1].casefold() == "pp"
    lengths = (found[2], "0") if is_prompt else ("0", found[2])
    for name, length in zip(("input_len", "output_len"), lengths, strict=True):
        cells[name] = cells.get(name) or length
    cells["scenario"] = cells["scenario"] or "single_stream"
    cells["batch_or_concurrency"] = cells.get("batch_or_concurrency") or "1"
    return replace(row, metric="prefill_tokens_per_s" if is_prompt else "decode_tokens_per_s", cells=cells)
