"""A correction: what whole passes take beyond the sum of their operations, and how well that is known elsewhere.

The points are ln(measured ÷ composed) of measured passes. Between and beyond them a Gaussian process speaks: all passes
share one deviation, those of one family of networks another, and near ones (in rows, length, seconds and width) a
third. How large and how far-reaching each is follows from the points themselves, held to what is usual by a weak prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.operations import Amount

Array = NDArray[np.float64]
Network = Transformer | ConvNet
# 90 % of a normal distribution lies within this many standard deviations.
NINETY = 1.645
# Deviations that are tried (standard deviations of logarithms), and doublings over which near passes resemble; assumed
# coarse on purpose: there are about a dozen points. The usual ones are those in the middle.
COMMON = (0.02, 0.06, 0.2)
FAMILY = (0.02, 0.06, 0.2)
LOCAL = (0.02, 0.06, 0.2)
REACH = (1.0, 2.0, 4.0, 8.0)
USUAL = (0.06, 0.06, 0.06, 2.0)
USUAL_ROOM = 1.0  # standard deviation of ln(tried ÷ usual) before any point speaks
LEAST_NOISE = 0.01  # two honest measurements of a pass differ by as much at least (assumed)
# Measured passes say how they differ among themselves, not how others far from all of them do: at least so much for
# each doubling beyond the first one from the nearest measured pass of the family, and at most so much (assumed).
PER_DOUBLING = 0.03
FARTHEST = 0.30
FAR_OFF = 3.0  # a pass that lies so many deviations off, or more, says little of how the others differ
LEAST_SCALE = 0.7  # held-out errors that happen to be small promise no more than that
# The held-out errors of so many more points would be just as expected: a few points alone say little of the whole.
USUAL_WEIGHT = 4.0


class Family(StrEnum):
    """Networks whose passes are alike."""

    DECODER = "decoder"
    ENCODER = "encoder"  # all positions see each other: text encoders, vision transformers
    EXPERTS = "experts"
    CONVOLUTIONAL = "convolutional"


def family_of(network: Network) -> Family:
    """The family of a network."""
    if isinstance(network, ConvNet):
        return Family.CONVOLUTIONAL
    if network.num_experts > 1:
        return Family.EXPERTS
    return Family.DECODER if network.causal else Family.ENCODER


def block_shape(network: Network) -> tuple[int, ...]:
    """What makes one block run like another: hidden, heads, key-value heads, feed-forward width; of a convolutional
    network the channels of its first convolution."""
    if isinstance(network, ConvNet):
        return (network.convs[0].outputs,)
    return (network.hidden, network.num_heads, network.num_kv_heads, network.ffn)


@dataclass(frozen=True, slots=True)
class CorrectionPoint:
    """A measured pass: `factor` is ln(measured ÷ composed from its operations), `noise` its standard deviation.

    `length` is how many positions a row may attend to, `shape` that of its blocks (`block_shape`).
    """

    rows: float
    length: float
    predicted_seconds: float
    factor: float
    shape: tuple[int, ...]
    family: Family = Family.DECODER
    noise: float = LEAST_NOISE


@dataclass(frozen=True, slots=True)
class Kernel:
    """Standard deviations of what all passes share, of what a family shares and of what near passes share; `reach` is
    how far near is, in doublings."""

    common: float
    family: float
    local: float
    reach: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How far to trust a fitted part: log half-widths meant to hold nine times in ten."""

    num_samples: int
    spread: float  # of repeated measurement
    held_out: float | None  # of each sample predicted from the others; None for a single one


@dataclass(frozen=True, slots=True)
class Widths:
    """Log half-widths (nine in ten) of a corrected pass, each independent of the others."""

    noise: float  # of measuring again
    held_out: float  # near what was measured
    distance: float  # and what being far from it adds


