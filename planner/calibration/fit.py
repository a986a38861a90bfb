"""A fit: what the samples of one device say it reaches, in absolute rates, with the error left when each is held out.

Versioned twice: FIT_FORM is the meaning of the document, `bench_versions` that of the samples. It is drawn by draw.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from planner.calibration.correction import Correction, CorrectionPoint, Family, Kernel, Quality
from planner.calibration.efficiency import (
    AttentionCurve,
    BandwidthCurve,
    MatmulPoint,
    MatmulRate,
    Part,
    PassRate,
    Rates,
)
from planner.calibration.links import MeasuredLinks, links_from_document
from planner.calibration.passes import usual_pass
from planner.calibration.sample import Operation
from planner.hardware.gpu import Dtype

Entry = TypeVar("Entry")
Place = tuple[Operation, Dtype]  # a phase of a job (training step, prefill, decode) in a number format

# 2: factors of parts per phase, and corrections by family, drawn from every kind of whole pass. 3: by length too.
# 4: attention by head width.
FIT_FORM = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """What one device reaches. Operations that were not measured are absent."""

    gpu_key: str
    is_cpu: bool
    matmul: Mapping[Dtype, MatmulRate]
    matmul_quality: Mapping[Dtype, Quality]
    bandwidth: BandwidthCurve | None
    bandwidth_quality: Quality | None
    in_pass: Mapping[Place, PassRate]
    corrections: Mapping[Place, Correction]
    memory_excess_bytes: float | None  # peak memory of a training step, measured − itemised
    power_watts: Mapping[Operation, float]  # mean draw while measuring
    bench_versions: Mapping[Operation, int]
    samples: tuple[str, ...]  # keys of the benches used
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason → how many
    links: MeasuredLinks | None = None  # to the other devices of its node
    form: int = FIT_FORM

    def rates(self, dtype: Dtype, phase: Operation) -> Rates | None:
        """For timing passes of a phase in `dtype`; None where products or memory were not measured.

        A phase that was not measured in that format borrows from the same phase in another, or takes usual values.
        """
        if not self.matmul or self.bandwidth is None:
            return None
        borrowed = next((rate for (known, _), rate in self.in_pass.items() if known is phase), None)
        in_pass = self.in_pass.get((phase, dtype), borrowed)
        if in_pass is None:
            in_pass = usual_pass(self.matmul, self.bandwidth.far, is_cpu=self.is_cpu)
        return Rates(self.matmul, self.bandwidth.far, in_pass, is_synchronous=self.is_cpu)

    def to_document(self) -> dict[str, Any]:
        """The fit as JSON."""
        return fit_to_document(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Fit:
        """The fit back from JSON. Raises ValueError for another form."""
        return fit_from_document(document)


def fit_to_document(fit: Fit) -> dict[str, Any]:
    """The fit as JSON: enums by value, pairs as "operation/dtype"."""
    return {
        "form": fit.form,
        "gpu_key": fit.gpu_key,
        "is_cpu": fit.is_cpu,
        "matmul": {
            dtype.value: {
                "peak": rate.peak,
                "bandwidth": rate.bandwidth,
                "floor_seconds": rate.floor_seconds,
                "sharpness": rate.sharpness,
                "inner_fill": rate.inner_fill,
                "points": [[p.rows, p.columns, p.inner, p.residual] for p in rate.points],
                "quality": asdict(fit.matmul_quality[dtype]),
            }
            for dtype, rate in fit.matmul.items()
        },
        "bandwidth": None if fit.bandwidth is None else [list(point) for point in fit.bandwidth.points],
        "bandwidth_quality": None if fit.bandwidth_quality is None else asdict(fit.bandwidth_quality),
        "in_pass": {_text(place): _pass_document(rate) for place, rate in fit.in_pass.items()},
        "corrections": {_text(place): _correction_document(found) for place, found in fit.corrections.items()},
        "memory_excess_bytes": fit.memory_excess_bytes,
        "power_watts": {operation.value: watts for operation, watts in fit.power_watts.items()},
        "bench_versions": {operation.value: version for operation, version in fit.bench_versions.items()},
        "samples": list(fit.samples),
        "left_out": dict(fit.left_out),
        "links": None if fit.links is None else fit.links.to_document(),
    }


def fit_from_document(document: Mapping[str, Any]) -> Fit:
    """The fit that `fit_to_document` wrote. Raises ValueError for another form."""
    if document.get("form") != FIT_FORM:
        raise ValueError(f"the fit has form {document.get('form')!r}, this code reads form {FIT_FORM}")
    quality = document["bandwidth_quality"]
    return Fit(
        gpu_key=document["gpu_key"],
        is_cpu=document["is_cpu"],
        matmul=_by_dtype(document["matmul"], _rate_from),
        matmul_quality=_by_dtype(document["matmul"], lambda entry: Quality(**entry["quality"])),
        bandwidth=None if document["bandwidth"] is None else _curve_from(document["bandwidth"]),
        bandwidth_quality=None if quality is None else Quality(**quality),
        in_pass={_place(name): _pass_from(entry) for name, entry in document["in_pass"].items()},
        corrections={_place(name): _correction_from(entry) for name, entry in document["corrections"].items()},
        memory_excess_bytes=document["memory_excess_bytes"],
        power_watts={Operation(name): watts for name, watts in document["power_watts"].items()},
        bench_versions={Operation(name): version for name, version in document["bench_versions"].items()},
        samples=tuple(document["samples"]),
        left_out=dict(document["left_out"]),
        links=links_from_document(document.get("links")),
    )


def _text(place: Place) -> str:
    operation, dtype = place
    return f"{operation.value}/{dtype.value}"


def _place(text: str) -> Place:
    operation, dtype = text.split("/")
    return Operation(operation), Dtype(dtype)


def _by_dtype(entries: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Entry]) -> dict[Dtype, Entry]:
    return {Dtype(name): read(entry) for name, entry in entries.items()}


def _rate_from(entry: Mapping[str, Any]) -> MatmulRate:
    points = tuple(MatmulPoint(*point) for point in entry["points"])
    single = ("peak", "bandwidth", "floor_seconds", "sharpness", "inner_fill")
    return MatmulRate(**{name: entry[name] for name in single}, points=points)


def _curve_from(points: Sequence[Sequence[float]]) -> BandwidthCurve:
    return BandwidthCurve(tuple((size, rate) for size, rate in points))


def _pass_document(rate: PassRate) -> dict[str, Any]:
    return {
        "attention": rate.attention,
        "attention_bandwidth": rate.attention_bandwidth,
        "launch_seconds": rate.launch_seconds,
        "factors": {part.value: factor for part, factor in rate.factors.items()},
        "curve": None if rate.curve is None else asdict(rate.curve),
    }


def _pass_from(entry: Mapping[str, Any]) -> PassRate:
    factors = {Part(name): factor for name, factor in entry["factors"].items()}
    curve = entry["curve"]
    if curve is not None:
        points, widths = (tuple((place, rate) for place, rate in curve[name]) for name in ("points", "widths"))
        curve = AttentionCurve(points, curve["is_per_byte"], widths)
    return PassRate(entry["attention"], entry["attention_bandwidth"], entry["launch_seconds"], factors, curve)


def _correction_document(correction: Correction) -> dict[str, Any]:
    return {
        "points": [
            [p.rows, p.length, p.predicted_seconds, p.factor, list(p.shape), p.family.value, p.noise]
            for p in correction.points
        ],
        "kernel": asdict(correction.kernel),
        "scale": correction.scale,
        "quality": asdict(correction.quality),
    }


def _correction_from(entry: Mapping[str, Any]) -> Correction:
    points = tuple(
        CorrectionPoint(rows, length, seconds, factor, tuple(shape), Family(family), noise)
        for rows, length, seconds, factor, shape, family, noise in entry["points"]
    )
    return Correction(points, Kernel(**entry["kernel"]), entry["scale"], Quality(**entry["quality"]))
