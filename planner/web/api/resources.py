"""The API's views: each parses (the layer does), calls one service and answers with its view."""

from __future__ import annotations

from flask import url_for

from planner.errors import NotFound, Unavailable
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Gpu
from planner.jobs.document import job_kind
from planner.jobs.presets import ARCHITECTURES, JOBS, PICTURES
from planner.services import suites
from planner.services.calibrations import CalibrationPlan, cancel_run, plan_calibration, request_run
from planner.services.devices import DeviceView, get_device, list_devices
from planner.services.estimates import get_estimate, list_estimates, make_estimate
from planner.services.offers import (
    find_prices,
    get_offer,
    next_after,
    price_book_age,
    price_facets,
    price_history,
)
from planner.services.requests import CalibrationRequest, EstimateRequest, PriceQuery, ScheduleRequest
from planner.services.requests.lists import EstimatesQuery
from planner.services.run_now import run_schedule_now
from planner.services.runs import RunDetail, RunView, get_run, list_runs
from planner.services.schedules import (
    Preview,
    ScheduleView,
    archive_schedule,
    create_schedule,
    get_schedule,
    list_schedules,
    preview,
    update_schedule,
)
from planner.version import code_version
from planner.web.api import tables, views
from planner.web.api.layer import Api
from planner.web.catalogue import find_gpus
from planner.web.clients import actor
from planner.web.database import is_ready, now, session
from planner.web.exports import Table
from planner.web.queries import (
    CatalogueQuery,
    EstimateQuery,
    MomentQuery,
    PlanQuery,
    PreviewQuery,
    RunsOfSpanQuery,
    price_filter,
)

OFFER = "<int(min=1, max=9223372036854775807):offer_id>"
api = Api()


@api.get("/health/live", tag="health", answers=views.Health)
def health_live() -> views.Health:
    """Whether the process answers at all."""
    return views.Health("ok")


@api.get("/health/ready", tag="health", answers=views.Health)
def health_ready() -> views.Health:
    """Whether the database answers and has the schema of this code; 503 says why not."""
    ready, reason = is_ready()
    if not ready:
        raise Unavailable(reason)
    return views.Health("ok")


@api.get("/devices", tag="devices", answers=views.DeviceList)
def list_all_devices() -> views.DeviceList:
    """Every device ever seen, accelerators before CPUs, by node."""
    return views.DeviceList(list_devices(session()))


@api.get("/devices/<device_id>", tag="devices", answers=DeviceView)
def get_one_device(device_id: str) -> DeviceView:
    """One device."""
    return get_device(session(), device_id)


@api.get("/gpus", tag="gpus", answers=views.GpuList, query=CatalogueQuery)
def list_gpus(query: CatalogueQuery) -> views.GpuList:
    """The hardware catalogue: published dense peaks, in SI units."""
    catalogue = load_catalogue()
    found = find_gpus(list(catalogue.gpus.values()), query)
    return views.GpuList(catalogue.version, [views.gpu_summary(gpu) for gpu in found])


@api.get("/gpus/<key>", tag="gpus", answers=Gpu)
def get_gpu(key: str) -> Gpu:
    """One model, each figure with its source and date."""
    return load_catalogue().get(key)


@api.get("/offers", tag="prices", answers=views.OfferList, query=PriceQuery)
def list_offers(query: PriceQuery) -> views.OfferList:
    """Ways to get GPU time, without their prices: provider, region, instance, GPUs, kind, and how each can be had.

    Filters, order and pages are those of `/prices`.
    """
    as_of, known_at = query.as_of or now(), query.known_at or now()
    found = find_prices(
        session(), price_filter(query), as_of, known_at, order=query.order, limit=query.limit, after=query.after
    )
    listed = [views.OfferEntry(item.offer_id, item.offer) for item in found]
    return views.OfferList(listed, next_after(found, query.order, query.limit))


@api.get("/prices", tag="prices", answers=views.PriceList, query=PriceQuery)
def list_prices(query: PriceQuery) -> views.PriceList:
    """Offers with the price that held at `as_of`, as far as was known at `known_at`.

    `after` is `next_after` of the page before; prices that are not known come last.
    """
    as_of, known_at = query.as_of or now(), query.known_at or now()
    found = find_prices(
        session(), price_filter(query), as_of, known_at, order=query.order, limit=query.limit, after=query.after
    )
    listed = [views.offer_price(item, known_at) for item in found]
    return views.PriceList(as_of, known_at, listed, next_after(found, query.order, query.limit))


