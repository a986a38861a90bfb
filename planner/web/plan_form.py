"""What the form of a plan asks, as the fields of its request; and which of its fields a fault belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planner.errors import InvalidInput
from planner.web.forms import Form

JOB_ROWS, SERVICE_ROWS = 4, 2
SUPPLY_BOXES = ("own", "purchases", "offers", "share_instances")
MOMENTS = {"release": "release_at", "deadline": "due_at"}  # fields that take a date as well
LISTS = frozenset({"kinds", "providers"})


def question_of(form: Form) -> dict[str, Any]:
    """What the form asks, as the request's fields. Raises InvalidInput for a whole question that is no JSON."""
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
    question["jobs"] = [job for row in range(1, JOB_ROWS + 1) if (job := _job(form, f"job{row}_"))]
    question["services"] = [found for row in range(1, SERVICE_ROWS + 1) if (found := _service(form, f"service{row}_"))]
    supply: dict[str, Any] = {name: form.value(name) == "true" for name in SUPPLY_BOXES}
    if form.value("quantity").strip():
        supply["quantity"] = form.value("quantity").strip()
    supply |= {name: form.many(name) for name in LISTS if form.many(name)}
    return {**question, "supply": supply}


def _job(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    if not estimate:
        return {}
    job: dict[str, Any] = {"estimate_id": estimate, "divisible": form.value(f"{prefix}divisible") == "true"}
    for name in ("name", "release", "deadline", "copies", "drop_cost", "priority"):
        text = form.value(prefix + name).strip()
        if text:
            job[MOMENTS[name] if name in MOMENTS and text[:4].isdigit() and "-" in text else name] = text
    return job


def _service(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    if not estimate:
        return {}
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


def field_of(field: str) -> str:
    """The form's field that a fault belongs to: "jobs.0.deadline" → "job1_deadline"."""
    parts = field.split(".")
    if parts[0] in ("jobs", "services") and len(parts) > 1 and parts[1].isdigit():
        last = {
            "estimate_id": "estimate",
            "release_at": "release",
            "due_at": "deadline",
            "options": "estimate",
            "demand": "high",
        }
        name = parts[2] if len(parts) > 2 else "estimate"
        return f"{parts[0][:-1]}{int(parts[1]) + 1}_{last.get(name, name)}"
    return {"jobs": "job1_estimate", "services": "service1_estimate", "supply": "offers"}.get(parts[0], parts[0])