@dataclass(frozen=True, slots=True)
class Correction:
    """What a whole pass takes beyond the sum of its operations.

    `scale` is how many times larger than the process expects the errors of held-out points are.
    """

    points: tuple[CorrectionPoint, ...]
    kernel: Kernel
    scale: float
    quality: Quality

    def factor(self, network: Network, rows: Amount, length: Amount, predicted_seconds: Amount) -> Amount:
        """Measured ÷ composed of a pass of so many rows and seconds through that network."""
        _, weights, _ = _solved(self.points, self.kernel)
        found = np.exp(self._alike(network, rows, length, predicted_seconds) @ weights)
        return float(found[0]) if found.size == 1 else found

    def widths(self, network: Network, rows: float, length: float, predicted_seconds: float) -> Widths:
        """How well a single pass is known."""
        inverse, _, near = _solved(self.points, self.kernel)
        alike = self._alike(network, rows, length, predicted_seconds)
        left = max(0.0, _own(self.kernel) - float((alike @ inverse @ alike.T)[0, 0]))
        noise = math.sqrt(float(np.median([point.noise**2 for point in self.points])))
        here = min(left, near)
        room = NINETY * self.scale
        places = _places(rows, length, predicted_seconds, float(block_shape(network)[0]))
        family = family_of(network)
        same = [point for point in self.points if point.family is family]
        away = FARTHEST
        if same:
            nearest = float(np.sqrt(((_known(same) - places) ** 2).sum(axis=1)).min())
            away = min(FARTHEST, PER_DOUBLING * max(0.0, nearest - 1.0))
        return Widths(room * noise, room * math.sqrt(here), max(away, room * math.sqrt(left - here)))

    @property
    def usual_length(self) -> float:
        """The median length of the measured passes."""
        return float(np.median([point.length for point in self.points]))

    def has_run(self, network: Network) -> bool:
        """Whether blocks of this shape were measured."""
        return any(point.shape == block_shape(network) for point in self.points)

    def has_run_several(self, network: Network) -> bool:
        """Whether several shapes of its family were measured, so that held-out errors speak of other shapes too."""
        family = family_of(network)
        return len({point.shape for point in self.points if point.family is family}) > 1

    def _alike(self, network: Network, rows: Amount, length: Amount, predicted_seconds: Amount) -> Array:
        width, family = float(block_shape(network)[0]), family_of(network)
        known = np.array([point.family is family for point in self.points])
        places = _places(rows, length, predicted_seconds, width)
        return _covariance(self.kernel, places, _known(self.points), np.broadcast_to(known, (len(places), known.size)))


def fit_correction(points: Sequence[CorrectionPoint]) -> Correction:
    """The correction of passes, without what held-out points say (`judged` adds that)."""
    ordered = tuple(
        sorted(points, key=lambda point: (point.family, point.rows, point.length, point.shape, point.predicted_seconds))
    )
    known, same = _known(ordered), _same_family(ordered)
    factors = np.array([point.factor for point in ordered])
    noise = np.diag([point.noise**2 for point in ordered])
    tried = np.array(list(product(COMMON, FAMILY, LOCAL, REACH)))
    covariances = _covariances(tried, known, same) + noise
    kernel = Kernel(*map(float, tried[int(np.argmax(_likelihoods(covariances, factors, tried)))]))
    spread = NINETY * float(np.median([point.noise for point in ordered]))
    return Correction(ordered, kernel, 1.0, Quality(len(ordered), spread, None))


def judged(correction: Correction, errors: Sequence[float], expected: Sequence[float]) -> Correction:
    """The correction with the errors (ln predicted ÷ measured) of its points when each is held out, beside the
    standard deviations that were expected of them."""
    if len(errors) < 2:
        return correction
    ratios = sum(min(abs(error / deviation), FAR_OFF) ** 2 for error, deviation in zip(errors, expected, strict=True))
    scale = max(LEAST_SCALE, math.sqrt((USUAL_WEIGHT + ratios) / (USUAL_WEIGHT + len(errors))))
    held_out = NINETY * math.sqrt(sum(error**2 for error in errors) / len(errors))
    return replace(correction, scale=scale, quality=replace(correction.quality, held_out=held_out))


