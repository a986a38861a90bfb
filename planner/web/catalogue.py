"""Which models of the hardware catalogue a page or an answer shows."""

from __future__ import annotations

from planner.hardware.gpu import Gpu
from planner.web.queries import CatalogueQuery


def find_gpus(gpus: list[Gpu], query: CatalogueQuery) -> list[Gpu]:
    """Those whose vendor, kind and name pass, in the catalogue's order."""
    text = (query.text or "").casefold()
    return [
        gpu
        for gpu in gpus
        if (query.vendor is None or gpu.vendor == query.vendor)
        and (query.kind is None or gpu.kind == query.kind)
        and (not text or text in f"{gpu.key} {gpu.generation} {gpu.form_factor} {gpu.memory_type}".casefold())
    ]
