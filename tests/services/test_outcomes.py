"""What calibrations say: drift, siblings with prices, both comparisons, fits, and what is worth measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from planner.calibration.run_states import RunState
from planner.calibration.sample import Operation, Sample
from planner.calibration.suites import custom_suite, get_suite
from planner.errors import NotFound
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend, SeenDevice
from planner.jobs.presets import JOBS
from planner.quantity import Basis
from planner.services.calibrations import request_run
from planner.services.claims import begin_run, claim_run, finish_run
from planner.services.comparison import cpu_against_gpu, training_against_inference
from planner.services.devices import DeviceView
from planner.services.drift import device_drift
from planner.services.estimates import make_estimate
from planner.services.fit_versions import fit_history
from planner.services.offers import sync_price_book
from planner.services.requests import EstimateRequest
from planner.services.runs import get_run
from planner.services.siblings import sibling_groups
from planner.services.worth import estimate_worth, left_open
from planner.store.engine import Session
from tests.builders import NOW, discovery, seen_cpu, seen_device
from tests.runs import CODE, TERM, known_devices
from tests.web.world import measured

CONDITIONS = {"torch": "2.13.0", "device_before": {"driver_version": "580.95.05"}}
PRODUCTS = "custom:copy+matmul/bf16+fp32"
Change = Callable[[Sample], Sample]


def as_is(sample: Sample) -> Sample:
    return sample


def slower(factor: float) -> Change:
    return lambda sample: replace(sample, seconds=sample.seconds * factor)


def run_on(
    session: Session,
    device: DeviceView,
    at: datetime,
    change: Change = as_is,
    suite: str = "quick",
    conditions: dict[str, Any] | None = None,
) -> str:
    """A run of the suite that succeeded, each sample changed."""
    run = request_run(session, device.id, suite, at, code_version=CODE)
    claim = claim_run(session, device.node_id, "worker-1", "boot-1", TERM, at)
    assert claim is not None
    assert begin_run(session, claim, at)
    outcomes = {position: change(measured(bench)) for position, bench in enumerate(claim.benches)}
    ended = at + timedelta(seconds=60)
    assert finish_run(session, claim, RunState.SUCCEEDED, outcomes, [], {}, conditions or CONDITIONS, "", ended, CODE)
    return run.id


def with_noise(number: int) -> Change:
    return slower(1 + 0.002 * (number % 3 - 1))


class TestDrift:
    def test_a_device_that_got_slower_is_named_with_the_driver_that_came_meanwhile(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        for week in range(6):
            run_on(session, gpu, NOW + timedelta(days=7 * week), with_noise(week))
        run_on(session, gpu, NOW + timedelta(days=50), slower(1.07))
        found = device_drift(session, gpu.id)
        assert found.is_real
        assert found.change == pytest.approx(0.07, abs=0.005)
        assert "7.0% slower than the 6 runs before" in found.sentence
        assert [run.changed for run in found.runs] == [{}] * 7
        assert found.runs[-1].change == pytest.approx(0.07, abs=0.005)
        newer = {"torch": "2.13.0", "device_before": {"driver_version": "590.10"}}
        run_on(session, gpu, NOW + timedelta(days=60), slower(1.0), conditions=newer)
        found = device_drift(session, gpu.id)
        assert found.change is None
        assert found.runs[-1].changed == {"driver_version": ("580.95.05", "590.10")}
        assert found.runs[-1].change is None, "nothing under the new driver to compare with yet"

    def test_without_runs_or_with_few_it_says_so(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        assert device_drift(session, gpu.id).sentence.startswith("No run of this device has succeeded yet")
        run_on(session, gpu, NOW)
        found = device_drift(session, gpu.id)
        assert (found.change, len(found.runs), found.runs[0].change) == (None, 1, None)
        with pytest.raises(NotFound):
            device_drift(session, "none")


def cards(number: int, **changes: Any) -> list[SeenDevice]:
    return [seen_device(uuid=f"GPU-{place:08d}", index=place, **changes) for place in range(number)]


class TestSiblings:
    def test_a_card_behind_its_siblings_is_priced_by_a_real_price(self, session: Session) -> None:
        sync_price_book(session, NOW)
        devices = known_devices(session, discovery(*cards(4)))
        for place, device in enumerate(devices):
            at = NOW + timedelta(minutes=5 * place)
            run_on(session, device, at, slower(1.08) if place == 2 else with_noise(place))
        (group,) = sibling_groups(session, NOW + timedelta(days=1))
        worst = group.devices[0]
        assert worst.device_id == devices[2].id
        assert worst.behind == pytest.approx(0.08, abs=0.005)
        assert group.worth.amount is not None
        assert group.worth.currency == "USD"
        assert "lowest list price on demand" in group.worth.source
        expected = group.worth.amount * 730 * Decimal("0.08") / Decimal("1.08")
        assert float(worst.loss_per_month or 0) == pytest.approx(float(expected), rel=0.08)
        assert [device.behind for device in group.devices[1:]] == [None] * 3
        assert "1 of them is behind the others, which loses" in group.sentence

    def test_without_a_price_the_loss_is_unknown_with_its_reason(self, session: Session) -> None:
        devices = known_devices(session, discovery(*cards(3, name="A card nobody lists", gpu_key=None)))
        for place, device in enumerate(devices):
            run_on(session, device, NOW + timedelta(minutes=5 * place), slower(1.2) if not place else slower(1.0))
        (group,) = sibling_groups(session, NOW)
        assert (group.devices[0].behind or 0) > 0.15
        assert group.devices[0].loss_per_month is None
        assert "what that costs is unknown: no owner's cost" in group.sentence

    def test_of_two_measured_ones_nobody_can_say_which_is_off(self, session: Session) -> None:
        devices = known_devices(session, discovery(*cards(3)))
        for place, device in enumerate(devices[:2]):
            run_on(session, device, NOW + timedelta(minutes=5 * place), slower(1.0 + place))
        (group,) = sibling_groups(session, NOW)
        assert group.sentence == "2 of these were measured; 3 are needed to say which is off."
        assert {device.reason for device in group.devices} == {
            "not measured yet",
            "2 of them measured; of fewer than 3 nobody can say which is off",
        }

    def test_a_device_of_its_own_kind_has_no_siblings(self, session: Session) -> None:
        known_devices(session)
        assert sibling_groups(session, NOW) == []


class TestComparison:
    def test_both_sides_of_the_newest_run_with_what_is_unknown(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        assert training_against_inference(session, gpu.id).formats == ()
        run_id = run_on(session, gpu, NOW)
        run_on(session, gpu, NOW + timedelta(hours=1), suite="custom:matmul/bf16")
        found = training_against_inference(session, gpu.id)
        assert found.run_id == run_id, "the newest run that measured both"
        (sides,) = found.formats
        assert set(sides.sides) == {Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE}
        assert sides.unknown["power_watts"] == "the driver told no power beside that run"
        assert "pushes this device harder than" in sides.sentence

    def test_one_job_on_both_measured_devices_says_how_much_faster(self, session: Session) -> None:
        gpu, cpu = known_devices(session)
        run_on(session, gpu, NOW)
        found = cpu_against_gpu(session, "pretrain-tiny")
        assert found.times_faster is None
        assert found.sentence == "Unknown: no measured CPU here does this job."
        run_on(session, cpu, NOW + timedelta(hours=1), slower(500.0))
        found = cpu_against_gpu(session, "pretrain-tiny")
        assert {one.device_id for one in found.devices} == {gpu.id, cpu.id}
        assert (found.times_faster or 0) > 50
        assert " → " in found.sentence

    def test_without_a_gpu_it_is_unknown_and_not_drawn_from_published_figures(self, session: Session) -> None:
        (cpu,) = known_devices(session, discovery(seen_cpu()))
        run_on(session, cpu, NOW, slower(500.0))
        found = cpu_against_gpu(session, "pretrain-tiny")
        assert found.sentence == "Unknown: no measured GPU here does this job."
        assert found.devices[0].seconds is not None
        assert cpu_against_gpu(session, "serve-llama-3-70b").devices[0].reason

    def test_a_ready_job_that_there_is_not_is_named(self, session: Session) -> None:
        with pytest.raises(NotFound, match="pretrain-tiny"):
            cpu_against_gpu(session, "nonsense")
        assert "pretrain-tiny" in JOBS


class TestFits:
    def test_a_custom_run_adds_to_the_fit_and_does_not_replace_it(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        first = run_on(session, gpu, NOW)
        second = run_on(session, gpu, NOW + timedelta(hours=1), suite="custom:attention/bf16")
        newest, before = fit_history(session, gpu.id).fits
        assert (before.run_ids, newest.run_ids) == ((first,), (first, second))
        assert {part.name for part in before.parts} == {part.name for part in newest.parts}
        other = {"torch": "2.14.0", "device_before": {"driver_version": "580.95.05"}}
        third = run_on(session, gpu, NOW + timedelta(hours=2), suite="custom:matmul+copy/bf16+fp32", conditions=other)
        assert get_run(session, third).samples, "it stands for itself"
        assert fit_history(session, gpu.id).fits[0].run_ids == (first, second), "other software: never mixed"
        fourth = run_on(session, gpu, NOW + timedelta(hours=3), conditions=other)
        assert fit_history(session, gpu.id).fits[0].run_ids == (fourth,), "a whole suite tells all of the new software"

    def test_parts_have_the_error_of_samples_left_out_or_say_there_were_too_few(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW, suite="smoke")
        (only,) = fit_history(session, gpu.id).fits
        errors = {part.name: part.held_out for part in only.parts}
        assert errors["train step in bf16"] is None
        assert only.left_out == {}

    def test_a_fit_of_the_training_step_narrows_an_estimate_made_from_products_alone(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW, suite=PRODUCTS)
        made = make_estimate(session, EstimateRequest(preset="finetune-small"), NOW, CODE)
        assert fit_history(session, gpu.id).narrowed == ()
        run_on(session, gpu, NOW + timedelta(hours=1))
        (found,) = fit_history(session, gpu.id).narrowed
        assert found.estimate_id == made.id
        assert found.width_now < found.width_before / 2
        assert found.basis_now is Basis.INTERPOLATED


class TestWorth:
    def test_the_run_that_is_offered_narrows_the_estimate_as_it_says(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW, suite=PRODUCTS)
        made = make_estimate(session, EstimateRequest(preset="finetune-small"), NOW, CODE)
        (best,) = estimate_worth(session, made.id).measurements
        assert (best.device_id, best.suite) == (gpu.id, "custom:train_step/bf16")
        assert 0 < best.minutes < 2
        run_on(session, gpu, NOW + timedelta(hours=1), suite=best.suite)
        (narrowed,) = fit_history(session, gpu.id).narrowed
        assert best.width_before == pytest.approx(narrowed.width_before, rel=0.02)
        assert best.width_after == pytest.approx(narrowed.width_now, abs=0.08)

    def test_a_bench_of_other_blocks_promises_what_it_leaves_open(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW, suite=PRODUCTS)
        alike, unlike = (
            make_estimate(session, EstimateRequest(preset=preset), NOW, CODE)
            for preset in ("serve-llama-3-8b", "serve-small")
        )
        for made in (alike, unlike):
            kinds = {one.kind: one for one in estimate_worth(session, made.id).measurements}
            assert "decode" in kinds
            assert all(one.width_after < one.width_before for one in kinds.values())
        quick, standard = (get_suite(name).benches_for(Backend.CUDA, 80_000_000_000) for name in ("quick", "standard"))
        same, between, other = (
            left_open("decode", made.job, benches)
            for made, benches in ((alike, quick), (unlike, standard), (unlike, quick))
        )
        assert same < between < other, "its blocks were measured; two others were; one other was"

    def test_on_a_device_without_a_fit_what_any_fit_needs_is_measured_along(self, session: Session) -> None:
        gpu, _ = known_devices(session)
        made = make_estimate(session, EstimateRequest(preset="serve-llama-3-8b"), NOW, CODE)
        best = estimate_worth(session, made.id).measurements[0]
        assert best.suite == "quick", "a part alone would give no fit"
        run_on(session, gpu, NOW + timedelta(hours=1), suite=best.suite)
        again = make_estimate(session, EstimateRequest(preset="serve-llama-3-8b"), NOW + timedelta(hours=2), CODE)
        own = next(option for option in again.answer.options if option.placement.device_id == gpu.id)
        assert own.fit_id is not None

    def test_what_repeating_would_not_narrow_is_said(self, session: Session) -> None:
        gpu, cpu = known_devices(session)
        run_on(session, gpu, NOW)
        run_on(session, cpu, NOW + timedelta(hours=1), slower(500.0))
        made = make_estimate(session, EstimateRequest(preset="finetune-small"), NOW + timedelta(hours=2), CODE)
        found = estimate_worth(session, made.id)
        assert found.measurements == ()
        assert "no lack of measurements" in found.reason
        assert found.stays

    def test_without_an_attached_device_there_is_nothing_to_measure_on(self, session: Session) -> None:
        sync_price_book(session, NOW)
        made = make_estimate(session, EstimateRequest(preset="serve-llama-3-8b"), NOW, CODE)
        assert "no attached device" in estimate_worth(session, made.id).reason


def test_the_name_of_a_custom_suite_is_what_the_button_sends() -> None:
    assert custom_suite([Operation.DECODE], [Dtype.BF16]).name == "custom:decode/bf16"