@api.table("/prices", tag="prices", query=PriceQuery)
def list_prices_table(query: PriceQuery) -> Table:
    """The same as CSV; without `limit` all that pass the filters."""
    as_of, known_at = query.as_of or now(), query.known_at or now()
    limit = query.limit if "limit" in query.model_fields_set else None
    found = find_prices(
        session(), price_filter(query), as_of, known_at, order=query.order, limit=limit, after=query.after
    )
    following = None if limit is None else next_after(found, query.order, limit)
    return tables.prices_table(found, as_of, known_at, following)


@api.get("/prices/summary", tag="prices", answers=views.PriceSummary)
def get_price_summary() -> views.PriceSummary:
    """What there is to filter by, with counts, and how old each provider's prices are."""
    return views.PriceSummary(price_facets(session()), price_book_age(session(), now()))


@api.get(f"/prices/{OFFER}", tag="prices", answers=views.OfferPrice, query=MomentQuery)
def get_one_offer(offer_id: int, query: MomentQuery) -> views.OfferPrice:
    """One offer with the price that held."""
    known_at = query.known_at or now()
    return views.offer_price(get_offer(session(), offer_id, query.as_of or now(), known_at), known_at)


@api.get(f"/prices/{OFFER}/history", tag="prices", answers=views.PriceHistory, query=MomentQuery)
def get_price_history(offer_id: int, query: MomentQuery) -> views.PriceHistory:
    """Every price of one offer that was known at `known_at`, corrected ones too."""
    known_at = query.known_at or now()
    offer = get_offer(session(), offer_id, query.as_of or now(), known_at).offer
    past = [
        views.PastPrice(
            price_id, price.amount, price.valid_from, price.recorded_at, price.source, price.source_date, price.reason
        )
        for price_id, price in price_history(session(), offer_id, known_at)
    ]
    return views.PriceHistory(offer, past)


@api.get("/suites", tag="calibrations", answers=views.SuiteList)
def list_suites() -> views.SuiteList:
    """The suites of benches that a calibration can run, your own among them."""
    return views.SuiteList(suites.list_suites(session()))


@api.get("/calibrations", tag="calibrations", answers=views.RunList, query=RunsOfSpanQuery)
def list_calibrations(query: RunsOfSpanQuery) -> views.RunList:
    """Calibration runs, newest first."""
    found = list_runs(session(), query.limit, query.device_id, query.state, query.after, query.span)
    return views.RunList(found, found[-1].id if len(found) == query.limit else None)


@api.table("/calibrations", tag="calibrations", query=RunsOfSpanQuery)
def list_calibrations_table(query: RunsOfSpanQuery) -> Table:
    """The same as CSV, a line per run; without `limit` all that pass the filters."""
    found = list_runs(session(), query.rows, query.device_id, query.state, query.after, query.span)
    return tables.runs_table(found, found[-1].id if len(found) == query.rows else None)


@api.post(
    "/calibrations",
    tag="calibrations",
    answers=RunView,
    body=CalibrationRequest,
    status=202,
    problems=(404, 409),
    location=True,
)
def request_calibration(body: CalibrationRequest) -> tuple[RunView, str]:
    """Queue a calibration run of one device; a worker of its node takes it."""
    run = request_run(session(), body.device_id, body.suite, now(), code_version=code_version(), actor=actor())
    return run, url_for("api.get_calibration", run_id=run.id)


@api.get("/calibrations/plan", tag="calibrations", answers=CalibrationPlan, query=PlanQuery, problems=(404,))
def get_calibration_plan(query: PlanQuery) -> CalibrationPlan:
    """What a run would measure, how long it takes and when it stops at the latest. Nothing is started."""
    return plan_calibration(session(), query.device_id, query.suite)


@api.get("/calibrations/<run_id>", tag="calibrations", answers=RunDetail)
def get_calibration(run_id: str) -> RunDetail:
    """One run with its samples, failures, telemetry, conditions and history."""
    return get_run(session(), run_id)


@api.post("/calibrations/<run_id>/cancel", tag="calibrations", answers=RunView, status=202, problems=(409,))
def cancel_calibration(run_id: str) -> RunView:
    """End a queued run, or ask the worker of a running one to stop."""
    return cancel_run(session(), run_id, now(), actor=actor())


@api.get("/schedules", tag="schedules", answers=views.ScheduleList)
def list_all_schedules() -> views.ScheduleList:
    """All schedules by name, with their next due times."""
    return views.ScheduleList(list_schedules(session(), now()))


@api.post("/schedules", tag="schedules", answers=ScheduleView, body=ScheduleRequest, status=201, location=True)
def create_one_schedule(body: ScheduleRequest) -> tuple[ScheduleView, str]:
    """Keep a new schedule."""
    made = create_schedule(session(), body, now())
    return made, url_for("api.get_one_schedule", schedule_id=made.id)


