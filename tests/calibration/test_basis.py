"""What a fit rests on: the fullest run of each kind of work, so that a shorter one takes nothing away."""

from __future__ import annotations

from dataclasses import replace

from planner.calibration.basis import RunSamples, best_basis, has_moved
from planner.calibration.pooled import MOST_RUNS
from planner.calibration.sample import Operation, Sample
from planner.calibration.suites import custom_suite, get_suite
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from tests.builders import sample

MEMORY = 80_000_000_000


def run(run_id: str, suite: str, seconds: float = 1e-3, **changes: object) -> RunSamples:
    """A run of that suite in which every bench took so long."""
    benches = get_suite(suite).benches_for(Backend.CUDA, MEMORY, num_devices=4)
    samples = [replace(sample(bench=bench, seconds=seconds), **changes) for bench in benches]  # type: ignore[arg-type]
    return RunSamples(run_id, not suite.startswith(("custom:", "links")), tuple(samples))


def used(*runs: RunSamples) -> dict[str, int]:
    return {run_id: len(samples) for run_id, samples in best_basis(runs).items()}


def kinds(samples: list[Sample]) -> set[tuple[Operation, Dtype]]:
    """The kinds of work that a fit is drawn from: sentinels are no part of it."""
    every = {(one.bench.operation, one.bench.dtype) for one in samples}
    return {kind for kind in every if kind[0] is not Operation.SENTINEL}


def test_a_smoke_test_after_a_quick_run_changes_nothing() -> None:
    quick, smoke = run("1", "quick"), run("2", "smoke")
    assert used(quick, smoke) == used(quick)


def test_a_smoke_test_is_better_than_nothing_and_a_quick_run_takes_its_place() -> None:
    assert set(used(run("1", "smoke"))) == {"1"}
    assert "1" not in used(run("1", "smoke"), run("2", "quick"))


def test_a_quick_run_after_a_standard_one_renews_what_it_measures_as_fully_and_keeps_the_rest() -> None:
    found = best_basis([run("1", "standard"), run("2", "quick")])
    assert set(found) == {"1", "2"}
    assert (Operation.MATMUL, Dtype.FP32) in kinds(found["2"])
    assert {(Operation.ATTENTION, Dtype.BF16), (Operation.VIT_STEP, Dtype.BF16)} <= kinds(found["1"])
    measured_anew = {one.bench.key for one in found["2"]}
    assert measured_anew <= {one.bench.key for one in found["1"]}, "it adds no bench to a kind of the fuller run"
    assert len(measured_anew) < len(found["1"])


def test_runs_of_one_suite_tell_each_bench_together_the_newest_of_them() -> None:
    runs = [run(str(number), "standard") for number in range(MOST_RUNS + 1)]
    found = used(*runs)
    assert set(found) == {one.run_id for one in runs[1:]}
    assert len(set(found.values())) == 1


def test_a_run_that_measured_less_than_half_of_a_kind_is_not_put_beside_it() -> None:
    standard, part = run("1", "standard"), run("2", "standard")
    shapes = [one for one in part.samples if one.bench.operation is Operation.MATMUL]
    assert "2" not in used(standard, replace(part, samples=tuple(shapes[:1])))


def test_chosen_benches_and_links_add_to_the_run_before_them_and_newer_ones_win() -> None:
    chosen = custom_suite([Operation.MATMUL], [Dtype.BF16]).name
    found = best_basis([run("1", "quick"), run("2", chosen), run("3", "links")])
    assert kinds(found["2"]) == {(Operation.MATMUL, Dtype.BF16)}
    assert (Operation.MATMUL, Dtype.BF16) not in kinds(found["1"]), "each bench of it was measured again"
    assert (Operation.ALL_REDUCE, Dtype.BF16) in kinds(found["3"])


def test_links_stay_when_the_device_is_measured_again_and_older_chosen_benches_do_not() -> None:
    chosen = custom_suite([Operation.MATMUL], [Dtype.BF16]).name
    assert set(used(run("1", "quick"), run("2", chosen), run("3", "links"), run("4", "quick"))) == {"1", "3", "4"}


def test_an_unsteady_run_displaces_no_steady_one_and_alone_is_still_used() -> None:
    restless = run("2", "quick", steady=False)
    assert set(used(run("1", "quick"), restless)) == {"1"}
    assert set(used(restless)) == {"2"}


def test_an_older_way_of_measuring_is_not_mixed_with_a_newer_one() -> None:
    newer = run("2", "smoke")
    newer = replace(newer, samples=tuple(replace(one, bench=replace(one.bench, version=99)) for one in newer.samples))
    found = best_basis([run("1", "quick"), newer])
    assert all(one.bench.version == 99 for one in found["2"])
    assert not kinds(found["1"]) & kinds(found["2"])


def test_a_device_that_answers_otherwise_than_before_has_moved_and_noise_moves_none() -> None:
    before = run("1", "standard")
    assert has_moved(before, run("2", "quick", 1.3e-3))
    assert not has_moved(before, run("2", "quick", 1.05e-3))
    assert not has_moved(before, run("2", "quick", 1.2e-3, spread=0.2)), "not more than its repeats differ by"
    assert not has_moved(before, run("2", "links", 9.0)), "nothing shared tells nothing"


def test_a_run_that_renews_nothing_is_not_used_for_its_sentinels_alone() -> None:
    standard = run("1", "standard")
    fewer = run("2", "quick")
    wanted = {Operation.MATMUL, Operation.SENTINEL}
    part = replace(fewer, samples=tuple(one for one in fewer.samples if one.bench.operation in wanted)[:4])
    assert any(one.bench.operation is Operation.SENTINEL for one in part.samples)
    assert set(used(standard, part)) == {"1"}
