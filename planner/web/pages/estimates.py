"""Estimates: the form (a preset first, then edit), the stored result, and the list."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput, NotFound
from planner.estimates.contests import contests
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.document import job_kind
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Job, LoraTargets, TrainingJob, TrainingMethod
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.jobs.presets import ARCHITECTURES, JOBS
from planner.services.actuals import list_actuals
from planner.services.estimates import EstimateView, get_estimate, list_estimates, make_estimate
from planner.services.offers import price_facets
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.estimate import AROUND, MEASURED, SURVIVAL
from planner.services.requests.networks import SHAPE
from planner.version import code_version
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.frontier_chart import frontier_chart
from planner.web.pages.blueprint import pages
from planner.web.queries import EstimateQuery, ListQuery, NewEstimateQuery, read_query

LISTS = frozenset({"gpus", "providers", "regions", "offer_kinds"})
OFFER_KINDS = (
    ("owned", "attached devices only"),
    ("on_demand", "on demand"),
    ("spot", "spot"),
    ("reserved_1y", "reserved, 1 year"),
    ("reserved_3y", "reserved, 3 years"),
    ("negotiated", "negotiated"),
)
SPLITS = (
    *("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"),
    "virtual_stages",
)


@pages.get("/estimates")
def list_estimates_page() -> tuple[str, int]:
    """The newest estimates."""
    query, form = read_query(ListQuery)
    wanted = query or ListQuery()
    found = list_estimates(session(), wanted.limit, wanted.after)
    more = found[-1].id if len(found) == wanted.limit else None
    page = render_template("estimates/list.html", estimates=found, form=form, more=more, query=wanted)
    return page, 422 if query is None else 200


@pages.get("/estimates/new")
def new_estimate() -> tuple[str, int]:
    """The presets to choose from, or the form filled from what was chosen."""
    query, asked = read_query(NewEstimateQuery)
    if query is None:
        return _form_page(Form(problems=asked.problems), None, 422)
    if query.like is not None:
        earlier = get_estimate(session(), query.like)
        form = Form.filled({**_typed(earlier.job), **_places(earlier.request)})
        return _form_page(form, form.value("kind"), 200)
    if query.preset is not None:
        if query.preset not in JOBS:
            raise NotFound(f"there is no preset {query.preset!r}; there are {', '.join(sorted(JOBS))}")
        form = Form.filled({**_typed(JOBS[query.preset].job), "goal": "cost"})
        return _form_page(form, form.value("kind"), 200)
    if query.kind is not None:
        if query.kind not in ("training", "inference"):
            raise InvalidInput.of("kind", 'must be "training" or "inference"')
        blank = Form.filled({"kind": query.kind, "architecture": "llama-3-8b", "goal": "cost", "dtype": "bf16"})
        return _form_page(blank, query.kind, 200)
    cards = [
        (preset, job_kind(preset.job), known_picture(preset.job.architecture) is not None) for preset in JOBS.values()
    ]
    return render_template("estimates/start.html", cards=cards), 200


@pages.post("/estimates")
def create_estimate() -> Response | tuple[str, int]:
    """Make the estimate and go to it; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        given = form.given(EstimateRequest, lists=LISTS)
        asked = parse(EstimateRequest, _with_config(given))
        view = make_estimate(session(), asked, now(), code_version())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, form.value("kind"), 422)
    return redirect(url_for("pages.show_estimate", estimate_id=view.id), 303)


