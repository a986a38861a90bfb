"""What the form of a plan asks, as the fields of its request; and which of its fields a fault belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import FieldProblem, InvalidInput
from planner.web.forms import Form
from planner.web.plan_csv import FIELD, MOMENTS, is_date, jobs_of

JOB_ROWS, SERVICE_ROWS = 4, 2
SUPPLY_BOXES = ("own", "purchases", "offers", "share_instances")
LISTS = frozenset({"kinds", "providers"})
FORM_NAMES: Mapping[str, str] = {
    "estimate_id": "estimate",
    "release_at": "release",
    "due_at": "deadline",
    "options": "estimate",
    "replicas": "estimate",
    "demand": "high",
}  # of a request's field, where the form's is another


def question_of(form: Form) -> dict[str, Any]:
    """What the form asks, as the request's fields. Raises InvalidInput for a whole question that is no JSON, and for
    lines of the table of jobs that cannot be used."""
    if form.value("whole").strip():
        try:
            whole = json.loads(form.value("whole"))
        except (ValueError, RecursionError) as error:
            raise InvalidInput.of("whole", f"is not JSON: {error}") from None
        if not isinstance(whole, dict):
            raise InvalidInput.of("whole", "must be a JSON object")
        return whole
    question: dict[str, Any] = {
        name: form.value(name).strip()
        for name in ("name", "span", "slot", "starts_at", "goal", "time_limit")
        if form.value(name).strip()
    }
    if form.value("gap").strip():
        question["gap"] = share_of(form.value("gap"))
    if form.value("leave_least_urgent") == "true":
        question["leave_least_urgent"] = True
    jobs = [_job(form, f"job{row}_") for row in _rows(form, "job", JOB_ROWS)]
    question["jobs"] = [*jobs, *jobs_of(form.value(FIELD))]
    question["services"] = [_service(form, f"service{row}_") for row in _rows(form, "service", SERVICE_ROWS)]
    supply: dict[str, Any] = {name: form.value(name) == "true" for name in SUPPLY_BOXES}
    if form.value("quantity").strip():
        supply["quantity"] = form.value("quantity").strip()
    supply |= {name: form.many(name) for name in LISTS if form.many(name)}
    return {**question, "supply": supply}


def _rows(form: Form, kind: str, most: int) -> list[int]:
    """The rows of jobs or services that are filled in."""
    return [row for row in range(1, most + 1) if form.value(f"{kind}{row}_estimate").strip()]


def _job(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    job: dict[str, Any] = {"estimate_id": estimate, "divisible": form.value(f"{prefix}divisible") == "true"}
    for name in ("name", "release", "deadline", "copies", "drop_cost", "priority"):
        text = form.value(prefix + name).strip()
        if text:
            job[MOMENTS[name] if name in MOMENTS and is_date(text) else name] = text
    return job


def _service(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    demand = {name: form.value(prefix + name).strip() for name in ("low", "high") if form.value(prefix + name).strip()}
    if set(demand) == {"high"}:
        demand = {"level": demand["high"]}
    service: dict[str, Any] = {"estimate_id": estimate, "demand": demand}
    if form.value(f"{prefix}headroom").strip():
        service["headroom"] = share_of(form.value(f"{prefix}headroom"))
    return service


def changes_of(form: Form, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a scenario changes of what its parent `asked`: the span, the goal, the kinds and the quantity of offers."""
    changes: dict[str, Any] = {"name": form.value("name").strip()}
    for name in ("span", "starts_at", "goal", "time_limit"):
        if form.value(name).strip():
            changes[name] = form.value(name).strip()
    supply = dict(asked.get("supply", {}))
    if form.many("kinds"):
        supply["kinds"] = form.many("kinds")
    if form.value("quantity").strip():
        supply["quantity"] = form.value("quantity").strip()
    if form.many("without"):
        changes["without"] = form.many("without")
    return {**changes, "supply": supply} if supply else changes


def share_of(text: str) -> float | str:
    """A share as people write it: "1 %" or "0.01"; what is neither is left for the request to refuse."""
    plain = text.strip().removesuffix("%").strip()
    try:
        value = float(plain)
    except ValueError:
        return text
    return value / 100 if text.strip().endswith("%") else value


def faults_of(form: Form, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """The faults of a question, each laid on the field of the form that it belongs to."""
    rows = {"jobs": _rows(form, "job", JOB_ROWS), "services": _rows(form, "service", SERVICE_ROWS)}
    found = []
    for item in problems:
        parts = item.field.split(".")
        if parts[0] in rows and len(parts) > 1 and parts[1].isdigit():
            found.append(_fault(form, parts, rows[parts[0]], item.message))
        else:
            whole = {"jobs": "job1_estimate", "services": "service1_estimate", "supply": "offers"}
            found.append(FieldProblem(whole.get(parts[0], parts[0]), item.message))
    return found


def _fault(form: Form, parts: list[str], rows: Sequence[int], message: str) -> FieldProblem:
    """Of "jobs.0.deadline" that of the first row that is filled in; beyond the rows it is one of the table."""
    number, name = int(parts[1]), parts[2] if len(parts) > 2 else "estimate_id"
    if number < len(rows):
        field = FORM_NAMES.get(name, name)
        return FieldProblem(f"{parts[0][:-1]}{rows[number]}_{field}", message)
    tabled = jobs_of(form.value(FIELD)) if parts[0] == "jobs" else []
    place = number - len(rows)
    if place < len(tabled):
        return FieldProblem(FIELD, f"{tabled[place]['name']}: {'.'.join(parts[2:])} {message}".replace(":  ", ": "))
    return FieldProblem(f"{parts[0][:-1]}1_estimate", message)
