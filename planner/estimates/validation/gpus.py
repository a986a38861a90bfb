"""The GPU that a table means by a name: the catalogue's aliases, then the stated memory, then the usual form."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from planner.hardware.catalogue import Catalogue
from planner.hardware.gpu import Figure, Gpu
from planner.units import GB

PUBLISHED = "published"  # the scope of the aliases that tables use
# Names that leave the variant open, by the memory that the row states in GB (None: not stated). What is taken is the
# form that published training and serving runs mostly used; such a row says what was assumed.
UNSTATED_VARIANTS: dict[str, dict[float | None, str]] = {
    "a100": {None: "A100-80GB-SXM", 80.0: "A100-80GB-SXM", 40.0: "A100-40GB-SXM"},
    "h100": {None: "H100-80GB-SXM", 80.0: "H100-80GB-SXM", 94.0: "H100-NVL", 96.0: "H100-96GB-SXM"},
    "h200": {None: "H200-SXM", 141.0: "H200-SXM"},
    "v100": {None: "V100-16GB-SXM", 16.0: "V100-16GB-SXM", 32.0: "V100-32GB-SXM"},
    "v100-pcie-32gb": {None: "V100-16GB-PCIE", 32.0: "V100-16GB-PCIE"},  # the same chip with more memory
    "p100": {None: "P100-SXM2", 16.0: "P100-SXM2", 12.0: "P100-16GB-PCIE"},
    "k80": {None: "K80-HALF", 12.0: "K80-HALF", 24.0: "K80"},  # two chips to a board; frameworks see one
    "gh200": {None: "GH200-96GB", 96.0: "GH200-96GB", 144.0: "GH200-144GB"},
    "mi250": {None: "MI250", 128.0: "MI250", 64.0: "MI250-GCD"},
}
# Words of a name that tell no model apart: makers, lines, boards, kinds of memory, the size of a rack.
SAYS_NOTHING = (
    *(
        "nvidia",
        "amd",
        "intel",
        "habana",
        "meta",
        "tesla",
        "geforce",
        "quadro",
        "instinct",
        "radeon",
        "gpu",
        "tensor",
        "core",
    ),
    *("hgx", "dgx", "baseboard", "nvl72", "nvl36", "1"),
    *("hbm", "hbm2", "hbm2e", "hbm3", "hbm3e", "gddr5", "gddr6", "gddr6x", "gddr7"),
)
FORMS = re.compile(r"(sxm|pcie|oam|nvl)\d?")
SIZE = re.compile(r"(\d+)g(?:i?b)?")
WATTS = re.compile(r"\d+w")
SAME_SIZE = 0.08  # 192 GB are sold where 180 are left to programs


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
    return NamedGpu(catalogue.get(name)) if name in catalogue.gpus else _by_parts(catalogue, name, memory_gb)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a name: the model, and where it says them the form and the memory in GB."""

    model: str
    form: str = ""
    memory_gb: float | None = None


@lru_cache(maxsize=1024)
def _parts(name: str) -> _Parts:
    words: list[str] = []
    form, memory = "", None
    for word in re.findall(r"[a-z0-9+]+", name.casefold()):
        if found := FORMS.fullmatch(word):
            form = found[1]
        elif found := SIZE.fullmatch(word):
            memory = float(found[1])
        elif word not in (*SAYS_NOTHING, *words) and not WATTS.fullmatch(word):
            words.append("gcd" if word == "gcds" else word)  # one of the two dies of a board
    return _Parts("".join(words), form, memory)


def _by_parts(catalogue: Catalogue, name: str, memory_gb: float | None) -> NamedGpu | None:
    """The entry of the same model, form and memory, as far as the name or the row state them; of several the SXM or OAM
    form with the most memory, and what it leaves open is told."""
    wanted = _parts(name)
    memory = memory_gb if wanted.memory_gb is None else wanted.memory_gb
    found = []
    for key, gpu in catalogue.gpus.items():
        own = _parts(key)
        if own.model != wanted.model or (wanted.form and own.form and own.form != wanted.form):
            continue
        size = None if gpu.memory_bytes is None else gpu.memory_bytes.value / GB
        if memory is None or (size is not None and abs(size / memory - 1.0) <= SAME_SIZE):
            found.append((own.form in ("sxm", "oam"), size or 0.0, key))
    if not found:
        return None
    key = max(found)[2]
    return NamedGpu(catalogue.get(key), f"{name}: {key} of {len(found)} assumed" if len(found) > 1 else "")


def sockets_together(socket: Gpu, number: int) -> Gpu:
    """So many sockets of a machine as one processor: their arithmetic, memory and power add up."""

    def added(figure: Figure | None) -> Figure | None:
        return None if figure is None else replace(figure, value=number * figure.value)

    return replace(
        socket,
        memory_bytes=added(socket.memory_bytes),
        memory_bandwidth=added(socket.memory_bandwidth),
        power_watts=added(socket.power_watts),
        peak_flops={dtype: replace(figure, value=number * figure.value) for dtype, figure in socket.peak_flops.items()},
        num_units=None if socket.num_units is None else number * socket.num_units,
    )


def _unstated(
    catalogue: Catalogue, name: str, variants: dict[float | None, str], memory_gb: float | None
) -> NamedGpu | None:
    key = variants.get(memory_gb)
    if key is None or key not in catalogue.gpus:
        return _by_parts(catalogue, name, memory_gb)
    stated = "and memory not stated" if memory_gb is None else "not stated"
    return NamedGpu(catalogue.get(key), f"{name}: form {stated}, {key} assumed")
