"""Which presses a GPU harder, training a model or serving it: from the model, and as measured where it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from planner.errors import FieldProblem, InvalidInput, NotFound
from planner.estimates.answer import fit_for
from planner.estimates.estimate import Placement
from planner.estimates.load.pressure import PHASE_NAMES, Phase, Pressure, hardware_key, pressure
from planner.hardware.catalogue import load_catalogue
from planner.offers.offer import OfferKind
from planner.services.comparison import TrainingAgainstInference, training_against_inference
from planner.services.estimates import find_placements
from planner.services.fits import newest_fits
from planner.services.requests.estimate import EstimateRequest
from planner.services.requests.pressure import PressureRequest
from planner.store.engine import Session

USUAL = ("B200", "H200-SXM", "H100-80GB-SXM", "A100-80GB-SXM", "L40S", "L4", "MI300X")


@dataclass(frozen=True, slots=True)
class NotTold:
    """A GPU of which it cannot be said, and why."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class PressureView:
    """The verdict, the phases on each GPU, what attached devices measured, and GPUs of which nothing can be said."""

    sentence: str
    question: str
    names: dict[str, str]  # of the phases
    gpus: tuple[Pressure, ...]
    measured: tuple[TrainingAgainstInference, ...]
    not_told: tuple[NotTold, ...]
    notes: tuple[str, ...]
    request: dict[str, Any] = field(default_factory=dict)


def compare_pressure(session: Session, request: PressureRequest, now: datetime) -> PressureView:
    """Training against inference on the attached devices and the GPUs that were named. Nothing is stored.

    Raises InvalidInput for a model or a GPU that is not known.
    """
    question = request.question()
    fits = newest_fits(session)
    found: list[Pressure] = []
    missing: list[NotTold] = []
    seen: set[Hashable] = set()
    attached = _attached(session, now)
    for placement in (*attached, *_catalogued(request)):
        chosen = fit_for(placement, fits)
        key = hardware_key(placement, chosen)
        if key in seen and placement.device_id is None:
            continue
        seen.add(key)
        pressed = pressure(question, placement, chosen)
        if isinstance(pressed, str):
            missing.append(NotTold(placement.title, pressed))
        else:
            found.append(pressed)
    measured = [training_against_inference(session, each.device_id) for each in attached if each.device_id is not None]
    shape = question.architecture
    return PressureView(
        sentence=_verdict(found, shape.name),
        question=(
            f"{shape.name} in {question.dtype.value}: training {question.batch} × {question.sequence_length:,} tokens "
            f"a step, serving {question.concurrency} requests at a time of {question.prompt_tokens:,} in and "
            f"{question.output_tokens:,} out"
        ),
        names={phase.value: words for phase, words in PHASE_NAMES.items()},
        gpus=tuple(found),
        measured=tuple(each for each in measured if each.formats),
        not_told=tuple(missing),
        notes=_notes(),
        request=request.model_dump(mode="json", exclude_defaults=True, exclude={"config"}),
    )


def _attached(session: Session, now: datetime) -> list[Placement]:
    """Each attached device by itself."""
    own = EstimateRequest(kind="inference", offer_kinds=(OfferKind.OWNED,))
    found = find_placements(session, own, now)
    return [each for each in found if each.device_id is not None and each.num_gpus == 1]


def _catalogued(request: PressureRequest) -> list[Placement]:
    catalogue = load_catalogue()
    keys = request.gpus or tuple(key for key in USUAL if key in catalogue.gpus)
    problems, found = [], []
    for key in keys:
        try:
            found.append(Placement(gpu=catalogue.get(key), num_gpus=Decimal(1)))
        except NotFound as error:
            problems.append(FieldProblem("gpus", str(error)))
    if problems:
        raise InvalidInput(problems)
    return found


def _verdict(found: list[Pressure], name: str) -> str:
    """ "Training presses the arithmetic of all 7 GPUs harder than serving (2.2 to 3.4 times), serving the memory …"."""
    told = [each for each in found if each.more_arithmetic is not None]
    if not told:
        return f"Nothing can be said of {name}: no GPU has the figures that are needed."
    if len(told) == 1:
        return told[0].sentence
    text = (
        f"{name}: {_counted(told, 'compute_share', 'the arithmetic')}; {_counted(told, 'memory_share', 'the memory')}"
    )
    draws = Counter(each.more_power for each in told)
    unclear = draws.pop(None, 0)
    if not draws:
        return f"{text}. Which draws more power their ranges do not tell apart."
    words = " and ".join(f"{phase.value} on {number}" for phase, number in draws.most_common() if phase is not None)
    return f"{text}. More power is drawn by {words}" + (f"; on {unclear} ranges do not tell." if unclear else ".")


def _counted(told: list[Pressure], name: str, what: str) -> str:
    """Which of training and serving presses more, on how many GPUs, and how many times as hard."""
    ratios = []
    for each in told:
        by = {press.phase: getattr(press, name) for press in each.phases}
        train, serve = by[Phase.TRAINING], by[Phase.SERVING]
        if train and serve:
            ratios.append(train / serve)
    if not ratios:
        return f"nothing can be said of {what}"
    is_training = sum(ratio >= 1.0 for ratio in ratios) * 2 >= len(ratios)
    mine = sorted(ratio if is_training else 1.0 / ratio for ratio in ratios if (ratio >= 1.0) is is_training)
    share = f"all {len(ratios)}" if len(mine) == len(ratios) else f"{len(mine)} of {len(ratios)}"
    factor = f"{mine[0]:.1f}" if mine[0] * 1.05 > mine[-1] else f"{mine[0]:.1f} to {mine[-1]:.1f}"
    return f"{'training' if is_training else 'serving'} presses {what} of {share} GPUs {factor} times as hard"


def _notes() -> tuple[str, ...]:
    return (
        "Every phase is worked out on one GPU as if its memory held the job: what differs is the work, not what fits.",
        "Shares are of the published dense peak of the format and of the published bandwidth, or of the best that "
        "was measured where the device has none; bytes are those that the work must move at least.",
        "Power is measured beside the phases where the device, or one of its model, was calibrated; else it is a share "
        "of the board's limit.",
    )
