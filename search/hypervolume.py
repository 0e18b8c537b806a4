"""How much of the space of objectives a front covers: one number for how good it is, that only grows while a study goes on.

Measured from a reference point that is worse than anything worth having: a tenth more than the uncompressed model costs, and 10 points
of quality below it. Costs count as logarithms, so the number does not depend on their units.
"""

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from paredown.search.budget import Budget, is_feasible
from paredown.search.front import non_dominated
from paredown.search.objective import Objective, read_values
from paredown.search.trial import Trial

COST_MARGIN = 1.1  # times what the uncompressed model costs
QUALITY_MARGIN = 10.0  # points below it
UNCOMPRESSED = "uncompressed"  # label of the trial that every study begins with


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume that is dominated by some point and dominates the reference point, exactly.

    `points`: [points, objectives], lower is better, costs already in logarithm; those that are not better than the reference in every
    objective add nothing. `reference`: [objectives]. Raises ValueError where the shapes do not fit. Source: Fonseca, Paquete and
    Lopez-Ibanez (2006), by moocore.
    """
    rows, corner = np.asarray(points, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if rows.ndim != 2 or corner.shape != (rows.shape[1],):
        raise ValueError(f"a hypervolume needs points [points, objectives] and one reference, got {rows.shape} and {corner.shape}")
    return float(moocore.hypervolume(rows, ref=corner))


def scaled(values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Values in the objectives' units as `hypervolume` counts them: lower is better, costs in logarithm."""
    pairs = zip(objectives, values, strict=True)
    return tuple(objective.loss(math.log(value) if objective.scale == "log" else value) for objective, value in pairs)


def reference_point(trials: Sequence[Trial], objectives: Sequence[Objective]) -> NDArray[np.float64] | None:
    """The point that a study's hypervolume is counted from [objectives], as `scaled` counts; None before the uncompressed trial."""
    outcome = next((trial.outcome for trial in trials if trial.label == UNCOMPRESSED and trial.outcome is not None), None)
    if outcome is None:
        return None
    values = scaled(read_values(objectives, outcome), objectives)
    margins = (math.log(COST_MARGIN) if objective.scale == "log" else QUALITY_MARGIN for objective in objectives)
    return np.array([value + margin for value, margin in zip(values, margins, strict=True)], dtype=np.float64)


class Volume:
    """The hypervolume of a study so far: of its complete trials that keep the budgets. It remembers what it has seen."""

    def __init__(self, objectives: Sequence[Objective], budgets: Sequence[Budget] = ()) -> None:
        self._objectives = tuple(objectives)
        self._budgets = tuple(budgets)
        self._seen: set[int] = set()
        self._front = np.empty((0, len(self._objectives)))
        self._reference: NDArray[np.float64] | None = None
        self._volume: float | None = None

    def of(self, trials: Sequence[Trial]) -> float | None:
        """Of all trials of the study, in any state; None until the uncompressed model was measured.

        Each call gets the trials of the call before and more. What has been seen costs nothing but a look at its number.
        """
        fresh = [trial for trial in trials if trial.outcome is not None and trial.number not in self._seen]
        if fresh:
            self._seen.update(trial.number for trial in fresh)
            found = [
                scaled(read_values(self._objectives, trial.outcome), self._objectives)
                for trial in fresh
                if trial.outcome is not None and is_feasible(self._budgets, trial.outcome)
            ]
            points = np.array([*self._front.tolist(), *found]).reshape(-1, len(self._objectives))
            self._front = points[non_dominated(points)]
            self._reference = self._reference if self._reference is not None else reference_point(fresh, self._objectives)
            if self._reference is not None:
                self._volume = hypervolume(self._front, self._reference)
        return self._volume
