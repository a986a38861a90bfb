"""The hardware catalogue: every model with its figures, and on its own page each figure's source and date."""

from __future__ import annotations

from collections.abc import Callable

from flask import render_template

from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Figure, Gpu
from planner.units import format_bytes, format_flops_per_second, format_watts
from planner.web.catalogue import find_gpus
from planner.web.formats import bandwidth, hertz
from planner.web.pages.blueprint import pages
from planner.web.queries import CatalogueQuery, read_query

Line = tuple[str, Figure | None, str]


@pages.get("/hardware")
def hardware_page() -> tuple[str, int]:
    """All models that pass the filters."""
    query, form = read_query(CatalogueQuery)
    catalogue = load_catalogue()
    everything = list(catalogue.gpus.values())
    page = render_template(
        "hardware/list.html",
        gpus=[] if query is None else find_gpus(everything, query),
        form=form,
        vendors=[(vendor, vendor) for vendor in sorted({gpu.vendor.value for gpu in everything})],
        total=len(everything),
        version=catalogue.version,
    )
    return page, 422 if query is None else 200


@pages.get("/hardware/<key>")
def hardware_model(key: str) -> str:
    """One model, figure by figure."""
    gpu = load_catalogue().get(key)
    return render_template("hardware/show.html", gpu=gpu, lines=figure_lines(gpu))


def figure_lines(gpu: Gpu) -> list[Line]:
    """What each figure is called, the figure, and its value in words; unknown ones stay in the list."""

    def line(title: str, figure: Figure | None, write: Callable[[float], str]) -> Line:
        return title, figure, "" if figure is None else write(figure.value)

    peaks = [
        line(f"Peak {dtype.value}, dense", figure, _operations if dtype.value == "int8" else format_flops_per_second)
        for dtype, figure in gpu.peak_flops.items()
    ]
    return [
        line("Memory", gpu.memory_bytes, format_bytes),
        line("Memory bandwidth", gpu.memory_bandwidth, bandwidth),
        *peaks,
        line("Board power", gpu.power_watts, format_watts),
        line("Boost clock", gpu.boost_hz, hertz),
        line("L2 cache", gpu.l2_bytes, format_bytes),
        line(f"Link bandwidth, one way ({gpu.link_name or 'link'})", gpu.link_bandwidth, bandwidth),
        line("Node bandwidth, one way", gpu.node_bandwidth, bandwidth),
    ]


def _operations(value: float) -> str:
    return format_flops_per_second(value).replace("FLOP/s", "OP/s")
