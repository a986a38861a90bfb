"""Data that must arrive, evaluations, start-up, a queue and a delivery: what each adds, and that the parts add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.estimates.answer import answer
from planner.estimates.estimate import Bottleneck, Option, Placement
from planner.estimates.own_step import OwnStep
from planner.estimates.surroundings import Surroundings
from planner.jobs.job import Recompute, TrainingMethod
from planner.jobs.presets import ARCHITECTURES
from tests.builders import offer, training_job
from tests.estimates.makers import rented

LLAMA_1B = ARCHITECTURES["llama-3.2-1b"].architecture
JOB = training_job(architecture=LLAMA_1B, num_tokens=1e9, sequence_length=2048, global_batch=64)


def estimated(surroundings: Surroundings | None = None, placement: Placement | None = None, **asked: Any) -> Option:
    job = asked.pop("job", JOB)
    found = answer(job, [placement or rented()], {}, surroundings=surroundings or Surroundings(), **asked)
    assert found.options, found.rejections
    return found.options[0]


def parts_sum(option: Option) -> float:
    return sum(part.mid for _, part in option.time_parts)


def test_data_that_arrives_in_time_costs_nothing() -> None:
    plain = estimated()
    fed = estimated(Surroundings(samples_per_second=1e6))
    assert fed.seconds == plain.seconds
    assert "data_loading_seconds" not in fed.extras
    assert any("so no step waits" in note for note in fed.notes)


def test_a_step_takes_as_long_as_its_data_where_that_is_longer() -> None:
    plain = estimated()
    late = JOB.global_batch / (3.0 * plain.step_seconds.mid)
    fed = estimated(Surroundings(samples_per_second=late))
    assert fed.step_seconds.mid == pytest.approx(3.0 * plain.step_seconds.mid)
    assert fed.bottleneck is Bottleneck.DATA
    assert fed.tokens_per_second.mid == pytest.approx(plain.tokens_per_second.mid / 3.0)
    assert fed.step_seconds.low <= fed.step_seconds.mid <= fed.step_seconds.high
    assert parts_sum(fed) == pytest.approx(fed.seconds.mid, rel=3e-3)  # parts below a thousandth are not told apart


def test_more_nodes_load_more_data() -> None:
    two = rented(num_gpus="2", num_nodes=2)
    slow = Surroundings(samples_per_second=0.5)
    one_rate = estimated(slow, rented(num_gpus="2"))
    assert estimated(slow, two).step_seconds.mid == pytest.approx(one_rate.step_seconds.mid / 2.0)


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        pytest.param({}, 0.28, 0.37, id="a third of a step without recomputation"),
        pytest.param({"recompute": Recompute.FULL}, 0.22, 0.28, id="a quarter with all of it computed again"),
        pytest.param({"method": TrainingMethod.LORA}, 0.40, 0.55, id="about half where weights are frozen"),
    ],
)
def test_an_evaluation_of_as_many_samples_is_the_forward_part_of_a_step(changes: dict, low: float, high: float) -> None:
    job = replace(JOB, **changes)
    plain = estimated(job=job)
    num_steps = plain.extras["num_steps"].mid
    found = estimated(Surroundings(evaluate_every=1, evaluation_samples=job.global_batch), job=job)
    each = found.extras["evaluation_seconds"].mid / num_steps
    assert low < each / plain.step_seconds.mid < high
    assert found.extras["evaluation_seconds"].low < found.extras["evaluation_seconds"].high


def test_evaluations_are_counted_by_the_interval_and_the_samples() -> None:
    def evaluated(every: int, samples: int) -> float:
        return (
            estimated(Surroundings(evaluate_every=every, evaluation_samples=samples)).extras["evaluation_seconds"].mid
        )

    steps = int(estimated().extras["num_steps"].mid)
    batch = JOB.global_batch
    assert evaluated(1, 4 * batch) == pytest.approx(4 * evaluated(1, batch))
    assert evaluated(steps // 3, batch) == pytest.approx(3 * evaluated(steps, batch))
    beyond = estimated(Surroundings(evaluate_every=steps + 1, evaluation_samples=batch))
    assert "evaluation_seconds" not in beyond.extras


def test_evaluation_waits_for_its_data_too() -> None:
    slow = Surroundings(samples_per_second=0.01, evaluate_every=100, evaluation_samples=JOB.global_batch)
    found = estimated(slow)
    each = found.extras["evaluation_seconds"].mid / (found.extras["num_steps"].mid // 100)
    assert each == pytest.approx(JOB.global_batch / 0.01)


def test_start_up_is_paid_and_waiting_is_not() -> None:
    plain = estimated()
    started = estimated(Surroundings(startup_seconds=3600.0))
    queued = estimated(Surroundings(queue_seconds=7200.0))
    assert started.seconds.mid == pytest.approx(plain.seconds.mid + 3600.0)
    assert started.cost.mid == pytest.approx(plain.cost.mid + plain.cost_per_hour.mid)
    assert queued.seconds.mid == pytest.approx(plain.seconds.mid + 7200.0)
    assert queued.cost == plain.cost
    assert queued.energy_joules == plain.energy_joules


def test_the_lead_time_of_an_offer_comes_before_its_first_step() -> None:
    plain = rented()
    later = replace(plain, offer=offer(gpu_key="TEST-80GB", gpu_name="TEST-80GB", lead_time_seconds=86_400))
    soon, late = answer(JOB, [plain, later], {}, goal="time").options
    assert late.seconds.mid - soon.seconds.mid == pytest.approx(86_400.0)
    assert late.extras["lead_time_seconds"].mid == 86_400.0
    assert late.cost.mid == pytest.approx(soon.cost.mid)


def test_all_parts_together_add_up_and_the_range_follows_its_causes() -> None:
    known = Surroundings(0.05, 50, 512, 900.0, 1800.0)
    found = estimated(known, rented(num_gpus="8"))
    names = [name for name, _ in found.time_parts]
    assert {"steady steps", "data loading", "evaluation", "start up", "queue"} <= set(names)
    assert parts_sum(found) == pytest.approx(found.seconds.mid, rel=3e-3)
    assert found.seconds.low <= found.seconds.mid <= found.seconds.high


def test_what_nothing_was_said_of_is_told_with_what_the_gpus_would_take() -> None:
    note = next(note for note in estimated().notes if note.startswith("Not counted"))
    for word in ("data loading", "sequences a second", "evaluation", "start-up", "queue"):
        assert word in note
    said = estimated(Surroundings(1e6, 10, 10, 1.0, 1.0))
    assert not any(note.startswith("Not counted") for note in said.notes)


def test_a_step_that_was_measured_is_evaluated_at_its_own_pace() -> None:
    own = OwnStep(2.0, "H100-80GB-SXM", 1)
    known = Surroundings(evaluate_every=1, evaluation_samples=JOB.global_batch)
    plain, moved = estimated(known), estimated(known, own_step=own)
    shares = [found.extras["evaluation_seconds"].mid / found.step_seconds.mid for found in (plain, moved)]
    assert shares[1] == pytest.approx(shares[0], rel=1e-6)
