"""The shipped facts: every figure sane, sourced and dated, and every name with one meaning."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from planner.hardware.catalogue import DRIVER, Check, load_catalogue
from planner.hardware.gpu import Dtype, Figure, Gpu, GpuKind, LinkTopology

CATALOGUE = load_catalogue()
GPUS = list(CATALOGUE.gpus.values())
COMPILED_MODELS = Path(__file__).parents[2] / "shared" / "data" / "gpu_models.csv"

# Dense FLOP per clock and SM or CU of the matrix units for fp16, by what the chip reports as its capability:
# NVIDIA's architecture white papers (Volta to Blackwell), AMD's CDNA to CDNA 4 white papers.
FP16_FLOP_PER_CLOCK = {
    "7.0": 1024,
    "7.5": 1024,
    "8.0": 2048,
    "8.6": 1024,
    "8.9": 1024,
    "9.0": 4096,
    "10.0": 8192,
    "10.3": 8192,
    "12.0": 1024,
    "gfx908": 1024,
    "gfx90a": 1024,
    "gfx942": 2048,
    "gfx950": 4096,
}
# Parts that run below what their chip could: FP32 accumulation at half rate (GeForce, L40), power or export limits.
SLOWED = {"L40": 0.5, "A10G": 0.555, "H20-96GB": 0.234, "H100-NVL": 0.865, "H200-NVL": 0.865}


def figures_of(gpu: Gpu) -> Iterator[tuple[str, Figure]]:
    named = {
        "memory": gpu.memory_bytes,
        "memory bandwidth": gpu.memory_bandwidth,
        "power": gpu.power_watts,
        "L2": gpu.l2_bytes,
        "boost clock": gpu.boost_hz,
        "link bandwidth": gpu.link_bandwidth,
        "node bandwidth": gpu.node_bandwidth,
        **gpu.peak_flops,
    }
    yield from ((str(name), figure) for name, figure in named.items() if figure is not None)


def value(figure: Figure | None) -> float:
    assert figure is not None
    return figure.value


def by_key(gpu: Gpu) -> str:
    return gpu.key


@pytest.mark.parametrize("gpu", GPUS, ids=by_key)
def test_every_figure_has_a_source_and_a_date(gpu: Gpu) -> None:
    figures = dict(figures_of(gpu))
    assert {"memory", "memory bandwidth", Dtype.FP32} <= figures.keys() or gpu.generation == "Gaudi"
    for name, figure in figures.items():
        assert len(figure.source) > 10, name
        assert date(2026, 1, 1) <= figure.as_of <= datetime.now(UTC).date(), name


@pytest.mark.parametrize("gpu", GPUS, ids=by_key)
def test_every_figure_lies_where_such_hardware_lies(gpu: Gpu) -> None:
    memory, bandwidth = value(gpu.memory_bytes), value(gpu.memory_bandwidth)
    assert 4e9 <= memory <= 1e12
    assert 100e9 <= bandwidth <= 25e12
    assert 0.3 <= bandwidth / memory <= 80  # how often a second the memory can be read
    assert gpu.release_year is not None
    assert 2014 <= gpu.release_year <= 2026
    assert all(1e12 <= figure.value <= 40e15 for figure in gpu.peak_flops.values())
    assert gpu.power_watts is None or 40 <= gpu.power_watts.value <= 1500
    assert gpu.boost_hz is None or 0.8e9 <= gpu.boost_hz.value <= 3.2e9
    assert gpu.num_units is None or 8 <= gpu.num_units <= 320
    assert gpu.l2_bytes is None or 1e6 <= gpu.l2_bytes.value <= 500e6
    assert gpu.link_bandwidth is None or 10e9 <= gpu.link_bandwidth.value <= 2e12


@pytest.mark.parametrize("gpu", GPUS, ids=by_key)
def test_a_narrower_format_is_never_slower(gpu: Gpu) -> None:
    order = [gpu.peak(dtype) for dtype in (Dtype.FP32, Dtype.FP16, Dtype.FP8, Dtype.FP4)]
    peaks = [peak for peak in order if peak is not None]
    assert peaks == sorted(peaks)
    tf32, bf16 = gpu.peak(Dtype.TF32), gpu.peak(Dtype.BF16)
    assert tf32 is None or bf16 is None or tf32 <= bf16


@pytest.mark.parametrize("gpu", [g for g in GPUS if g.compute_capability in FP16_FLOP_PER_CLOCK], ids=by_key)
def test_peaks_are_dense_as_units_times_clock_gives(gpu: Gpu) -> None:
    clocked = FP16_FLOP_PER_CLOCK[gpu.compute_capability] * (gpu.num_units or 0) * value(gpu.boost_hz)
    expected = SLOWED.get(gpu.key, 0.5 if gpu.key.startswith("RTX-") and "-PRO-" not in gpu.key else 1.0)
    assert value(gpu.peak_flops[Dtype.FP16]) / clocked == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("key", "dtype", "tera"),
    [
        # NVIDIA data sheets; where they print sparse rates, half of them
        ("H100-80GB-SXM", Dtype.BF16, 989.4),
        ("H100-80GB-SXM", Dtype.FP8, 1978.9),
        ("H100-80GB-PCIE", Dtype.BF16, 756.5),
        ("A100-80GB-SXM", Dtype.BF16, 312),
        ("A100-80GB-SXM", Dtype.TF32, 156),
        ("V100-16GB-SXM", Dtype.FP16, 125),
        ("L4", Dtype.FP16, 121),
        ("L40S", Dtype.FP8, 733),
        ("T4", Dtype.FP16, 65),
        ("B200", Dtype.BF16, 2250),
        ("RTX-4090", Dtype.FP16, 165.2),
        # AMD data sheets
        ("MI300X", Dtype.BF16, 1307.4),
        ("MI250X", Dtype.FP16, 383),
        # Intel's Gaudi 2 white paper
        ("GAUDI2", Dtype.BF16, 432),
    ],
)
def test_peaks_agree_with_the_data_sheets(key: str, dtype: Dtype, tera: float) -> None:
    assert CATALOGUE.get(key).peak(dtype) == pytest.approx(tera * 1e12, rel=0.05)


@pytest.mark.parametrize("gpu", [g for g in GPUS if re.search(r"-\d+GB(-|$)", g.key)], ids=by_key)
def test_a_size_in_a_key_is_the_memory(gpu: Gpu) -> None:
    size = re.search(r"-(\d+)GB(-|$)", gpu.key)
    assert size is not None
    assert value(gpu.memory_bytes) == float(size[1]) * 1e9


@pytest.mark.parametrize(
    ("key", "gigabytes", "gigabytes_per_second"),
    [
        # NVIDIA and AMD data sheets
        ("T4", 16, 320),
        ("L4", 24, 300),
        ("L40S", 48, 864),
        ("A100-80GB-SXM", 80, 2039),
        ("H100-80GB-SXM", 80, 3350),
        ("H100-NVL", 94, 3938),
        ("H200-SXM", 141, 4800),
        ("RTX-4090", 24, 1008),
        ("MI250X", 128, 3277),
        ("MI300A", 128, 5300),
        ("MI300X", 192, 5300),
        ("MI325X", 256, 6000),
        ("MI355X", 288, 8000),
    ],
)
def test_memory_agrees_with_the_data_sheets(key: str, gigabytes: float, gigabytes_per_second: float) -> None:
    gpu = CATALOGUE.get(key)
    assert value(gpu.memory_bytes) == gigabytes * 1e9
    assert value(gpu.memory_bandwidth) == pytest.approx(gigabytes_per_second * 1e9, rel=0.005)


def test_variants_of_one_name_are_apart() -> None:
    sxm, pcie = CATALOGUE.get("H100-80GB-SXM"), CATALOGUE.get("H100-80GB-PCIE")
    assert value(pcie.memory_bandwidth) < 0.7 * value(sxm.memory_bandwidth)
    assert value(pcie.power_watts) == value(sxm.power_watts) / 2
    assert value(CATALOGUE.get("A100-40GB-SXM").memory_bytes) == 40e9
    assert value(CATALOGUE.get("H800-SXM").link_bandwidth) < value(sxm.link_bandwidth)


@pytest.mark.parametrize(
    ("part", "whole", "num_parts"),
    [
        ("K80-HALF", "K80", 2),
        ("M60-HALF", "M60", 2),
        ("A16-QUARTER", "A16", 4),
        ("MI250-GCD", "MI250", 2),
        ("MI250X-GCD", "MI250X", 2),
        ("MAX-1550-STACK", "MAX-1550", 2),
    ],
)
def test_the_parts_of_a_board_add_up_to_it(part: str, whole: str, num_parts: int) -> None:
    of_part, of_whole = CATALOGUE.get(part), CATALOGUE.get(whole)
    assert value(of_part.memory_bytes) * num_parts == pytest.approx(value(of_whole.memory_bytes))
    assert value(of_part.memory_bandwidth) * num_parts == pytest.approx(value(of_whole.memory_bandwidth))
    assert value(of_part.power_watts) * num_parts == pytest.approx(value(of_whole.power_watts))
    assert of_part.peak_flops.keys() == of_whole.peak_flops.keys()
    for dtype, figure in of_part.peak_flops.items():
        assert figure.value * num_parts == pytest.approx(value(of_whole.peak_flops[dtype]))
    assert value(of_part.boost_hz) == value(of_whole.boost_hz)


def test_links_join_as_many_gpus_as_their_kind_can() -> None:
    for gpu in GPUS:
        if gpu.link_topology in (LinkTopology.SWITCH, LinkTopology.MESH, LinkTopology.PARTIAL):
            assert (gpu.link_domain_gpus or 0) >= 2, gpu.key
        if gpu.link_topology is LinkTopology.BUS:
            assert gpu.link_name == "PCIe", gpu.key
        if gpu.kind is GpuKind.GPU and gpu.link_topology is not LinkTopology.UNKNOWN:
            assert gpu.pcie_generation is not None, gpu.key
            assert gpu.pcie_lanes is not None, gpu.key


@pytest.mark.parametrize("key", CATALOGUE.gpus)
def test_every_key_stands_for_itself(key: str) -> None:
    assert CATALOGUE.find(key) == key
    assert CATALOGUE.find(key.lower().replace("-", " ")) == key


def test_every_alias_finds_its_entry() -> None:
    for alias in CATALOGUE.aliases:
        gpu = CATALOGUE.get(alias.key)
        memory = None if gpu.memory_bytes is None else gpu.memory_bytes.value
        found = CATALOGUE.find(alias.name, alias.scope, memory_bytes=memory, num_units=gpu.num_units)
        assert found == alias.key, alias
        if alias.check is not Check.NONE:
            assert CATALOGUE.find(alias.name, alias.scope) is None, alias


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB-SXM"),
        ("NVIDIA H100 PCIe", "H100-80GB-PCIE"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H200", "H200-SXM"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB-SXM"),
        ("A100-SXM4-40GB", "A100-40GB-SXM"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB-PCIE"),
        ("Tesla V100-SXM2-16GB", "V100-16GB-SXM"),
        ("Tesla T4", "T4"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA RTX A6000", "A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX6000-ADA"),
        ("Quadro RTX 6000", "QUADRO-RTX-6000"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX-4070TISUPER"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000-BLACKWELL-SE"),
        ("AMD Instinct MI300X", "MI300X"),
        ("AMD Radeon RX 7900 XTX", "RX-7900XTX"),
        ("Intel(R) Data Center GPU Max 1100", "MAX-1100"),
    ],
)
def test_names_that_drivers_report_are_known(name: str, key: str) -> None:
    assert CATALOGUE.find(name, DRIVER) == key


@pytest.mark.parametrize(
    ("scope", "name", "key"),
    [
        ("gcp", "nvidia-h100-80gb", "H100-80GB-SXM"),
        ("gcp", "nvidia-tesla-a100", "A100-40GB-SXM"),
        ("gcp", "nvidia-a100-80gb", "A100-80GB-SXM"),
        ("gcp", "nvidia-l4", "L4"),
        ("gcp", "nvidia-tesla-k80", "K80-HALF"),
        ("aws", "H100", "H100-80GB-SXM"),
        ("aws", "T4g", "T4G"),
        ("aws", "A100 (80 GB)", "A100-80GB-SXM"),
        ("azure", "Standard_NC24ads_A100_v4", "A100-80GB-PCIE"),
        ("azure", "Standard_ND96amsr_A100_v4", "A100-80GB-SXM"),
        ("azure", "Standard_NC40ads_H100_v5", "H100-NVL"),
        ("lambda", "gpu_1x_a100", "A100-40GB-PCIE"),
        ("lambda", "gpu_8x_h100_sxm5", "H100-80GB-SXM"),
        ("lambda", "RTX6000", "QUADRO-RTX-6000"),
        ("runpod", "A100 SXM", "A100-80GB-SXM"),
        ("", "RTXA6000", "A6000"),
        ("", "RTX6000Ada", "RTX6000-ADA"),
        ("", "L4 (24 GB)", "L4"),
        ("", "H100 PCIe (80GB)", "H100-80GB-PCIE"),
    ],
)
def test_names_that_providers_give_are_known_where_they_are_given(scope: str, name: str, key: str) -> None:
    assert CATALOGUE.find(name, scope) == key


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        *[("", name) for name in ("A100", "H100", "V100", "H200", "P100", "A100-80GB", "RTX6000", "GH200", "H20")],
        *[("", name) for name in ("RTX 3080", "RTX 4060 Ti", "A800", "H800", "MI50", "RTX PRO 6000", "Arc A770")],
        ("azure", "H100"),  # ND is SXM, NC is the NVL card
        ("azure", "A100-80GB"),  # ND is SXM, NC is the PCIe card
        ("aws", "A100"),  # EC2 says so of 40 and of 80 GB
        (DRIVER, "Tesla K80"),  # only with the memory that tells a half from the board
    ],
)
def test_ambiguous_names_do_not_resolve(scope: str, name: str) -> None:
    assert CATALOGUE.find(name, scope) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "NVIDIA",
        "NVIDIA A10-4Q",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA RTX 2000 Ada Generation",
        "Tesla V100-PCIE-32GB",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA RTX PRO 4500 Blackwell Server Edition",
        "AMD EPYC",
        "TPU v4 pod",
    ],
)
def test_names_that_merely_contain_a_known_one_are_unknown(name: str) -> None:
    assert CATALOGUE.find(name) is None
    assert CATALOGUE.find(name, DRIVER, memory_bytes=24e9, num_units=64) is None


@pytest.mark.parametrize(
    ("scope", "name", "mebibytes", "key"),
    [
        (DRIVER, "Tesla K80", 11441, "K80-HALF"),
        (DRIVER, "NVIDIA GeForce RTX 3080", 10240, "RTX-3080-10GB"),
        (DRIVER, "NVIDIA GeForce RTX 3080", 12288, None),
        (DRIVER, "NVIDIA GeForce RTX 4060 Ti", 16380, "RTX-4060TI-16GB"),
        (DRIVER, "NVIDIA GeForce RTX 4060 Ti", 8188, None),
        (DRIVER, "AMD Instinct MI250X", 65520, "MI250X-GCD"),
        (DRIVER, "AMD Instinct MI250X", 131040, "MI250X"),
        (DRIVER, "Intel(R) Data Center GPU Max 1550", 65536, "MAX-1550-STACK"),
        (DRIVER, "NVIDIA H20", 97871, "H20-96GB"),
        (DRIVER, "NVIDIA H20", 143771, None),
        ("aws", "A100", 40960, "A100-40GB-SXM"),
        ("aws", "A100", 81920, "A100-80GB-SXM"),
        ("aws", "V100", 32768, "V100-32GB-SXM"),
    ],
)
def test_the_reported_memory_tells_variants_of_one_name_apart(
    scope: str, name: str, mebibytes: int, key: str | None
) -> None:
    assert CATALOGUE.find(name, scope, memory_bytes=mebibytes * 2**20) == key


def test_a_processor_is_known_only_as_a_whole_socket() -> None:
    name = "AMD EPYC 7763 64-Core Processor"
    assert CATALOGUE.find(name, DRIVER, num_units=64) == "CPU-EPYC-7763"
    assert CATALOGUE.find(name, DRIVER, num_units=2) is None  # a small virtual machine on such a host
    assert CATALOGUE.find(name, DRIVER) is None


# The compiled list names some models without the memory size that tells them from a sibling.
RENAMED = {
    "P100-PCIE": "P100-16GB-PCIE",
    "H20": "H20-96GB",
    "RTX-2060": "RTX-2060-6GB",
    "RTX-3060": "RTX-3060-12GB",
    "RTX-3080": "RTX-3080-10GB",
    "RTX-4060TI": "RTX-4060TI-16GB",
    "RTX-5060TI": "RTX-5060TI-16GB",
}


@pytest.mark.skipif(not COMPILED_MODELS.exists(), reason="the list that the facts were carried from is not here")
def test_the_compiled_list_is_carried_whole_and_unchanged() -> None:
    with COMPILED_MODELS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 106
    for row in rows:
        gpu = CATALOGUE.get(RENAMED.get(row["name"], row["name"]))
        carried = {
            "vendor": gpu.vendor.value,
            "architecture": gpu.generation,
            "compute_capability": gpu.compute_capability,
            "release_year": str(gpu.release_year),
            "memory_type": gpu.memory_type,
            "form_factor": gpu.form_factor,
        }
        assert carried == {column: row[column] for column in carried}, gpu.key
        numbers = {
            "memory_gb": (gpu.memory_bytes, 1e9),
            "memory_bandwidth_gb_s": (gpu.memory_bandwidth, 1e9),
            **{f"{d}_tflops": (gpu.peak_flops.get(d), 1e12) for d in Dtype if d is not Dtype.INT8},
            "int8_tops": (gpu.peak_flops.get(Dtype.INT8), 1e12),
            "l2_cache_mb": (gpu.l2_bytes, 1e6),
            "boost_clock_mhz": (gpu.boost_hz, 1e6),
            "tdp_w": (gpu.power_watts, 1),
            "link_gb_s_per_direction": (gpu.link_bandwidth, 1e9),
            "sm_or_cu_count": (gpu.num_units, 1),
            "link_domain_gpus": (gpu.link_domain_gpus, 1),
            "pcie_gen": (gpu.pcie_generation, 1),
            "pcie_lanes": (gpu.pcie_lanes, 1),
        }
        for column, (figure, factor) in numbers.items():
            number = figure.value if isinstance(figure, Figure) else figure
            expected = float(row[column]) * factor if row[column] else None
            assert number == (None if expected is None else pytest.approx(expected, rel=1e-12)), (gpu.key, column)
