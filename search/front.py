"""The front: the trials no other trial dominates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.comparison import require_one_target
from paredown.search.budget import Budget, is_feasible
from paredown.search.objective import Objective, losses, read_values
from paredown.search.trial import Trial


@dataclass(frozen=True)
class FrontPoint:
    """A complete trial with one value per objective, in the order and the units of the objectives."""

    trial: Trial
    values: tuple[float, ...]
    feasible: bool
    on_front: bool

    def to_dict(self, objectives: Sequence[Objective]) -> dict[str, Any]:
        """The stable JSON form; values by name of the objective, and under `estimated` the names of those that are estimates, if any."""
        assert self.trial.outcome is not None  # it is complete
        estimated = [objective.name for objective in objectives if objective.name in self.trial.outcome.estimated]
        value = {
            "trial": self.trial.number,
            "values": {objective.name: value for objective, value in zip(objectives, self.values, strict=True)},
            "feasible": self.feasible,
            "on_front": self.on_front,
            "configuration": json.loads(self.trial.configuration.to_json()),
        }
        return value | ({"estimated": estimated} if estimated else {})


def non_dominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other point dominates.

    `points`: [points, objectives], lower is better in every column. A point dominates another if it is nowhere worse and
    somewhere better; equal points do not dominate each other. Returns [points].
    """
    if points.ndim != 2:
        raise ValueError(f"points must be an array [points, objectives], got shape {points.shape}")
    keep = np.ones(len(points), dtype=bool)
    for index, point in enumerate(points):
        keep[index] = not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
    return keep


def make_front(trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget] = ()) -> tuple[FrontPoint, ...]:
    """All complete trials in their order, each with whether it keeps the budgets and whether it lies on the front of all.

    Raises BadInput where an objective was measured on more than one target.
    """
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    for objective in objectives:
        named = ((f"trial {trial.number}", outcome.measurement_of.get(objective.name)) for trial, outcome in complete)
        require_one_target(objective.name, ((owner, figure) for owner, figure in named if figure is not None))
    values = [read_values(objectives, outcome) for _, outcome in complete]
    points = np.array([losses(objectives, row) for row in values], dtype=np.float64).reshape(len(values), len(objectives))
    on_front = non_dominated(points).tolist()
    return tuple(
        FrontPoint(trial, row, is_feasible(budgets, outcome), on)
        for (trial, outcome), row, on in zip(complete, values, on_front, strict=True)
    )
