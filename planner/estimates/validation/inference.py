"""A row of an inference table as a job on a placement, and where its metric stands in an outcome."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal

from planner.estimates.estimate import Placement
from planner.estimates.outcome import Outcome
from planner.estimates.serving_ranges import ServingClass, token_class
from planner.estimates.validation.formats import Format, engine_of, format_of
from planner.estimates.validation.gpus import NamedGpu, published_gpu
from planner.estimates.validation.inference_metrics import READERS, SHARE_OF_LIMIT, Reader, limit_share
from planner.estimates.validation.metrics import plain_metric
from planner.estimates.validation.plain_rows import plain_row
from planner.estimates.validation.subjects import Declined, Subject, subject_of
from planner.estimates.validation.table import Row
from planner.estimates.validation.trials import DOUBTFUL
from planner.hardware.catalogue import Catalogue
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Batching, Engine
from planner.jobs.job import InferenceJob
from planner.quantity import Quantity

# Metrics that leave open what they count, or that nothing here estimates.
UNSUPPORTED = {
    "tokens_per_s": "which tokens the metric counts is not said: output_tokens_per_s, total_tokens_per_s, …",
    "prompt_tokens_per_s": "a rate of prompt tokens is that of a whole run, or of prompts alone (prefill_tokens_per_s)",
}
PERCENTILE = re.compile(r"\bp\d+_(?:ttft|tpot|itl)|(?:ttft|tpot|itl).*_p\d+")
USUAL_PROMPT = 256  # of a chat, where a table does not state it
# MLPerf's prompts where a log does not state them: CNN/DailyMail articles have 781 words on average (See et al. 2017,
# section 4), about 1,000 tokens with the instruction; those for Llama 3.1 405B 9,400 tokens (MLCommons on
# Inference v5.0).
MLPERF_PROMPTS = (("gptj", 1000), ("llama318b", 1000), ("405b", 9400))
SHARED_LAYOUT = re.compile(r"_tp(\d+)_ep(\d+)_")
COUNTS = ("num_gpus", "tp", "pp", "batch_or_concurrency")
LENGTHS = ("input_len", "output_len")  # may be means
USUAL_BATCH = 128  # pictures or texts of an offline run, where a table does not state it
GPUS_PER_NODE = 8
# MLPerf's questions are at most 384 tokens long and submissions do not pad them: SQuAD 1.1's are about 180 on average
# (assumed).
LONGEST_QUESTION = 384.0
MEAN_QUESTION = 180.0
# InferenceX draws the lengths of prompts and answers evenly between 0.8 of what it states and all of it (InferenceMAX
# README, RANDOM_RANGE_RATIO; read 2026-11-21).
DRAWN_LENGTHS = (("InferenceX", 0.9),)
# Engines that put layers, not parts of them, on several GPUs unless told otherwise (their documentation).
BY_LAYERS = (Engine.LLAMA_CPP, Engine.EXLLAMA, Engine.TRANSFORMERS)
# Log half-width of what a table does not state: what such published rows miss by beyond those that state everything.
ASSUMED = 0.22
RACK = {"GB200": 72, "GB300": 72}


@dataclass(frozen=True, slots=True)
class InferenceTrial:
    """What a row ran; `quantity_of` reads the row's metric from an outcome, `kind` is the class of its range."""

    job: InferenceJob
    placement: Placement
    quantity_of: Reader
    kind: ServingClass
    assumptions: tuple[str, ...] = ()