def expected_deviation(correction: Correction, point: CorrectionPoint) -> tuple[float, float]:
    """ln(measured ÷ composed) that is expected of a pass, and the standard deviation of measuring it."""
    inverse, weights, _ = _solved(correction.points, correction.kernel)
    same = np.array([[other.family is point.family for other in correction.points]])
    alike = _covariance(correction.kernel, _known((point,)), _known(correction.points), same)
    left = max(0.0, _own(correction.kernel) - float((alike @ inverse @ alike.T)[0, 0]))
    return float((alike @ weights)[0]), math.sqrt(left + point.noise**2)


def _own(kernel: Kernel) -> float:
    return kernel.common**2 + kernel.family**2 + kernel.local**2


def _places(*amounts: Amount) -> Array:
    """(Q, 4): doublings of rows, length, seconds and width."""
    axes = np.broadcast_arrays(*(np.atleast_1d(np.asarray(axis, dtype=float)) for axis in amounts))
    return np.stack([np.log2(np.maximum(axis, 1e-12)).ravel() for axis in axes], axis=1)


def _known(points: Sequence[CorrectionPoint]) -> Array:
    columns = zip(
        *((point.rows, point.length, point.predicted_seconds, float(point.shape[0])) for point in points), strict=True
    )
    return _places(*(np.array(column) for column in columns))


def _same_family(points: Sequence[CorrectionPoint]) -> NDArray[np.bool_]:
    families = np.array([point.family.value for point in points])
    return np.asarray(families[:, None] == families[None, :])


def _covariance(kernel: Kernel, here: Array, there: Array, same: NDArray[np.bool_]) -> Array:
    """(Q, P) of passes at `here` and `there`; what near passes share, they share within their family."""
    squares = ((here[:, None, :] - there[None, :, :]) ** 2).sum(axis=2)
    local = kernel.local**2 * np.exp(-0.5 * squares / kernel.reach**2)
    found: Array = kernel.common**2 + np.where(same, kernel.family**2 + local, 0.0)
    return found


def _covariances(tried: Array, known: Array, same: NDArray[np.bool_]) -> Array:
    """(K, P, P): as `_covariance` of the known passes among themselves, for K kernels, a row of their values each."""
    common, family, local, reach = (column[:, None, None] for column in tried.T)
    squares = ((known[:, None, :] - known[None, :, :]) ** 2).sum(axis=2)
    found: Array = common**2 + np.where(same, family**2 + local**2 * np.exp(-0.5 * squares / reach**2), 0.0)
    return found


def _likelihoods(covariances: Array, factors: Array, tried: Array) -> Array:
    """(K): ln of how likely the factors (P) are under each covariance (K, P, P), and its kernel (K, 4) before them."""
    lower = np.linalg.cholesky(covariances)
    whitened = np.linalg.solve(lower, factors[:, None])[:, :, 0]
    unusual = ((np.log(tried / np.array(USUAL)) / USUAL_ROOM) ** 2).sum(axis=1)
    surprise = FAR_OFF**2 * np.log1p((whitened / FAR_OFF) ** 2)  # each beyond what those before it say
    volume = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    found: Array = -0.5 * surprise.sum(axis=1) - volume - 0.5 * unusual
    return found


@lru_cache(maxsize=256)
def _solved(points: tuple[CorrectionPoint, ...], kernel: Kernel) -> tuple[Array, Array, float]:
    """The inverse covariance of the measured points (P, P), the weights of their factors (P), and the variance that
    is left where one of them lies and was held out (the median over them)."""
    known, same = _known(points), _same_family(points)
    between = _covariance(kernel, known, known, same)
    noise = np.array([point.noise**2 for point in points])
    inverse: Array = np.asarray(np.linalg.inv(between + np.diag(noise)), dtype=float)
    left = np.maximum(1.0 / np.diag(inverse) - noise, 0.0)  # of each when it is held out
    weights: Array = inverse @ np.array([point.factor for point in points])
    return inverse, weights, float(np.median(left))
