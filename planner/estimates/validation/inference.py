"""A row of an inference table as a job on a placement, and where its metric stands in an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from planner.estimates.estimate import Placement
from planner.estimates.outcome import Outcome
from planner.estimates.validation.gpus import published_gpu
from planner.estimates.validation.subjects import Declined, subject_of
from planner.estimates.validation.table import Row
from planner.estimates.validation.trials import DOUBTFUL
from planner.hardware.catalogue import Catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob
from planner.quantity import Quantity

DTYPES = {
    "bf16": Dtype.BF16,
    "fp16": Dtype.FP16,
    "f16": Dtype.FP16,
    "fp32": Dtype.FP32,
    "tf32": Dtype.TF32,
    "fp8": Dtype.FP8,
    "int8": Dtype.INT8,
    "fp4": Dtype.FP4,
    "nvfp4": Dtype.FP4,
}


@dataclass(frozen=True, slots=True)
class InferenceTrial:
    """What a row ran; `quantity_of` reads the row's metric from an outcome."""

    job: InferenceJob
    placement: Placement
    quantity_of: Callable[[Outcome], Quantity | Declined]
    assumptions: tuple[str, ...] = ()


def inference_trial(row: Row, catalogue: Catalogue) -> InferenceTrial | Declined:
    """The trial of a row, or why it is declined."""
    doubt = DOUBTFUL.search(row.text("notes"))
    if doubt:
        return Declined(f"the table marks the row {doubt[1]}")
    if row.text("scenario") == "training":
        return Declined("a training run in an inference table")
    if row.text("scenario") == "server":
        return Declined("requests that arrive at random are not estimated yet")
    read = _READERS.get(row.metric)
    if read is None:
        return Declined(f"the metric {row.metric!r} is not supported")
    if (row.whole("pp") or 1) > 1:
        return Declined("serving over pipeline stages is not estimated yet")
    named = published_gpu(catalogue, row.text("gpu_model"), row.number("gpu_memory_gb"))
    if named is None:
        return Declined(f"the catalogue has no GPU {row.text('gpu_model')!r}")
    num_gpus = row.whole("num_gpus") or 1
    dtype = DTYPES.get(row.text("precision"))
    if dtype is None:
        return Declined(f"the precision {row.text('precision')!r} is not estimated yet")
    subject = subject_of(row)
    if isinstance(subject, Declined):
        return subject
    prompt, output = row.whole("input_len"), row.whole("output_len")
    if not isinstance(subject.architecture, Transformer) or not prompt or not output:
        return Declined("no prompt or no output: a pure prompt or a picture is not a request to a language model")
    job = InferenceJob(
        name=row.id,
        architecture=subject.architecture,
        prompt_tokens=prompt,
        output_tokens=output,
        concurrency=row.whole("batch_or_concurrency"),
        dtype=dtype,
        kv_dtype=DTYPES.get(row.text("kv_precision")),
    )
    assumptions = (*subject.assumptions, *((named.assumption,) if named.assumption else ()))
    return InferenceTrial(job, Placement(named.gpu, Decimal(num_gpus)), read(num_gpus), assumptions)


def _rate(divisor: Callable[[int], float]) -> Callable[[int], Callable[[Outcome], Quantity | Declined]]:
    return lambda num_gpus: lambda outcome: outcome.tokens_per_second.times(1.0 / divisor(num_gpus))


def _extra(name: str, factor: float) -> Callable[[int], Callable[[Outcome], Quantity | Declined]]:
    def read(outcome: Outcome) -> Quantity | Declined:
        found = outcome.extras.get(name)
        return Declined(f"{name} is not estimated") if found is None else found.times(factor)

    return lambda _num_gpus: read


_READERS: dict[str, Callable[[int], Callable[[Outcome], Quantity | Declined]]] = {
    "output_tokens_per_s_total": _rate(lambda _num_gpus: 1.0),
    "output_tokens_per_s_per_gpu": _rate(float),
    "tpot_ms": _extra("token_seconds", 1e3),
    "ttft_ms": _extra("first_token_seconds", 1e3),
    "requests_per_s": _extra("requests_per_second", 1.0),
}
