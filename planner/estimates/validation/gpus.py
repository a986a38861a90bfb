"""The GPU that a table means by a name: the catalogue's aliases, then the stated memory, then the usual form."""

from __future__ import annotations

from dataclasses import dataclass

from planner.hardware.catalogue import Catalogue
from planner.hardware.gpu import Gpu
from planner.units import GB

PUBLISHED = "published"  # the scope of the aliases that tables use
# Names that leave the variant open, by the memory that the row states in GB (None: not stated). What is taken is the
# form that published training and serving runs mostly used; such a row says what was assumed.
UNSTATED_VARIANTS: dict[str, dict[float | None, str]] = {
    "a100": {None: "A100-80GB-SXM", 80.0: "A100-80GB-SXM", 40.0: "A100-40GB-SXM"},
    "h100": {None: "H100-80GB-SXM", 80.0: "H100-80GB-SXM", 94.0: "H100-NVL"},
    "h200": {None: "H200-SXM", 141.0: "H200-SXM"},
    "v100": {None: "V100-16GB-SXM", 16.0: "V100-16GB-SXM", 32.0: "V100-32GB-SXM"},
    "v100-pcie-32gb": {None: "V100-16GB-PCIE", 32.0: "V100-16GB-PCIE"},  # the same chip with more memory
    "p100": {None: "P100-SXM2", 16.0: "P100-SXM2", 12.0: "P100-16GB-PCIE"},
    "k80": {None: "K80-HALF", 12.0: "K80-HALF", 24.0: "K80"},  # two chips to a board; frameworks see one
    "gh200": {None: "GH200-96GB", 96.0: "GH200-96GB", 144.0: "GH200-144GB"},
    "mi250": {None: "MI250", 128.0: "MI250", 64.0: "MI250-GCD"},
}


@dataclass(frozen=True, slots=True)
class NamedGpu:
    """A catalogue entry, and what had to be assumed to find it (empty: nothing)."""

    gpu: Gpu
    assumption: str = ""


def published_gpu(catalogue: Catalogue, name: str, memory_gb: float | None) -> NamedGpu | None:
    """The entry that `name` stands for, None where the catalogue has none."""
    variants = UNSTATED_VARIANTS.get(name.casefold())
    if variants is not None:
        return _unstated(catalogue, name, variants, memory_gb)
    memory = None if memory_gb is None else memory_gb * GB
    for scope in (PUBLISHED, ""):
        key = catalogue.find(name, scope, memory_bytes=memory)
        if key is not None:
            return NamedGpu(catalogue.get(key))
    return NamedGpu(catalogue.get(name)) if name in catalogue.gpus else None


def _unstated(
    catalogue: Catalogue, name: str, variants: dict[float | None, str], memory_gb: float | None
) -> NamedGpu | None:
    key = variants.get(memory_gb)
    if key is None or key not in catalogue.gpus:
        return None
    stated = "and memory not stated" if memory_gb is None else "not stated"
    return NamedGpu(catalogue.get(key), f"{name}: form {stated}, {key} assumed")
