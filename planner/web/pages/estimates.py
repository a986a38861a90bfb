"""Estimates: the form (a preset first, then edit), the stored result, and the list."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

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
from planner.jobs.document import items_words, job_kind
from planner.jobs.job import Item, Job, TrainingJob
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.jobs.presets import JOBS
from planner.quantity import Basis, Cause, Quantity
from planner.services.actuals import list_actuals
from planner.services.estimates import EstimateView, get_estimate, list_estimates, make_estimate
from planner.services.offers import price_facets
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.base import whole
from planner.version import code_version
from planner.web.asked_words import filters_of, shape_of
from planner.web.config_files import take_config
from planner.web.database import now, session
from planner.web.estimate_form import (
    LISTS,
    picture_choices,
    reads_texts,
    text_choices,
    typed_config,
    typed_job,
    typed_places,
)
from planner.web.formats import MONEY_UNIT
from planner.web.forms import Form
from planner.web.frontier_chart import frontier_chart
from planner.web.lack_words import LACK_WORDS
from planner.web.pages.blueprint import pages
from planner.web.queries import EstimateQuery, ListQuery, NewEstimateQuery, read_query

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
        asked = {**typed_job(earlier.job), **typed_places(earlier.request), **typed_config(earlier.request)}
        form = Form.filled(asked if query.nodes is None else {**asked, "nodes": query.nodes})
        return _form_page(form, form.value("kind"), 200)
    if query.preset is not None:
        if query.preset not in JOBS:
            raise NotFound(f"there is no preset {query.preset!r}; there are {', '.join(sorted(JOBS))}")
        form = Form.filled({**typed_job(JOBS[query.preset].job), "goal": "cost"})
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
        reads=reads_texts(form),
        architectures=picture_choices() if sees else text_choices(),
        gpus=[(facet.value, facet.value) for facet in facets.gpu_keys if facet.value in catalogue.gpus],
        providers=[(facet.value, facet.value) for facet in facets.providers],
        regions=sorted((facet.value, facet.value) for facet in facets.regions),
        kinds=OFFER_KINDS,
        vendors=[(vendor.value, vendor.value) for vendor in Vendor if vendor is not Vendor.OTHER],
    )
    return page, status


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
