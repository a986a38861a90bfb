"""One job on many placements: what is chosen, refused and said."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from planner.calibration.sample import Operation
from planner.errors import InvalidInput
from planner.estimates.answer import answer
from planner.estimates.estimate import Bottleneck
from planner.estimates.interruptions import Resilience
from planner.estimates.profile import KEPT_MEMORY_NOTE, TWIN
from planner.hardware.catalogue import load_catalogue, unlisted_gpu
from planner.hardware.gpu import Dtype, GpuKind, LinkTopology
from planner.jobs.job import TrainingMethod
from planner.jobs.presets import ARCHITECTURES, JOBS
from planner.offers.book import load_book
from planner.offers.offer import OfferKind
from planner.quantity import Basis
from tests.builders import inference_job, offer, price, training_job, transformer
from tests.estimates.makers import attached, cpu, cpu_fit, figure, gpu, rented

LLAMA_8B = ARCHITECTURES["llama-3-8b"].architecture


def test_the_cheapest_comes_first_and_each_loser_says_by_how_much_and_why() -> None:
    slow = gpu(key="SLOW", memory_bandwidth=figure(1e12), peak_flops={Dtype.BF16: figure(200e12)})
    cheap, dear = rented(amount="2.00"), rented(slow, amount="2.50")
    best, loser = answer(training_job(), [dear, cheap], {}).options
    assert best.placement is cheap
    assert best.why_not == ""
    assert best.cost is not None
    assert loser.cost is not None
    ratio = loser.cost.mid / best.cost.mid
    shown = f"{ratio:.2f}×" if ratio < 1.995 else f"{ratio:.1f}×"
    assert loser.why_not.startswith(f"{shown} dearer than {cheap.title}: 1.25× the price per hour, ")
    assert "% less " in loser.why_not


def test_the_goal_time_puts_the_fastest_first() -> None:
    fast_and_dear, slow_and_cheap = rented(num_gpus="8", amount="99"), rented(amount="1")
    by_time = answer(training_job(global_batch=64), [slow_and_cheap, fast_and_dear], {}, goal="time").options
    by_cost = answer(training_job(global_batch=64), [slow_and_cheap, fast_and_dear], {}, goal="cost").options
    assert [option.placement for option in by_time] == [fast_and_dear, slow_and_cheap]
    assert [option.placement for option in by_cost] == [slow_and_cheap, fast_and_dear]
    assert "slower than" in by_time[1].why_not


def test_unknown_prices_come_last_with_their_reason_and_no_number() -> None:
    withdrawn = rented(price=price(None), price_id=2)
    never = rented(price=None, price_id=None)
    options = answer(training_job(), [withdrawn, never, rented(amount="1000")], {}).options
    assert options[0].cost is not None
    for option in options[1:]:
        assert (option.cost, option.cost_per_hour, option.cost_per_million_tokens) == (None, None, None)
        assert option.unknown["cost"] in {"withdrawn", "the price book has no price of this offer for that moment"}
        assert option.seconds is not None
        assert "its cost is unknown" in option.why_not


def test_prices_in_another_currency_are_not_compared() -> None:
    euros = rented(amount="0.01")
    assert euros.offer is not None
    euros = replace(euros, offer=replace(euros.offer, currency="EUR"))
    options = answer(training_job(), [euros, rented(amount="5"), rented(amount="6")], {}).options
    assert [option.placement.currency for option in options] == ["USD", "USD", "EUR"]
    assert options[2].why_not.startswith("priced in EUR: not compared")
    assert options[2].cost is not None
    assert options[2].cost.unit == "EUR"


def test_a_calibrated_cpu_that_no_catalogue_knows_is_estimated_from_its_fit() -> None:
    job = training_job(architecture=transformer(hidden=512, num_layers=4))
    placement = attached(device_memory_bytes=24_000_000_000)
    option = answer(job, [placement], {"device-1": ("fit-1", cpu_fit())}).options[0]
    assert option.fit_id == "fit-1"
    assert option.basis is Basis.INTERPOLATED
    assert {cause.name for cause in option.step_seconds.causes} >= {
        "measurement noise",
        "only one sample",
        "blocks of another shape than measured",
    }
    assert option.unknown["average_power_watts"]
    assert option.energy_joules is None
    assert option.unknown["cost"] == "what an hour of this attached device costs has not been entered"


@pytest.mark.parametrize(("version", "is_said"), [(2, False), (3, True)])
def test_training_on_a_measured_cpu_says_that_freed_memory_is_kept(version: int, is_said: bool) -> None:
    """Since the benches of version 3 keep it, a job under another allocator takes longer than they say."""
    fit = replace(cpu_fit(), bench_versions={Operation.TRAIN_STEP: version})
    placement = attached(device_memory_bytes=24_000_000_000)
    option = answer(training_job(), [placement], {"device-1": ("fit-1", fit)}).options[0]
    assert (KEPT_MEMORY_NOTE in option.notes) == is_said


def test_blocks_of_the_measured_shape_have_a_narrower_range_than_others() -> None:
    measured = transformer(num_layers=4, hidden=768, num_heads=12, num_kv_heads=4, ffn=2048)
    placement, fits = attached(device_memory_bytes=24_000_000_000), {"device-1": ("fit-1", cpu_fit())}
    same, other = (
        answer(training_job(architecture=shape), [placement], fits).options[0].step_seconds
        for shape in (measured, replace(measured, ffn=2304))
    )
    assert other.high / other.low > same.high / same.low
    assert "blocks of another shape than measured" in {cause.name for cause in other.causes}


def test_an_uncalibrated_cpu_without_figures_is_refused_and_told_what_to_do() -> None:
    rejection = answer(training_job(), [attached()], {}).rejections[0]
    assert rejection.bottleneck is Bottleneck.UNKNOWN_GPU
    assert "calibrate it" in rejection.reason


def test_a_fit_of_the_same_model_is_transferred_with_a_wider_range() -> None:
    model = gpu()
    fit = replace(cpu_fit(), gpu_key=model.key, is_cpu=False)
    own = attached(model, device_memory_bytes=80_000_000_000)
    fits = {"device-1": ("fit-1", fit)}
    answered = {option.placement.title: option for option in answer(training_job(), [own, rented(model)], fits).options}
    here, there = answered[own.title], answered[rented(model).title]
    assert (here.basis, there.basis) == (Basis.INTERPOLATED, Basis.TRANSFERRED)
    assert here.fit_id == there.fit_id == "fit-1"
    assert there.step_seconds.mid == here.step_seconds.mid
    assert ("another card of the same model", TWIN) in {(c.name, c.spread) for c in there.step_seconds.causes}
    assert there.step_seconds.high > here.step_seconds.high


def test_without_any_fit_published_figures_give_a_wide_range_that_says_so() -> None:
    option = answer(training_job(), [rented()], {}).options[0]
    assert option.basis is Basis.DERIVED
    assert option.fit_id is None
    assert option.step_seconds.causes[0].name == "published efficiency"
    assert any("No TEST-80GB was measured here" in note for note in option.notes)


def test_a_phase_that_was_not_measured_is_estimated_wider_and_said() -> None:
    fit = cpu_fit()
    kept = {key: value for key, value in fit.corrections.items() if key[0] != "decode"}
    job = inference_job(concurrency=4)
    placement = attached()
    whole = answer(job, [placement], {"device-1": ("a", fit)}).options[0]
    partial = answer(job, [placement], {"device-1": ("a", replace(fit, corrections=kept))}).options[0]
    assert any("No decode in bf16 was measured here" in note for note in partial.notes)
    width = [option.step_seconds.high / option.step_seconds.low for option in (whole, partial)]
    assert width[1] > width[0]
    named = {cause.name for cause in partial.step_seconds.causes}
    assert "decode not measured" in named
    assert "error of held-out samples" not in named


@pytest.mark.parametrize(
    ("placement", "job", "bottleneck", "words"),
    [
        (rented(num_gpus="0.5"), training_job(), Bottleneck.FRACTION, "0.5 of one TEST-80GB"),
        (rented(gpu(peak_flops={Dtype.FP16: figure(1e14)})), training_job(), Bottleneck.DTYPE, "no bf16 rate"),
        (rented(gpu(memory_bandwidth=None)), training_job(), Bottleneck.UNKNOWN_FIGURE, "memory bandwidth"),
        (rented(gpu(memory_bytes=None)), training_job(), Bottleneck.UNKNOWN_FIGURE, "memory size"),
        (rented(unlisted_gpu("X", "", GpuKind.GPU, None)), training_job(), Bottleneck.UNKNOWN_GPU, "does not list"),
        (
            rented(gpu(link_bandwidth=None, link_topology=LinkTopology.UNKNOWN), num_gpus="2"),
            training_job(),
            Bottleneck.UNKNOWN_FIGURE,
            "exchange data is not known",
        ),
        (rented(num_gpus="8"), training_job(global_batch=4, pipeline_parallel=1, tensor_parallel=1),
         Bottleneck.FRACTION, "cannot be had from 8 GPUs"),
        (rented(num_gpus="7"), training_job(global_batch=4, architecture=transformer(num_layers=2)),
         Bottleneck.FRACTION, "cannot be split"),
        (rented(), training_job(architecture=LLAMA_8B), Bottleneck.MEMORY, "largest item: optimizer states, 96.4 GB"),
        (rented(cpu(), num_gpus="2"), training_job(), Bottleneck.UNKNOWN_FIGURE, "2 CPUs"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_with_its_reason(placement, job, bottleneck, words) -> None:
    found = answer(job, [placement], {})
    assert found.options == ()
    assert found.rejections[0].bottleneck is bottleneck
    assert words in found.rejections[0].reason


def test_a_job_that_does_not_fit_says_how_much_it_needs_and_what_full_recomputation_would_change() -> None:
    job = training_job(
        architecture=transformer(num_layers=24, hidden=2048, ffn=8192, max_positions=None), sequence_length=32768
    )
    small = rented(gpu(memory_bytes=figure(24e9)))
    reason = answer(job, [small], {}).rejections[0].reason
    assert "of 24.6 GB usable per GPU" in reason
    assert "with full recomputation it needs" in reason


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (training_job(sequence_length=4096), "sequence_length"),
        (training_job(global_batch=0), "global_batch"),
        (training_job(num_tokens=-1.0), "num_tokens"),
        (training_job(num_tokens=float("nan")), "num_tokens"),
        (training_job(micro_batch=0), "micro_batch"),
        (training_job(dtype=Dtype.INT8), "dtype"),
        (inference_job(prompt_tokens=2000, output_tokens=2000), "prompt_tokens"),
        (inference_job(output_tokens=-1), "output_tokens"),
        (inference_job(concurrency=0), "concurrency"),
        (inference_job(num_requests=0.0), "num_requests"),
        (inference_job(architecture=transformer(causal=False)), "architecture"),
    ],
)
def test_impossible_jobs_are_refused_by_field(job, field) -> None:
    with pytest.raises(InvalidInput) as caught:
        answer(job, [rented()], {})
    assert field in {problem.field for problem in caught.value.problems}


def test_an_unknown_goal_is_refused() -> None:
    with pytest.raises(InvalidInput, match="goal"):
        answer(training_job(), [rented()], {}, goal="beauty")


def test_the_layout_is_chosen_and_explained() -> None:
    job = training_job(architecture=LLAMA_8B, sequence_length=4096, global_batch=64, micro_batch=1)
    option = answer(job, [rented(num_gpus="8", amount="20")], {}).options[0]
    assert option.layout.data_parallel * option.layout.tensor_parallel == 8
    assert option.layout.sharding != "none" or option.layout.tensor_parallel > 1
    assert any("a full copy per GPU needs" in note and "usable" in note for note in option.notes)


def test_a_large_model_is_served_in_tensor_parallel() -> None:
    job = inference_job(architecture=ARCHITECTURES["llama-3-70b"].architecture, concurrency=8)
    option = answer(job, [rented(num_gpus="4", amount="9")], {}).options[0]
    assert option.layout.tensor_parallel > 1
    assert any("one GPU alone would need" in note for note in option.notes)


def test_the_cost_is_price_times_hours_exactly() -> None:
    option = answer(training_job(num_tokens=1e10), [rented(amount="1.23")], {}).options[0]
    assert option.seconds is not None
    assert option.cost is not None
    assert option.cost.mid == pytest.approx(1.23 * option.seconds.mid / 3600, rel=1e-12)
    assert option.cost.unit == "USD"


def test_a_service_is_costed_by_the_hour_and_by_the_million_tokens() -> None:
    option = answer(inference_job(num_requests=None, concurrency=16), [rented(amount="3.60")], {}).options[0]
    assert option.seconds is None
    assert "seconds" in option.unknown
    assert option.cost == option.cost_per_hour
    assert option.cost is not None
    assert option.cost.mid == 3.6
    assert option.cost_per_million_tokens is not None
    assert option.cost_per_million_tokens.mid == pytest.approx(1e6 * 0.001 / option.tokens_per_second.mid)


def test_adapters_need_less_memory_and_time_than_all_weights() -> None:
    full = training_job(architecture=LLAMA_8B, sequence_length=2048)
    lora = replace(full, method=TrainingMethod.LORA)
    eight = rented(num_gpus="8", amount="9")
    whole, adapters = (answer(job, [eight], {}).options[0] for job in (full, lora))
    assert adapters.step_seconds.mid < whole.step_seconds.mid
    assert adapters.memory_bytes.mid < whole.memory_bytes.mid
    assert any("Adapters of rank 16" in note for note in adapters.notes)


def test_every_preset_over_the_whole_price_book_is_answered_in_well_under_a_second() -> None:
    catalogue, now = load_catalogue(), datetime(2026, 11, 21, tzinfo=UTC)
    placements = [
        rented(
            catalogue.get(entry.offer.gpu_key)
            if entry.offer.gpu_key is not None
            else unlisted_gpu(entry.offer.gpu_name, "", GpuKind.GPU, None),
            offer=entry.offer,
            price=entry.price(now),
            num_gpus="1",
        )
        for entry in load_book()
    ]
    placements = [replace(p, num_gpus=p.offer.num_gpus if p.offer else Decimal(1)) for p in placements][:500]
    assert len(placements) == 500
    spent = []
    for preset in JOBS.values():
        started_at = time.process_time()
        found = answer(preset.job, placements, {})
        spent.append(time.process_time() - started_at)
        assert len(found.options) + len(found.rejections) == 500
        assert all(rejection.reason for rejection in found.rejections)
    assert sorted(spent)[len(spent) // 2] < 0.5


def test_spot_takes_longer_and_says_what_was_assumed() -> None:
    job = training_job(num_tokens=1e10)
    spot = replace(rented(amount="1"), offer=offer(kind=OfferKind.SPOT, num_gpus=Decimal(1)))
    often = replace(spot, offer=offer(kind=OfferKind.SPOT, num_gpus=Decimal(1), interruptions_per_hour=Decimal(2)))
    on_demand = rented(amount="1")
    options = answer(job, [on_demand, spot, often], {}).options
    steady, assumed, taken_often = (
        next(option for option in options if option.placement is placement) for placement in (on_demand, spot, often)
    )
    seconds = [item.seconds.mid for item in (steady, assumed, taken_often) if item.seconds is not None]
    assert len(seconds) == 3
    assert seconds == sorted(seconds)
    assert any("not known" in note for note in assumed.notes)
    assert "waiting_for_capacity_seconds" in assumed.extras
    assert assumed.cost is not None
    assert steady.cost is not None
    assert steady.cost.mid < assumed.cost.mid < steady.cost.mid * seconds[1] / seconds[0], "waiting is not paid"


def test_a_job_that_cannot_survive_is_rejected_with_the_figures() -> None:
    hopeless = Resilience(stall_seconds=7200.0, restart_seconds=7200.0, gpu_hours_between_failures=0.5)
    found = answer(training_job(num_tokens=1e12), [rented()], {}, resilience=hopeless)
    assert found.options == ()
    assert found.rejections[0].bottleneck is Bottleneck.INTERRUPTIONS
    assert "will not finish" in found.rejections[0].reason