def inference_trial(row: Row, catalogue: Catalogue) -> InferenceTrial | Declined:
    """The trial of a row, or why it is declined."""
    row = plain_row(row)
    doubt = DOUBTFUL.search(row.text("notes"))
    if doubt:
        return Declined(f"the table marks the row {doubt[1]}")
    if row.text("scenario") == "training":
        return Declined("a training run in an inference table")
    metric, unit = plain_metric(row.metric)
    if metric == "tokens_per_s" and "MLPerf" in row.source:
        metric = "output_tokens_per_s_total"  # what its language models are scored by
    if PERCENTILE.search(metric):
        return Declined(f"the metric {row.metric!r} is a percentile of a time that is estimated as a mean")
    if metric not in READERS and metric != SHARE_OF_LIMIT:
        return Declined(UNSUPPORTED.get(metric, f"the metric {row.metric!r} is not supported"))
    if row.text("scenario") == "interactive":
        return Declined("a tight latency limit decides an interactive scenario's rate, not the machine alone")
    for name in (*COUNTS, *LENGTHS):
        if row.text(name) and (row.whole(name) if name in COUNTS else row.number(name)) is None:
            return Declined(f"{name} {row.text(name)!r} is not a {'whole ' if name in COUNTS else ''}number")
    found = _trial(replace(row, metric=metric), catalogue)
    if unit == 1.0 or isinstance(found, Declined):
        return found
    return replace(found, quantity_of=_in_unit(found.quantity_of, unit))


def _in_unit(read: Reader, factor: float) -> Reader:
    def in_unit(outcome: Outcome) -> Quantity | Declined:
        found = read(outcome)
        return found if isinstance(found, Declined) else found.times(factor)

    return in_unit


