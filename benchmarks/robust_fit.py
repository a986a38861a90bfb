"""What the fits of priors share: a robust loss that is held to expected values, and widths that cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SOLVER_ROUNDS = 30
SETTLED = 1e-3  # of a move, as a logarithm


@dataclass(frozen=True)
class Loss:
    """`scale`: residuals beyond it count by their magnitude; `noise`: log standard deviation of a row around its
    prediction, against which the priors' own are weighed."""

    scale: float
    noise: float

    def of(self, residuals: np.ndarray, weights: np.ndarray, strains: np.ndarray) -> float:
        """What a fit makes least; `strains` are moves away from the expected values in their standard deviations."""
        rows = weights * self.scale**2 * (np.sqrt(1.0 + (residuals / self.scale) ** 2) - 1.0)
        return float(rows.sum() / self.noise**2 + 0.5 * (strains**2).sum())


def solve(
    jacobian: np.ndarray, offset: np.ndarray, weights: np.ndarray, start: np.ndarray, spreads: np.ndarray, loss: Loss
) -> np.ndarray:
    """The moves that minimise the robust loss of offset + jacobian · move, held to the expected values by the spreads
    (start: how far each stands from its expected value already)."""
    move: np.ndarray = np.zeros(spreads.size)
    for _ in range(SOLVER_ROUNDS):
        left = offset + jacobian @ move
        robust = weights / np.sqrt(1.0 + (left / loss.scale) ** 2) / loss.noise**2
        normal = jacobian.T @ (robust[:, None] * jacobian) + np.diag(1.0 / spreads**2)
        before, move = move, np.linalg.solve(normal, -jacobian.T @ (robust * offset) - start / spreads**2)
        if np.abs(move - before).max() < SETTLED:
            break
    return move


def covering(errors: Sequence[float], weights: Sequence[float], coverage: float) -> float:
    """The half-width that holds errors of so much of the weight, as of one more of their kind (split conformal)."""
    magnitudes, given = np.abs(np.asarray(errors)), np.asarray(weights)
    order = np.argsort(magnitudes)
    reached = np.cumsum(given[order]) / (given.sum() + given.mean())
    place = int(np.searchsorted(reached, coverage))
    return float(magnitudes[order][min(place, magnitudes.size - 1)])
