"""What serving follows from: sums at half rate, few tiles, memory as drivers report it, order of channels, causes."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from planner.calibration.efficiency import MatmulRate, Rates, matmul_seconds
from planner.calibration.sample import Operation
from planner.estimates.answer import work_out
from planner.estimates.estimate import Placement
from planner.estimates.layout import inference_layouts
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.requests import Requests
from planner.estimates.memory import visible_bytes
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import HIGHEST_CLOCK, Lack
from planner.estimates.serving_profile import serving_profile, sums_at_half_rate
from planner.estimates.serving_steps import Deployment
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.convnet import ConvNet
from planner.jobs.convolutions import picture_work
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Pass, Work, WorkClass, WorkKind
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import vision_network
from planner.units import GIB
from tests.estimates.load.engines import linear_table

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
    full = 2 * shares.matmul * (card.peak(Dtype.FP16) or 0.0)
    assert rates[Engine.LLAMA_CPP] == pytest.approx(HIGHEST_CLOCK * full)  # it has watts to spare
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


def _profile(key: str, job: InferenceJob) -> Rates:
    found = serving_profile(load_catalogue().get(key), job)
    assert not isinstance(found, Lack)
    return found.rates[Operation.PREFILL]


def _peak_share(key: str, engine: Engine = Engine.VLLM, dtype: Dtype = Dtype.FP16) -> float:
    peak = load_catalogue().get(key).peak(dtype)
    assert peak is not None
    return float(_profile(key, replace(JOB, engine=engine, dtype=dtype)).matmul[dtype].peak) / peak


def test_a_card_with_fewer_watts_per_operation_runs_its_products_at_a_lower_clock() -> None:
    full, half = _peak_share("H100-80GB-SXM"), _peak_share("H100-80GB-PCIE")
    watts = [load_catalogue().get(key).power_watts for key in ("H100-80GB-SXM", "H100-80GB-PCIE")]
    assert [figure.value for figure in watts if figure] == [700, 350]
    exponent = load_serving_priors().figures["clock_exponent"]
    ratio = (350 / 756.0) / (700 / 989.5)  # watts per TFLOP/s
    assert half / full == pytest.approx(ratio**exponent, rel=0.01)


def test_kernels_of_single_warps_reach_a_part_of_what_hopper_can() -> None:
    share = load_serving_priors().figures["warp_products"]
    hopper = _peak_share("H100-80GB-SXM", Engine.MLC) / _peak_share("H100-80GB-SXM")
    ampere = _peak_share("A100-80GB-SXM", Engine.MLC) / _peak_share("A100-80GB-SXM")
    assert hopper == pytest.approx(share * ampere)


def test_compiled_networks_of_8_bits_hand_on_8_bits_between_layers() -> None:
    network = vision_network("resnet50", 224)
    assert isinstance(network, ConvNet)
    through = Pass(1.0, 1.0, Dtype.INT8)
    wide, narrow = picture_work(network, through), picture_work(network, through, keeps_narrow=True)
    weights = sum(conv.num_parameters for conv in network.convs)
    convolutions = [[w.count * w.num_bytes for w in works if w.kind is WorkKind.GEMM] for works in (wide, narrow)]
    moved = [sum(part[:-1]) - weights for part in convolutions]  # without the classifier
    assert moved[1] == pytest.approx(moved[0] / 2)
    assert sum(work.flops for work in wide) == sum(work.flops for work in narrow)


def test_a_compiled_convolution_is_one_kernel_with_what_is_folded_into_it() -> None:
    network = vision_network("resnet50", 224)
    assert isinstance(network, ConvNet)
    job = InferenceJob("x", network, 1, 0, concurrency=1, dtype=Dtype.INT8, engine=Engine.TENSORRT)
    gpu, engine = load_catalogue().get("A100-80GB-SXM"), load_serving_priors().engines[Engine.TENSORRT]
    profile = serving_profile(gpu, job)
    assert not isinstance(profile, Lack)
    parts = Deployment(job, profile, inference_layouts(job, 1), None).prompts(1.0, 1.0).operations
    kernels = sum(conv.count for conv in network.convs)
    floor = kernels * load_priors().of(gpu).floor_seconds
    factor = load_serving_priors().class_factors[WorkClass.CONVOLUTION]
    assert float(np.max(parts.total)) > floor * factor
    assert engine.kernels < 1.0  # which does not count here


def test_the_host_of_an_eager_program_takes_longer_over_a_convolution() -> None:
    network = vision_network("resnet50", 224)
    assert network is not None
    job = InferenceJob("x", network, 1, 0, concurrency=1, dtype=Dtype.FP16, engine=Engine.PYTORCH)
    gpu = load_catalogue().get("A100-80GB-SXM")
    profile = serving_profile(gpu, job)
    assert not isinstance(profile, Lack)
    seconds = float(Deployment(job, profile, inference_layouts(job, 1), None).prompts(1.0, 1.0).total[0])
    works = picture_work(network, Pass(1.0, 1.0, Dtype.FP16), channels_last=False)
    calls = load_serving_priors().figures["convolution_calls"]
    launches = sum(w.count * w.launches * (calls if w.work_class is WorkClass.CONVOLUTION else 1.0) for w in works)
    engine = load_serving_priors().engines[Engine.PYTORCH]
    host = launches * engine.launch_us * 1e-6 * engine.kernels
    least = host * engine.prefill + engine.prefill_ms * 1e-3
    assert least < seconds < 1.2 * least  # the device waits for the host


def test_waiting_for_others_prompts_grows_with_their_number() -> None:
    job = replace(JOB, prompt_tokens=8192, output_tokens=1024)
    engine, figures = load_serving_priors().engines[Engine.VLLM], load_serving_priors().figures

    def waited(number: int) -> float:
        found = _outcome(replace(job, concurrency=number), "H100-80GB-SXM")
        beside = 1.5 * found.step_seconds.mid + (engine.front_ms + figures["frontend_request_ms"] * number) * 1e-3
        alone = found.extras["first_token_seconds"].mid
        return (found.extras["loaded_first_token_seconds"].mid - alone - beside) / alone

    assert waited(9) == pytest.approx(figures["burst"] * 8 / 2, rel=0.05)
    assert waited(17) == pytest.approx(2 * waited(9), rel=0.05)


def test_prompts_that_come_at_once_wait_for_half_of_the_others_in_a_simulation() -> None:
    table = linear_table()

    def mean_first_token(number: int) -> float:
        sizes = np.full(number, 4_096), np.full(number, 512)
        served = simulate(Requests(np.zeros(number), *sizes), table, EnginePolicy())
        return float(served.first_token.mean())

    waited = mean_first_token(33) / mean_first_token(1) - 1.0
    assert waited == pytest.approx(32 / 2, rel=0.1)


def test_energy_of_tokens_has_a_range_of_its_own_and_that_of_a_picture_two() -> None:
    tokens = _outcome(JOB, "H100-80GB-SXM")
    own, ranges = tokens.extras["joules_per_request"], load_serving_priors().ranges
    spread = math.hypot(*(cause.spread for cause in own.causes))
    assert spread == pytest.approx(ranges["energy"], rel=1e-6)
    network = vision_network("resnet50", 224)
    assert network is not None
    picture = InferenceJob("x", network, 1, 0, concurrency=8, dtype=Dtype.FP16, engine=Engine.TENSORRT)
    both = math.hypot(*(cause.spread for cause in _outcome(picture, "L4").extras["joules_per_request"].causes))
    assert both == pytest.approx(math.hypot(ranges["power"], ranges["picture"]), rel=1e-6)


def test_eager_engines_say_that_nobody_named_what_unpacks_their_weights() -> None:
    packed = replace(JOB, weight_bits=4.5, concurrency=1)
    causes = {
        engine: {cause.name for cause in _outcome(replace(packed, engine=engine), "A100-80GB-SXM").step_seconds.causes}
        for engine in (Engine.TRANSFORMERS, Engine.LLAMA_CPP)
    }
    unnamed = "which library unpacks the weights is not named"
    assert unnamed in causes[Engine.TRANSFORMERS]
    assert unnamed not in causes[Engine.LLAMA_CPP]


def test_a_request_among_others_waits_longer_the_more_there_are() -> None:
    waits = [
        _outcome(replace(JOB, concurrency=number), "H100-80GB-SXM").extras["loaded_first_token_seconds"].mid
        for number in (2, 8, 32, 128)
    ]
    assert waits == sorted(waits)
    alone = _outcome(replace(JOB, concurrency=1), "H100-80GB-SXM").extras["first_token_seconds"].mid
    assert waits[0] > alone