@api.get("/due-times", tag="schedules", answers=Preview, query=PreviewQuery)
def preview_rule(query: PreviewQuery) -> Preview:
    """What a cron rule means in words, and when it is due next. Nothing is stored."""
    return preview(query.cron, query.timezone, now(), query.number)


def _schedule_revision(schedule_id: str) -> int:
    return get_schedule(session(), schedule_id, now()).revision


@api.get("/schedules/<schedule_id>", tag="schedules", answers=ScheduleView, revision=_schedule_revision)
def get_one_schedule(schedule_id: str) -> ScheduleView:
    """One schedule."""
    return get_schedule(session(), schedule_id, now())


@api.put(
    "/schedules/<schedule_id>",
    tag="schedules",
    answers=ScheduleView,
    body=ScheduleRequest,
    revision=_schedule_revision,
)
def replace_schedule(schedule_id: str, body: ScheduleRequest) -> ScheduleView:
    """Change a schedule; fields left out take their defaults. `enabled` false pauses it."""
    return update_schedule(session(), schedule_id, body, now())


@api.delete("/schedules/<schedule_id>", tag="schedules", answers=None, status=204, revision=_schedule_revision)
def delete_one_schedule(schedule_id: str) -> None:
    """Take a schedule away; its past runs stay."""
    archive_schedule(session(), schedule_id, now())


@api.post("/schedules/<schedule_id>/run", tag="schedules", answers=views.RunsQueued, status=202, problems=(409,))
def run_one_schedule(schedule_id: str) -> views.RunsQueued:
    """Queue the schedule's runs at once."""
    done = run_schedule_now(session(), schedule_id, now(), code_version())
    return views.RunsQueued(list(done.queued), list(done.refused))


@api.get("/presets", tag="estimates", answers=views.PresetList)
def list_presets() -> views.PresetList:
    """Ready jobs to start from, and the architectures that requests may name."""
    presets = [
        views.PresetView(preset.key, preset.title, job_kind(preset.job), preset.job)  # type: ignore[arg-type]
        for preset in JOBS.values()
    ]
    architectures = [
        views.ArchitectureView(
            found.key,
            found.title,
            found.architecture.num_parameters,
            found.published_parameters,
            found.source,
            found.as_of,
            found.was_read,
        )
        for found in ARCHITECTURES.values()
    ]
    pictures = [
        views.PictureView(
            found.key,
            found.title,
            found.pixels,
            found.at().architecture.num_parameters,
            found.published_parameters,
            found.source,
        )
        for found in PICTURES.values()
    ]
    return views.PresetList(presets, architectures, pictures)


@api.get("/estimates", tag="estimates", answers=views.EstimateList, query=EstimatesQuery)
def list_all_estimates(query: EstimatesQuery) -> views.EstimateList:
    """Stored estimates, newest first, each with its best option."""
    found = list_estimates(session(), query.limit, query.after, query.span, query.kind)
    return views.EstimateList(found, found[-1].id if len(found) == query.limit else None)


@api.table("/estimates", tag="estimates", query=EstimatesQuery)
def list_estimates_table(query: EstimatesQuery) -> Table:
    """The same as CSV, a line per estimate; without `limit` all that pass the filters."""
    found = list_estimates(session(), query.rows, query.after, query.span, query.kind)
    return tables.estimates_table(found, found[-1].id if len(found) == query.rows else None)


@api.post("/estimates", tag="estimates", answers=views.EstimateAnswer, body=EstimateRequest, status=201, location=True)
def create_estimate(body: EstimateRequest) -> tuple[views.EstimateAnswer, str]:
    """Estimate a job on every attached device and every offer that passes the filters, and store the answer.

    Numbers may also be text as people write them: "7B", "300M", "1.5 h".
    """
    made = make_estimate(session(), body, now(), code_version())
    answer = views.estimate_answer(made, EstimateQuery().options, EstimateQuery().rejections)
    return answer, url_for("api.get_one_estimate", estimate_id=made.id)


@api.table("/estimates/<estimate_id>", tag="estimates")
def get_estimate_table(estimate_id: str) -> Table:
    """All options and rejections of a stored estimate as CSV."""
    return tables.estimate_table(get_estimate(session(), estimate_id))


@api.get("/estimates/<estimate_id>", tag="estimates", answers=views.EstimateAnswer, query=EstimateQuery)
def get_one_estimate(estimate_id: str, query: EstimateQuery) -> views.EstimateAnswer:
    """A stored estimate, as it was made."""
    if estimate_id.endswith((".csv", ".xlsx")):
        raise NotFound(f"there is no estimate {estimate_id!r}")
    return views.estimate_answer(get_estimate(session(), estimate_id), query.options, query.rejections)
