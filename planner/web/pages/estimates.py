"""Estimates: the form (a preset first, then edit), the stored result, and the list."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput, NotFound
from planner.estimates.choices import choices, common_lacks, nearest_miss
from planner.estimates.contests import contests
from planner.estimates.estimate import Bottleneck, Option
from planner.estimates.evidence import Evidence, evidence
from planner.estimates.load.pass_networks import is_drawing
from planner.estimates.published_error import PublishedError, published_error
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Vendor
from planner.jobs.architecture import Transformer
from planner.jobs.document import items_words, job_kind
from planner.jobs.engine import Engine
from planner.jobs.job import Item, Job, TrainingJob, TrainingMethod
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.jobs.presets import ARCHITECTURES, JOBS
from planner.quantity import Basis, Cause, Quantity
from planner.services.actuals import list_actuals
from planner.services.estimates import EstimateView, get_estimate, list_estimates, make_estimate
from planner.services.offers import price_facets
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.base import whole
from planner.services.requests.estimate import AROUND, MEASURED, SURVIVAL
from planner.services.requests.networks import SHAPE
from planner.units import typed_seconds
from planner.version import code_version
from planner.web.asked_words import SPLITS, filters_of, shape_of
from planner.web.config_files import take_config
from planner.web.database import now, session
from planner.web.formats import MONEY_UNIT
from planner.web.forms import Form
from planner.web.frontier_chart import frontier_chart
from planner.web.lack_words import LACK_WORDS
from planner.web.pages.blueprint import pages
from planner.web.queries import EstimateQuery, ListQuery, NewEstimateQuery, read_query

DURATIONS = ("deadline", "checkpoint_stall", "restart_time", "startup_time", "queue_time", "measured_step")
LISTS = frozenset({"vendors", "gpus", "providers", "regions", "offer_kinds"})
OFFER_KINDS = (
    ("owned", "attached devices only"),
    ("on_demand", "on demand"),
    ("spot", "spot"),
    ("reserved_1y", "reserved, 1 year"),
    ("reserved_3y", "reserved, 3 years"),
    ("negotiated", "negotiated"),
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
    query, sent = read_query(NewEstimateQuery)
    if query is None:
        return _form_page(Form(problems=sent.problems), None, 422)
    if query.like is not None:
        earlier = get_estimate(session(), query.like)
        asked = {**_typed(earlier.job), **_places(earlier.request), **_configured(earlier.request)}
        form = Form.filled(asked if query.nodes is None else {**asked, "nodes": query.nodes})
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
    return render_template("estimates/start.html", cards=cards, items_words=items_words), 200


@pages.post("/estimates")
def create_estimate() -> Response | tuple[str, int]:
    """Make the estimate and go to it; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        take_config(form)
        asked = parse(EstimateRequest, form.given(EstimateRequest, lists=LISTS))
        view = make_estimate(session(), asked, now(), code_version())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, form.value("kind"), 422)
    return redirect(url_for("pages.show_estimate", estimate_id=view.id), 303)


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
    rejections = [one for one in view.answer.rejections if wanted.lack in (None, one.bottleneck)]
    chart = frontier_chart(view.answer.options)
    actuals = list_actuals(session(), 50, estimate_id=estimate_id)
    lacks = common_lacks(view.answer)
    page = render_template(
        "estimates/show.html",
        view=view,
        before=before,
        form=form,
        best=view.answer.options[0] if view.answer.options else None,
        options=view.answer.options[: wanted.options],
        rejections=rejections[: wanted.rejections],
        num_rejected=len(rejections),
        choices=choices(view.answer),
        lacks=lacks,
        miss=nearest_miss(lacks),
        filters=filters_of(view.request),
        rests_on=_rests_on(view),
        published=_published(view),
        widest=_widest(view),
        lack_words=LACK_WORDS,
        price_days=_price_days(view),
        wanted=wanted,
        opens_rejected=bool({"lack", "rejections"} & wanted.model_fields_set),
        parts=_parts(view, chart is not None, bool(actuals)),
        is_service=bool(view.answer.options) and view.answer.options[0].seconds is None,
        shape=shape_of(view),
        scale=_scale(view, wanted.options),
        item=_item(view.job),
        rate_of=_rate_of,
        unit_cost_of=_unit_cost_of,
        bare=_bare,
        chart=chart,
        contests=contests(view.answer),
        actuals=actuals,
    )
    return page, 422 if query is None else 200


class ShowQuery(EstimateQuery):
    """How much of an estimate's page is shown, which rejections, and the earlier estimate that it is held against."""

    options: Annotated[int, *whole(0, 10_000)] = 10
    rejections: Annotated[int, *whole(0, 10_000)] = 10
    lack: Bottleneck | None = None
    before: str | None = None


def _rests_on(view: EstimateView) -> Evidence | None:
    """The published runs behind the best option; None where it rests on a measurement or there is none."""
    best = view.answer.options[0] if view.answer.options else None
    return evidence(view.job, best.placement.gpu) if best is not None and best.basis is Basis.DERIVED else None


def _published(view: EstimateView) -> PublishedError | None:
    """How far published runs lay from estimates that, as the best option, rest on no measurement."""
    best = view.answer.options[0] if view.answer.options else None
    return published_error(view.job_kind) if best is not None and best.basis is Basis.DERIVED else None


def _widest(view: EstimateView) -> Cause | None:
    """What widens the range of the best option's time or rate most; None where nothing does."""
    if not view.answer.options:
        return None
    best = view.answer.options[0]
    causes = (best.seconds or best.tokens_per_second).causes
    return max(causes, key=lambda cause: cause.spread, default=None)


