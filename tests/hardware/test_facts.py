"""Facts files are refused, with the place named, unless they are sound; names are compared whole."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import NotFound
from planner.hardware.catalogue import Catalogue, FactsError, load_catalogue, normalised, parse_catalogue, unlisted_gpu
from planner.hardware.gpu import Dtype, Figure, GpuKind, LinkTopology, Vendor

MODELS = """\
key,vendor,kind,generation,release_year,form_factor,memory_type,link_name,link_topology,link_domain,pcie_generation,pcie_lanes,compute_capability,notes
X100-8GB,NVIDIA,gpu,Test,2020,PCIe card,HBM,PCIe,bus,1,4,16,8.0,The small one.
X100-16GB,NVIDIA,gpu,Test,,PCIe card,HBM,PCIe,bus,1,4,16,8.0,
"""
FIGURES = """\
key,figure,value,unit,source,as_of,note
X100-8GB,memory,8,GB,sheet,2026-01-02,
X100-8GB,peak_bf16,100,TFLOP/s,sheet;blog,2026-01-02,dense
X100-8GB,peak_int8,200,TOP/s,sheet,2026-01-02,
X100-8GB,num_units,40,count,sheet,2026-01-02,
X100-16GB,memory,16,GB,sheet,2026-01-02,
"""
ALIASES = """\
name,scope,key,check,source
NVIDIA X100,driver,X100-8GB,memory,nvidia-smi
NVIDIA X100,driver,X100-16GB,memory,nvidia-smi
x1.large,aws,X100-8GB,,EC2
"""
SOURCES = """\
slug,citation
sheet,the data sheet of 2020
blog,a blog
"""


def texts(**changes: str) -> dict[str, str]:
    plain = {"models": MODELS, "figures": FIGURES, "aliases": ALIASES, "sources": SOURCES}
    return {f"{name}.csv": text for name, text in {**plain, **changes}.items()}


@pytest.fixture
def catalogue() -> Catalogue:
    return parse_catalogue(texts())


def test_figures_are_read_in_si_units_with_their_citations(catalogue: Catalogue) -> None:
    gpu = catalogue.get("X100-8GB")
    assert gpu.memory_bytes == Figure(8e9, "the data sheet of 2020", date(2026, 1, 2))
    assert gpu.peak_flops[Dtype.BF16] == Figure(1e14, "the data sheet of 2020; a blog", date(2026, 1, 2), "dense")
    assert gpu.peak(Dtype.INT8) == 2e14
    assert (gpu.num_units, gpu.pcie_lanes, gpu.link_topology) == (40, 16, LinkTopology.BUS)


def test_what_the_files_do_not_say_is_unknown(catalogue: Catalogue) -> None:
    gpu = catalogue.get("X100-16GB")
    assert gpu.release_year is None
    assert gpu.memory_bandwidth is None
    assert gpu.peak(Dtype.FP8) is None


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("figures", "8,GB", "8,GiB", "the unit is 'GiB', not 'GB'"),
        ("figures", "peak_bf16", "peak_bf17", "no such figure"),
        ("figures", "sheet;blog", "", "the source '' is not in sources.csv"),
        ("figures", "sheet;blog", "sheet;rumour", "the source 'rumour' is not in sources.csv"),
        ("figures", "2026-01-02,dense", ",dense", "isoformat"),
        ("figures", "100,TFLOP/s", "0,TFLOP/s", "not a positive number"),
        ("figures", "100,TFLOP/s", "inf,TFLOP/s", "not a positive number"),
        ("figures", "100,TFLOP/s", "nan,TFLOP/s", "not a positive number"),
        ("figures", "100,TFLOP/s", ",TFLOP/s", "could not convert"),
        ("figures", "100,TFLOP/s", " 100,TFLOP/s", "begins or ends with a blank"),
        ("figures", "peak_int8,200,TOP/s", "peak_bf16,100,TFLOP/s", "there twice"),
        ("figures", "X100-16GB", "X200", "which models.csv does not list"),
        ("figures", ",dense", "", "not 7 fields"),
        ("figures", ",dense", ",dense,more", "not 7 fields"),
        ("figures", "key,figure", "gpu,figure", "the columns are"),
        ("models", "X100-16GB", "X100-8GB", "there twice"),
        ("models", "X100-16GB", "", "is empty"),
        ("models", "NVIDIA,gpu,Test,2020", "Nvidea,gpu,Test,2020", "'Nvidea' is not a valid Vendor"),
        ("models", "bus,1,4,16,8.0,The", "web,1,4,16,8.0,The", "'web' is not a valid LinkTopology"),
        ("aliases", "x1.large,aws,X100-8GB", "x1.large,aws,X200", "does not list 'X200'"),
        ("aliases", "x1.large,aws,X100-8GB,,EC2", "x1.large,aws,X100-8GB,,", "no source"),
        ("aliases", "x1.large,aws,X100-8GB,", "x1.large,aws,X100-8GB,luck", "no check 'luck'"),
        ("aliases", "x1.large,aws,X100-8GB,", "x1.large,aws,X100-16GB,units", "no figure to check the units against"),
        ("aliases", "x1.large,aws", "(R) -,aws", "nothing of the name counts"),
        ("aliases", "x1.large,aws,X100-8GB,", "x100 16gb,,X100-8GB,", "two meanings"),
        ("aliases", "X100-16GB,memory", "X100-16GB,", "two meanings"),
        ("aliases", "X100-16GB,memory", "X100-8GB,memory", "there twice"),
        ("sources", "blog,a", "sheet,a", "there twice"),
    ],
)
def test_unsound_facts_are_refused(name: str, old: str, new: str, complaint: str) -> None:
    plain = texts()[f"{name}.csv"]
    assert old in plain
    with pytest.raises(FactsError, match=complaint):
        parse_catalogue(texts(**{name: plain.replace(old, new, 1)}))


def test_variants_too_close_in_memory_cannot_share_a_name() -> None:
    close = FIGURES.replace("X100-16GB,memory,16,GB", "X100-16GB,memory,9,GB")
    with pytest.raises(FactsError, match="two meanings"):
        parse_catalogue(texts(figures=close))


def test_a_name_of_two_variants_needs_the_reported_memory(catalogue: Catalogue) -> None:
    assert catalogue.find("NVIDIA X100", "driver") is None
    assert catalogue.find("NVIDIA X100", "driver", memory_bytes=8 * 2**30) == "X100-8GB"
    assert catalogue.find("NVIDIA X100", "driver", memory_bytes=16 * 2**30) == "X100-16GB"
    assert catalogue.find("NVIDIA X100", "driver", memory_bytes=12 * 2**30) is None


def test_a_scoped_name_means_nothing_elsewhere(catalogue: Catalogue) -> None:
    assert catalogue.find("x1.large", "aws") == "X100-8GB"
    assert catalogue.find("x1.large") is None
    assert catalogue.find("x1.large", "gcp") is None


def test_general_names_hold_in_every_scope(catalogue: Catalogue) -> None:
    assert catalogue.find("x100 8gb", "a cloud nobody listed") == "X100-8GB"


def test_a_missing_key_lists_near_ones(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match=r"no GPU 'X100'\. Near it: X100-8GB, X100-16GB\."):
        catalogue.get("X100")
    with pytest.raises(NotFound, match="2 models; none is near"):
        catalogue.get("")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("A100 (80 GB)", "A100-80GB"),
        ("Intel(R) Data Center GPU Max 1550", "data center gpu max 1550"),
        ("Intel® Arc™ B580 Graphics", "Intel(R) Arc(TM) B580 Graphics"),
        ("AMD Instinct MI300X", "Instinct_MI300X"),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A10", "A10G"),
        ("RTX 4070 Ti", "RTX 4070"),
        ("8480+", "8480"),
        ("AMDX", "X"),
        ("L40", "L4 0.5"),
        ("K80", "K-8.0"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text())
def test_any_text_is_either_known_or_not(name: str) -> None:
    found = load_catalogue().find(name)
    assert found is None or found in load_catalogue().gpus


def test_the_version_follows_the_facts_and_not_the_line_ends(catalogue: Catalogue) -> None:
    unix = {name: text.replace("\n", "\r\n") for name, text in texts().items()}
    assert parse_catalogue(unix).version == catalogue.version
    assert parse_catalogue(texts(figures=FIGURES.replace("dense", "sparse"))).version != catalogue.version
    assert parse_catalogue(texts(sources=SOURCES.replace("a blog", "another"))).version != catalogue.version
    assert len(catalogue.version) == 12


def test_the_catalogue_is_read_once_and_cannot_be_changed() -> None:
    catalogue = load_catalogue()
    assert load_catalogue() is catalogue
    with pytest.raises(TypeError):
        catalogue.gpus["H100"] = catalogue.get("L4")  # type: ignore[index]
    with pytest.raises(TypeError):
        catalogue.get("L4").peak_flops[Dtype.FP4] = catalogue.get("L4").peak_flops[Dtype.FP8]  # type: ignore[index]


def test_an_unlisted_device_has_a_name_and_no_figures() -> None:
    gpu = unlisted_gpu("AMD EPYC", "AuthenticAMD", GpuKind.CPU, 64e9)
    assert (gpu.key, gpu.vendor, gpu.kind) == ("AMD EPYC (unlisted)", Vendor.AMD, GpuKind.CPU)
    assert (gpu.memory_bytes, gpu.memory_bandwidth, gpu.power_watts, gpu.num_units) == (None, None, None, None)
    assert not gpu.peak_flops
    assert "reports 64 GB" in gpu.notes
    assert unlisted_gpu("GPU 9000", "", GpuKind.GPU, None).vendor is Vendor.OTHER


def test_an_unlisted_device_never_takes_the_key_of_a_listed_one() -> None:
    assert unlisted_gpu("K80", "NVIDIA", GpuKind.GPU, None).key not in load_catalogue().gpus
