"""Whether a sensitivity ranks layers as the loss of quality does: Kendall's tau between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b in [-1, 1], 1 where both rank alike, over `count` layers, groups or blocks.

    `p_value`: of the hypothesis that they have nothing to do with each other.
    """

    what: str
    tau: float
    p_value: float
    count: int

    def __str__(self) -> str:
        return f"{self.what}: Kendall tau {self.tau:+.2f} (p {self.p_value:.2g}) over {self.count}"


def agreement(what: str, sensitivity: NDArray[np.float64], loss: NDArray[np.float64]) -> Agreement:
    """Of a sensitivity [subjects] with the measured loss of the same subjects (chrF that is lost; higher is worse, as for both).

    Subjects that tie in both count for neither side (tau-b). Raises ValueError on arrays of different lengths, on fewer than two subjects
    and where all of one are equal: then there is no ranking.
    """
    if sensitivity.shape != loss.shape or sensitivity.ndim != 1:
        raise ValueError(f"sensitivity and loss must be of the same subjects, got {sensitivity.shape} and {loss.shape}")
    if len(loss) < 2:
        raise ValueError(f"a ranking needs at least two subjects, got {len(loss)}")
    for name, values in (("sensitivities", sensitivity), ("losses", loss)):
        if np.ptp(values) == 0:
            raise ValueError(f"{name} must differ, or they rank nothing, got {values[0]} for all")
    found: Any = kendalltau(sensitivity, loss)  # its type says nothing
    return Agreement(what, float(found.statistic), float(found.pvalue), len(loss))


def summed(values: NDArray[np.float64], labels: Sequence[str]) -> dict[str, float]:
    """Sensitivities of single layers summed over what they belong to (module groups, blocks), in the order of first appearance."""
    totals: dict[str, float] = {}
    for value, label in zip(values, labels, strict=True):
        totals[label] = totals.get(label, 0.0) + float(value)
    return totals