def _with_config(given: dict[str, Any]) -> dict[str, Any]:
    """The configuration that was sent as a file; a named architecture gives way to it, as to one that was pasted."""
    sent = request.files.get("config_file")
    data = sent.read() if sent is not None else b""
    if data:
        if "config" in given:
            raise InvalidInput.of("config_file", "give a file or its text, not both")
        try:
            given = {**given, "config": data.decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise InvalidInput.of("config_file", "is not UTF-8 text") from None
    return {name: value for name, value in given.items() if name != "architecture" or "config" not in given}


@pages.post("/estimates/<estimate_id>/again")
def estimate_again(estimate_id: str) -> Response:
    """The same question with today's prices and fits, as a new estimate; the old one stays as it is."""
    earlier = get_estimate(session(), estimate_id)
    asked = {name: value for name, value in earlier.request.items() if name != "as_of"}
    view = make_estimate(session(), parse(EstimateRequest, asked), now(), code_version())
    flash("Computed again with what is known now. The earlier estimate is kept as it was.", "good")
    return redirect(url_for("pages.show_estimate", estimate_id=view.id, before=estimate_id), 303)


@pages.get("/estimates/<estimate_id>")
def show_estimate(estimate_id: str) -> tuple[str, int]:
    """A stored estimate."""
    query, form = read_query(ShowQuery)
    wanted = query or ShowQuery()
    view = get_estimate(session(), estimate_id)
    before = get_estimate(session(), wanted.before) if wanted.before else None
    page = render_template(
        "estimates/show.html",
        view=view,
        before=before,
        form=form,
        best=view.answer.options[0] if view.answer.options else None,
        options=view.answer.options[: wanted.options],
        rejections=view.answer.rejections[: wanted.rejections],
        is_service=bool(view.answer.options) and view.answer.options[0].seconds is None,
        shape=_shape_of(view),
        scale=_scale(view, wanted.options),
        chart=frontier_chart(view.answer.options),
        contests=contests(view.answer),
        actuals=list_actuals(session(), 50, estimate_id=estimate_id),
    )
    return page, 422 if query is None else 200


class ShowQuery(EstimateQuery):
    """How much of an estimate's page is shown, and the earlier estimate that it is held against."""

    options: int = 15
    rejections: int = 10
    before: str | None = None


def _form_page(form: Form, kind: str | None, status: int) -> tuple[str, int]:
    facets = price_facets(session())
    catalogue = load_catalogue()
    sees = form.value("architecture") in PICTURES
    page = render_template(
        "estimates/form.html",
        form=form,
        kind=kind if kind in ("training", "inference") else "training",
        sees=sees,
        architectures=_picture_choices() if sees else _text_choices(),
        gpus=[(facet.value, facet.value) for facet in facets.gpu_keys if facet.value in catalogue.gpus],
        providers=[(facet.value, facet.value) for facet in facets.providers],
        regions=sorted((facet.value, facet.value) for facet in facets.regions),
        kinds=OFFER_KINDS,
    )
    return page, status


def _text_choices() -> list[tuple[str, str]]:
    named = sorted(ARCHITECTURES.items(), key=lambda item: item[1].title)
    return [("custom", "custom: give its shape below"), *((key, found.title) for key, found in named)]


def _picture_choices() -> list[tuple[str, str]]:
    return [(key, found.title) for key, found in PICTURES.items()]


def _typed(job: Job) -> dict[str, Any]:
    """A job as somebody would have typed it."""
    named = next((key for key, found in ARCHITECTURES.items() if found.architecture == job.architecture), None)
    values: dict[str, Any] = {"name": job.name, "architecture": named or "custom", "dtype": job.dtype.value}
    if named is None and isinstance(job.architecture, Transformer):
        values |= _typed_shape(job.architecture)
    picture = known_picture(job.architecture)
    if picture is not None:
        values |= {"architecture": picture[0], "image_size": picture[1]}
    if isinstance(job, TrainingJob):
        return values | {
            "kind": "training",
            **(_typed_length(job) if picture is None else {"pictures": _count(job.num_tokens / job.sequence_length)}),
            "global_batch": job.global_batch,
            "micro_batch": job.micro_batch,
            "method": job.method.value,
            "lora_rank": None if job.method is TrainingMethod.FULL else job.lora_rank,
            "lora_targets": job.lora_targets.value,
            "recompute": job.recompute.value,
            "stack": job.stack.value,
            **{name: getattr(job, name) for name in SPLITS},
            "sharding": None if job.sharding is None else job.sharding.value,
        }
    return values | {
        "kind": "inference",
        "prompt_tokens": job.prompt_tokens,
        "output_tokens": job.output_tokens,
        "requests": None if job.num_requests is None else _count(job.num_requests),
        "concurrency": job.concurrency,
        "kv_dtype": None if job.kv_dtype is None else job.kv_dtype.value,
        "engine": None if job.engine is Engine.UNSTATED else job.engine.value,
        "weight_bits": job.weight_bits,
        **{name: getattr(job, name) for name in ("tensor_parallel", "pipeline_parallel", "expert_parallel")},
    }


def _typed_length(job: TrainingJob) -> dict[str, Any]:
    return {
        "tokens": _count(job.num_tokens),
        "sequence_length": job.sequence_length,
        "target_length": job.target_length,
    }


def _typed_shape(architecture: Transformer) -> dict[str, Any]:
    values = {name: getattr(architecture, field) or None for name, field in SHAPE.items()}
    return {**values, "gated": architecture.gated, "tied_embeddings": architecture.tied_embeddings}


def _places(request: dict[str, Any]) -> dict[str, Any]:
    """Goal, limits and filters of an earlier request."""
    single = ("goal", "budget", "price_age_days", "nodes", "carbon_intensity", "pue")
    kept = {name: request.get(name) for name in (*single, *MEASURED, *SURVIVAL, *AROUND, *LISTS)}
    deadline = request.get("deadline")
    return {**kept, "goal": kept["goal"] or "cost", "deadline": None if deadline is None else f"{deadline:g} s"}


def _count(value: float) -> str:
    """The shortest exact way to type a count: "300M", "4096"."""
    for factor, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        short = value / factor
        if short >= 1 and float(f"{short:.6g}") * factor == value:
            return f"{short:.6g}{suffix}"
    return f"{value:.0f}"


def _length_of(job: TrainingJob) -> list[tuple[str, Any]]:
    """How much is trained on, in pictures or in tokens."""
    picture = known_picture(job.architecture)
    if picture is not None:
        side = f"{picture[1]:,} pixels a side" if picture[1] else "as published"
        return [("pictures", f"{job.num_tokens / job.sequence_length:,.0f}"), ("size of a picture", side)]
    written = [] if job.target_length is None else [("tokens written", f"{job.target_length:,}")]
    return [("tokens", f"{job.num_tokens:,.0f}"), ("sequence length", f"{job.sequence_length:,}"), *written]


def _adapters_of(job: TrainingJob) -> list[tuple[str, Any]]:
    where = "every linear layer" if job.lora_targets is LoraTargets.ALL else "queries, keys and values"
    return [("adapters on", where), ("rank of the adapters", job.lora_rank)]


def _shape_of(view: EstimateView) -> list[tuple[str, str]]:
    """The job's own settings as words and values."""
    job = view.job
    given: list[tuple[str, Any]] = [("architecture", job.architecture.name), ("number format", job.dtype.value)]
    if isinstance(job, TrainingJob):
        given += [
            *_length_of(job),
            ("global batch", f"{job.global_batch:,}"),
            ("micro-batch", job.micro_batch or "the most that fits"),
            ("method", job.method.value),
            *(() if job.method is TrainingMethod.FULL else _adapters_of(job)),
            ("recomputation", job.recompute.value),
            ("software", job.stack.value),
            *((name.replace("_", " "), found) for name in SPLITS if (found := getattr(job, name)) is not None),
            *(() if job.sharding is None else (("sharding", job.sharding.value),)),
        ]
    elif isinstance(job, InferenceJob):
        given += [
            ("prompt tokens", f"{job.prompt_tokens:,}"),
            ("output tokens", f"{job.output_tokens:,}"),
            ("requests", "a service" if job.num_requests is None else f"{job.num_requests:,.0f}"),
            ("concurrency", job.concurrency or "as many as fit"),
            ("engine", "not named" if job.engine is Engine.UNSTATED else job.engine.value),
            *(() if job.weight_bits is None else (("stored bits of a weight", f"{job.weight_bits:g}"),)),
        ]
    request = view.request
    if request.get("nodes"):
        given.append(("nodes", request["nodes"]))
    for name in ("deadline", "budget", "price_age_days"):
        if request.get(name) is not None:
            given.append((name, f"{request[name]} s" if name == "deadline" else str(request[name])))
    for name in sorted(LISTS):
        if request.get(name):
            given.append((name.replace("_", " "), ", ".join(request[name])))
    return [(words, str(value)) for words, value in given]


def _scale(view: EstimateView, count: int) -> dict[str, float]:
    """The highest end of each range among the options shown, for the bars."""
    shown = view.answer.options[:count]
    names = ("seconds", "tokens_per_second", "cost", "cost_per_hour")
    ends = {
        name: [getattr(option, name).high for option in shown if getattr(option, name) is not None] for name in names
    }
    return {name: max(values, default=0.0) for name, values in ends.items()}
