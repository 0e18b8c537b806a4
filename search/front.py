"""The front: the trials no other trial dominates, and which of them measurements do not tell apart."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from paredown.profilers.comparison import require_one_target
from paredown.search.budget import Budget, is_feasible
from paredown.search.objective import Objective, losses, read_values
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial


@dataclass(frozen=True)
class FrontPoint:
    """A complete trial with one value per objective, in the order and the units of the objectives.

    `indistinguishable`: numbers of the trials of the front that it is not shown to beat in anything, see `find_indistinguishable`.
    """

    trial: Trial
    values: tuple[float, ...]
    feasible: bool
    on_front: bool
    indistinguishable: tuple[int, ...] = ()

    def to_dict(self, objectives: Sequence[Objective]) -> dict[str, Any]:
        """The stable JSON form; values by name of the objective, and under `estimated` the names of those that are estimates, if any."""
        assert self.trial.outcome is not None  # it is complete
        estimated = [objective.name for objective in objectives if objective.name in self.trial.outcome.estimated]
        value = {
            "trial": self.trial.number,
            "values": {objective.name: value for objective, value in zip(objectives, self.values, strict=True)},
            "feasible": self.feasible,
            "on_front": self.on_front,
            "indistinguishable": list(self.indistinguishable),
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
    keep: NDArray[np.bool_] = moocore.is_nondominated(points, keep_weakly=True)
    return keep


def make_front(trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget] = ()) -> tuple[FrontPoint, ...]:
    """All complete trials in their order, each with whether it keeps the budgets and whether it lies on the front of all.

    Raises BadInput where an objective was measured on more than one target.
    """
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    check_targets(trials, objectives)
    places = rank_outcomes([outcome for _, outcome in complete], objectives)
    numbers = [trial.number for trial, _ in complete]
    return tuple(
        FrontPoint(trial, each.values, is_feasible(budgets, outcome), each.on_front, tuple(numbers[row] for row in each.indistinguishable))
        for (trial, outcome), each in zip(complete, places, strict=True)
    )


def check_targets(trials: Sequence[Trial], objectives: Sequence[Objective]) -> None:
    """Raises BadInput where an objective was measured on more than one target."""
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    for objective in objectives:
        named = ((f"trial {trial.number}", outcome.measurement_of.get(objective.name)) for trial, outcome in complete)
        require_one_target(objective.name, ((owner, figure) for owner, figure in named if figure is not None))


@dataclass(frozen=True)
class Place:
    """Where an outcome stands among others. `indistinguishable`: rows of those of the front that it is not shown to beat in anything."""

    values: tuple[float, ...]
    on_front: bool
    indistinguishable: tuple[int, ...]


def rank_outcomes(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> tuple[Place, ...]:
    """Every outcome's values, whether it lies on the front of all, and what it cannot be told apart from there."""
    values = [read_values(objectives, outcome) for outcome in outcomes]
    points = np.array([losses(objectives, row) for row in values], dtype=np.float64).reshape(len(values), len(objectives))
    front = np.flatnonzero(non_dominated(points)).tolist()
    near = find_indistinguishable([outcomes[row] for row in front], objectives)
    alike = {row: tuple(front[index] for index in rows) for row, rows in zip(front, near, strict=True)}
    return tuple(Place(row_values, row in alike, alike.get(row, ())) for row, row_values in enumerate(values))


def find_indistinguishable(front: Sequence[Outcome], objectives: Sequence[Objective]) -> list[tuple[int, ...]]:
    """For every point p of a front those points q of it, by index, that p is not shown to beat in anything.

    p is shown to beat q in an objective where its value is better and the 95 % intervals of the two do not meet; a figure without an
    interval (bytes) is exact, and then any difference shows it. No point of a front dominates another one, so q is somewhere better
    than p, or equal; where p in turn is nowhere shown to be better, what put p on the front beside q may be noise: measured again, q
    might dominate it. That q is listed at p does not list p at q: q may be smaller for sure. Two intervals that do not meet are stronger
    evidence than a test of the difference at 5 %, so a mark is given rather too often than too seldom.
    """
    if not front:
        return []
    ends = np.array([[_ends(objective, outcome) for objective in objectives] for outcome in front])
    best, worst = ends[:, :, 0], ends[:, :, 1]  # as losses [points, objectives]: the interval's lower and upper end
    found = []
    for row in range(len(front)):
        beats = (worst[row] < best).any(axis=1)  # p's worst is better than q's best
        beats[row] = True
        found.append(tuple(np.flatnonzero(~beats).tolist()))
    return found


def _ends(objective: Objective, outcome: Outcome) -> tuple[float, float]:
    """Both ends of a figure's interval as losses, ascending; an interval that lies beside its value is stretched to hold it."""
    value, around = outcome.value(objective.name), outcome.measurement_of[objective.name].ci95
    turned = [objective.loss(end) for end in (value, *(around or ()))]
    return min(turned), max(turned)