def _price_days(view: EstimateView) -> int | None:
    """How many days before the moment of the prices the best option's was stated; None where it has no price."""
    price = view.answer.options[0].placement.price if view.answer.options else None
    return None if price is None or price.amount is None else max((view.as_of.date() - price.source_date).days, 0)


def _parts(view: EstimateView, is_drawn: bool, has_run: bool) -> list[tuple[str, str]]:
    """The sections of an estimate's page that are there, by anchor."""
    parts = [
        ("options", f"All {len(view.answer.options):,} options", True),
        ("actuals", "What it took", has_run),
        ("frontier", "Time against cost", is_drawn),
        ("contests", "Best of each", True),
        ("best", "The best in figures", True),
        ("why-range", "Why a range", True),
        ("time-parts", "Time", bool(view.answer.options and view.answer.options[0].time_parts)),
        ("memory", "Memory", True),
        ("rejected", f"{len(view.answer.rejections):,} rejected", bool(view.answer.rejections)),
        ("used", "What it rests on", True),
    ]
    return [(anchor, words) for anchor, words, is_there in parts if is_there]


def _form_page(form: Form, kind: str | None, status: int) -> tuple[str, int]:
    facets = price_facets(session())
    catalogue = load_catalogue()
    sees = form.value("architecture") in PICTURES
    page = render_template(
        "estimates/form.html",
        form=form,
        kind=kind if kind in ("training", "inference") else "training",
        sees=sees,
        draws=sees and is_drawing(form.value("architecture")),
        reads=_reads(form),
        architectures=_picture_choices() if sees else _text_choices(),
        gpus=[(facet.value, facet.value) for facet in facets.gpu_keys if facet.value in catalogue.gpus],
        providers=[(facet.value, facet.value) for facet in facets.providers],
        regions=sorted((facet.value, facet.value) for facet in facets.regions),
        kinds=OFFER_KINDS,
        vendors=[(vendor.value, vendor.value) for vendor in Vendor if vendor is not Vendor.OTHER],
    )
    return page, status


def _reads(form: Form) -> bool:
    """Whether texts are embedded: the architecture is an encoder, or no token is to be written."""
    known = ARCHITECTURES.get(form.value("architecture"))
    encodes = known is not None and not known.architecture.causal and not known.architecture.encoder_layers
    return encodes or form.value("output_tokens") == "0"


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
        "prompt_tokens": job.prompt_tokens if picture is None else None,
        "output_tokens": job.output_tokens if picture is None else None,
        "answer_within": None if job.answer_seconds is None else typed_seconds(job.answer_seconds),
        "frame_rate": None if job.frame_rate is None else f"{job.frame_rate:g}",
        "steps": job.passes if job.item is Item.DRAWING else None,
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


def _configured(request: dict[str, Any]) -> dict[str, Any]:
    """The configuration that an earlier request gave, in place of the shape that was read from it: a form has no
    fields for windows, latent attention or shared experts, and they must not get lost."""
    if "config" not in request:
        return {}
    shape = {name: request.get(name) for name in (*SHAPE, "gated", "tied_embeddings")}
    return {**shape, "architecture": None, "config": request["config"]}


def _places(request: dict[str, Any]) -> dict[str, Any]:
    """Goal, limits and filters of an earlier request."""
    single = ("goal", "budget", "power_limit", "price_age_days", "nodes", "carbon_intensity", "pue")
    kept = {name: request.get(name) for name in (*single, *MEASURED, *SURVIVAL, *AROUND, *LISTS)}
    times = {name: typed_seconds(value) for name in DURATIONS if (value := request.get(name)) is not None}
    return {**kept, "goal": kept["goal"] or "cost", **times}


def _count(value: float) -> str:
    """The shortest exact way to type a count: "300M", "4096"."""
    for factor, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        short = value / factor
        if short >= 1 and float(f"{short:.6g}") * factor == value:
            return f"{short:.6g}{suffix}"
    return f"{value:.0f}"


def _item(job: Job) -> str | None:
    """What is answered in a pass each, in a word; None where requests are answered token by token, and in training."""
    if isinstance(job, TrainingJob) or not job.is_pass or job.item is Item.REQUEST:
        return None
    return job.item.value


def _rate_of(option: Option) -> Quantity:
    """What a service does each second: items of a pass each, else tokens."""
    return option.extras["requests_per_second"] if "alone_seconds" in option.extras else option.tokens_per_second


def _unit_cost_of(option: Option) -> Quantity | None:
    """The cost of a thousand items of a pass each, else of a million tokens."""
    if "alone_seconds" in option.extras:
        return option.cost_per_thousand_requests
    return option.cost_per_million_tokens


def _bare(quantity: Quantity | None) -> Quantity | None:
    """A figure for a column whose heading says its unit: money without what it is for, a rate as a plain number."""
    if quantity is None:
        return None
    money = MONEY_UNIT.fullmatch(quantity.unit)
    return replace(quantity, unit=money["currency"] if money else "")


def _scale(view: EstimateView, count: int) -> dict[str, float]:
    """The highest end of each range among the options shown, for the bars."""
    shown = view.answer.options[:count]
    names = ("seconds", "cost", "cost_per_hour")
    ends = {
        name: [getattr(option, name).high for option in shown if getattr(option, name) is not None] for name in names
    }
    ends["rate"] = [_rate_of(option).high for option in shown]
    return {name: max(values, default=0.0) for name, values in ends.items()}
