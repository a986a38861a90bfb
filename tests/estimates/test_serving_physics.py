"""What serving follows from: sums at half rate, few tiles, memory as drivers report it, order of channels, causes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from planner.calibration.efficiency import MatmulRate, matmul_seconds
from planner.estimates.answer import work_out
from planner.estimates.estimate import Placement
from planner.estimates.memory import visible_bytes
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.serving_profile import serving_profile, sums_at_half_rate
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Work, WorkKind
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import vision_network
from planner.units import GIB

MIB = 1024.0**2
LLAMA = ARCHITECTURES["llama-3-8b"].architecture
JOB = InferenceJob("x", LLAMA, 512, 128, concurrency=8, dtype=Dtype.FP16, engine=Engine.VLLM)


def _outcome(job: InferenceJob, key: str) -> Outcome:
    found = work_out(job, Placement(load_catalogue().get(key), Decimal(1)), None)
    assert isinstance(found, Outcome)
    return found


@pytest.mark.parametrize(
    ("key", "is_half"),
    [("RTX-3090", True), ("RTX-4090", True), ("A6000", False), ("H100-80GB-SXM", False), ("T4", False)],
)
def test_geforce_cards_sum_in_32_bits_at_half_rate(key: str, is_half: bool) -> None:
    assert sums_at_half_rate(load_catalogue().get(key)) is is_half


def test_an_engine_that_sums_in_16_bits_has_the_full_rate_of_a_geforce_card() -> None:
    card, shares = load_catalogue().get("RTX-3090"), load_serving_priors().families["NVIDIA Ampere with GDDR memory"]
    rates = {}
    for engine in (Engine.LLAMA_CPP, Engine.MLC):
        profile = serving_profile(card, replace(JOB, engine=engine))
        rates[engine] = float(next(iter(profile.rates.values())).matmul[Dtype.FP16].peak)  # type: ignore[union-attr]
    assert rates[Engine.LLAMA_CPP] == pytest.approx(2 * shares.matmul * card.peak(Dtype.FP16))  # type: ignore[operator]
    assert rates[Engine.MLC] < rates[Engine.LLAMA_CPP]


@pytest.mark.parametrize(
    ("key", "least_mib", "most_mib"),
    [("H100-80GB-SXM", 81_000, 81_920), ("L40S", 45_500, 46_200), ("T4", 15_100, 15_400), ("RTX-4090", 24_200, 24_600)],
)
def test_memory_is_what_drivers_report(key: str, least_mib: float, most_mib: float) -> None:
    assert least_mib <= (visible_bytes(load_catalogue().get(key)) or 0.0) / MIB <= most_mib


def test_few_tiles_leave_units_idle_and_many_do_not() -> None:
    rate = MatmulRate(peak=1e14, bandwidth=1e15, num_units=100, unit_fill=1.0)

    def seconds(rows: float, launches: float = 1.0) -> float:
        work = Work("x", WorkKind.GEMM, Dtype.FP16, 2 * rows * 64 * 512, 0.0, rows=rows, columns=64.0, inner=512.0)
        return float(np.asarray(matmul_seconds(rate, replace(work, launches=launches), 0.0)))

    ideal = 2 * 64 * 512 / 1e14
    assert seconds(64.0) == pytest.approx(64 * ideal * 101**0.7)  # one tile on a hundred units
    assert seconds(6.4e6) == pytest.approx(6.4e6 * ideal, rel=0.01)
    assert seconds(64.0, launches=0.01) == pytest.approx(64 * ideal * 2**0.7)  # a hundred products share a launch
    plain = replace(rate, num_units=0.0)
    work = Work("x", WorkKind.GEMM, Dtype.FP16, 1e9, 0.0, rows=64.0, columns=64.0, inner=512.0)
    assert float(np.asarray(matmul_seconds(plain, work, 0.0))) == pytest.approx(1e-5)


def test_a_picture_alone_takes_more_than_its_share_of_a_batch() -> None:
    network = vision_network("resnet50", 224)
    assert network is not None
    job = InferenceJob("x", network, 1, 0, concurrency=1, dtype=Dtype.FP16, engine=Engine.TENSORRT)
    one, many = (_outcome(replace(job, concurrency=number), "H100-80GB-SXM") for number in (1, 64))
    assert 4 * many.extras["request_seconds"].mid / 64 < one.extras["request_seconds"].mid


def test_channels_last_spares_an_eager_program_the_turning() -> None:
    network = vision_network("resnet50", 224)
    assert network is not None
    job = InferenceJob("x", network, 1, 0, concurrency=256, dtype=Dtype.FP16, engine=Engine.PYTORCH)
    first, last = (_outcome(replace(job, channels_last=way), "V100-16GB-SXM") for way in (False, True))
    assert last.extras["request_seconds"].mid < first.extras["request_seconds"].mid
    engine = replace(job, engine=Engine.TENSORRT)  # an engine chooses the order for itself
    assert _outcome(engine, "V100-16GB-SXM") == _outcome(replace(engine, channels_last=True), "V100-16GB-SXM")


def test_two_80_gigabyte_cards_hold_70_billion_weights_of_16_bits_and_some_cache() -> None:
    job = replace(JOB, architecture=ARCHITECTURES["llama-3-70b"].architecture, concurrency=None, tensor_parallel=2)
    found = work_out(job, Placement(load_catalogue().get("A100-80GB-SXM"), Decimal(2)), None)
    assert isinstance(found, Outcome)
    assert 10 < found.extras["concurrency"].mid < 256
    assert found.usable_memory_bytes < 80 * GIB


def test_every_family_of_gpus_has_serving_shares_with_a_source() -> None:
    families = load_serving_priors().families
    assert {prior.name for _, prior in load_priors().families} == set(families)
    assert all(shares.source and shares.told >= 0 for shares in families.values())


def test_a_family_and_an_engine_that_nobody_told_about_widen_the_range_and_say_so() -> None:
    priors = load_serving_priors()
    assert priors.families["Intel Gaudi 3"].told == 0
    assert priors.engines[Engine.VLLM].told >= 2
    known, strange = _outcome(JOB, "H100-80GB-SXM"), _outcome(replace(JOB, dtype=Dtype.BF16), "GAUDI3")
    assert "no published run on this family" in {cause.name for cause in strange.tokens_per_second.causes}
    assert "no published run on this family" not in {cause.name for cause in known.tokens_per_second.causes}
    causes = {cause.name: cause.spread for cause in known.tokens_per_second.causes}
    assert causes["releases of one engine differ"] > 0.02


def test_a_request_among_others_waits_longer_the_more_there_are() -> None:
    waits = [
        _outcome(replace(JOB, concurrency=number), "H100-80GB-SXM").extras["loaded_first_token_seconds"].mid
        for number in (2, 8, 32, 128)
    ]
    assert waits == sorted(waits)
    alone = _outcome(replace(JOB, concurrency=1), "H100-80GB-SXM").extras["first_token_seconds"].mid
    assert waits[0] > alone