def _trial(row: Row, catalogue: Catalogue) -> InferenceTrial | Declined:
    named = _gpu(row, catalogue)
    if named is None:
        return Declined(f"the catalogue has no GPU {row.text('gpu_model')!r}")
    subject = subject_of(row)
    if isinstance(subject, Declined):
        return subject
    assumptions = [*subject.assumptions, *([named.assumption] if named.assumption else [])]
    form = format_of(row, named.gpu, assumptions)
    if isinstance(form, Declined):
        return form
    num_gpus = _gpus(row)
    job = _job(row, subject, form, num_gpus, assumptions)
    if isinstance(job, Declined):
        return job
    per_node = min(num_gpus, RACK.get(row.text("gpu_model"), GPUS_PER_NODE))
    placement = Placement(named.gpu, Decimal(num_gpus), num_nodes=-(-num_gpus // per_node))
    kind = _kind(row, job)
    read = limit_share(placement) if row.metric == SHARE_OF_LIMIT else READERS[row.metric](row, job, num_gpus)
    return InferenceTrial(job, placement, read, kind, tuple(assumptions))


def _gpu(row: Row, catalogue: Catalogue) -> NamedGpu | None:
    """The GPU that is named; what stands in brackets behind a name is where it stood."""
    name, memory = row.text("gpu_model"), row.number("gpu_memory_gb")
    return published_gpu(catalogue, name, memory) or published_gpu(catalogue, name.partition(" (")[0], memory)


def _tensor_parallel(row: Row) -> int | None:
    """As the column says, but for experts that lie on the same GPUs: what notes call tp8_ep8 is 8 GPUs, not 64, as an
    engine spreads experts over the GPUs that share the rest (vLLM and SGLang on expert parallelism)."""
    stated, found = row.whole("tp"), SHARED_LAYOUT.search(row.text("notes"))
    if found is None or stated != int(found[1]) * int(found[2]):
        return stated
    return int(found[1])


def _gpus(row: Row) -> int:
    """As the column says, but for groups that count their experts' GPUs twice."""
    stated, split = row.whole("num_gpus") or 1, row.whole("tp")
    return stated if split is None else stated * (_tensor_parallel(row) or split) // split


def _job(row: Row, subject: Subject, form: Format, num_gpus: int, assumptions: list[str]) -> InferenceJob | Declined:
    network = subject.architecture
    is_pass = isinstance(network, ConvNet) or not network.causal
    prompt, output = row.number("input_len"), row.number("output_len")
    if row.metric in ("decode_tokens_per_s", "tpot_ms") and not output:
        output = 128.0
        assumptions.append("128 tokens of output")
    if row.metric == "prefill_tokens_per_s" or (row.metric == "ttft_ms" and not output):
        output = 1.0
    if is_pass:
        prompt, output = float(subject.sequence_length if not row.number("input_len") else prompt or 1.0), 0.0
        is_text = not isinstance(network, ConvNet) and row.text("model_family") not in ("vit", "diffusion")
        if is_text and row.number("input_len") is None:
            return Declined("the length of the texts is not stated")
    elif output is None:
        return Declined("how many tokens are generated is not stated")
    elif prompt is None:
        prompt = _usual_prompt(row)
        assumptions.append(f"prompts of {prompt:.0f} tokens")
    batch = row.whole("batch_or_concurrency")
    if is_pass and batch is None:
        batch = 1 if row.text("scenario") == "single_stream" else USUAL_BATCH
        if batch > 1:
            assumptions.append(f"batches of {batch}")
    engine = engine_of(row)
    splits = _tensor_parallel(row), row.whole("pp")
    if engine in BY_LAYERS and not is_pass and splits == (None, None):
        splits = 1, num_gpus
    if is_pass and "MLPerf" in row.source and prompt == LONGEST_QUESTION:
        prompt = MEAN_QUESTION
        assumptions.append(f"texts of {MEAN_QUESTION:.0f} tokens on average, not padded")
    drawn = next((share for source, share in DRAWN_LENGTHS if row.source.startswith(source)), 1.0)
    if (splits[0] or 1) * (splits[1] or 1) > num_gpus:
        return Declined(f"{splits[0]} × {splits[1]} model parallel is more than {num_gpus} GPUs")
    return InferenceJob(
        name=row.id,
        architecture=network,
        prompt_tokens=max(1, round((prompt or 1.0) * drawn)),
        output_tokens=max(0, round((output or 0.0) * drawn)),
        concurrency=batch if batch is None or not is_pass else batch * num_gpus * subject.passes,
        dtype=form.dtype,
        kv_dtype=form.kv_dtype,
        engine=engine,
        batching=_batching(row),
        weight_bits=form.weight_bits,
        tensor_parallel=1 if is_pass else splits[0],
        pipeline_parallel=splits[1],
        head_share=subject.head_share if row.text("model_family") == "encoder" else 0.0,
        channels_last=_is_channels_last(row),
    )


def _is_channels_last(row: Row) -> bool:
    """As stated; NVIDIA's containers run examples of mixed precision so (DeepLearningExamples, ConvNets README)."""
    framework = row.text("framework").casefold()
    return "channels-last" in framework or ("ngc" in framework and row.text("precision").casefold().startswith("amp"))


def _usual_prompt(row: Row) -> float:
    """Tokens of a prompt where a table does not state them."""
    if "MLPerf" in row.source:
        name = re.sub(r"[^a-z0-9]+", "", row.text("model_name").casefold())
        return float(next((tokens for word, tokens in MLPERF_PROMPTS if word in name), USUAL_PROMPT))
    return float(USUAL_PROMPT if row.text("scenario") != "single_stream" else 32)


def _batching(row: Row) -> Batching:
    is_static = row.text("scenario") in ("fixed_batch", "single_stream")
    return Batching.STATIC if is_static else Batching.CONTINUOUS


def _kind(row: Row, job: InferenceJob) -> ServingClass:
    if row.metric.startswith(("energy", "avg_power")):
        return ServingClass.ENERGY if job.output_tokens and row.metric.startswith("energy") else ServingClass.POWER
    if job.output_tokens and row.metric in ("ttft_ms", "prefill_tokens_per_s"):
        is_loaded = job.batching is Batching.CONTINUOUS and (job.concurrency or 2) > 1
        return ServingClass.FIRST_TOKEN_LOADED if is_loaded else ServingClass.FIRST_TOKEN
    return token_class(job)


def inference_range(trial: InferenceTrial, found: Quantity) -> Quantity:
    """The figure with its range, wider where the table left something to be assumed."""
    if not trial.assumptions:
        return found
    own = math.log(found.high / found.mid)
    wider = math.exp(math.hypot(own, ASSUMED) - own)
    return Quantity(found.low / wider, found.mid, found.high * wider, found.unit, found.basis, found.causes)
