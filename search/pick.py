"""One trial of the front, chosen by a rule within budgets."""

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.search.budget import Budget, violations
from paredown.search.confirmation import By, Confirmation, pick_confirmed
from paredown.search.front import make_front, non_dominated
from paredown.search.misses import misses, total_violation
from paredown.search.objective import Objective, losses, read_values
from paredown.search.trial import Trial

PICK_RULES = ("knee", "smallest", "fastest", "frugal", "best", "lossless")
# The start of the objective's name.
_DRIVEN_BY = {"smallest": "size_bytes", "fastest": "latency_ms@", "frugal": "energy_mj@", "best": "quality"}


def pick_trial(
    rule: str,
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    budgets: Sequence[Budget] = (),
    record: Confirmation | None = None,
    by: By | None = None,
) -> Trial:
    """The trial a rule picks from the front of those that keep the budgets.

    "knee": nearest to the ideal point; "smallest": fewest bytes; "fastest": least latency, on the first target; "frugal": least
    energy; "best": highest quality; "lossless": smallest of those that `record` confirms on *test* (`by`: fastest or frugalest instead,
    None as it was confirmed). Among equals the better quality decides, then the lower number.
    Raises BadInput on an unknown rule, a rule whose objective the study does not have, a study without a complete trial, and
    where no trial keeps the budgets (naming the nearest one and by how much it misses), or none of those is confirmed.
    """
    if rule not in PICK_RULES:
        near = get_close_matches(rule, PICK_RULES, n=1)
        raise BadInput(f"a pick is one of {', '.join(PICK_RULES)}; got {rule!r}" + (f"; did you mean {near[0]}?" if near else ""))
    if rule == "lossless":
        return pick_confirmed(record, trials, objectives, budgets, by)
    if by is not None:
        raise BadInput(f"an order by {by} goes with the pick lossless, got the pick {rule}")
    feasible = [point for point in make_front(trials, objectives, budgets) if point.feasible]
    if not feasible:
        raise BadInput(_nearest_miss(trials, budgets))
    values = np.array([point.values for point in feasible], dtype=np.float64).reshape(len(feasible), len(objectives))
    turned = np.array([losses(objectives, row) for row in values.tolist()]).reshape(values.shape)
    on_front = np.flatnonzero(non_dominated(turned))
    column = None if rule == "knee" else _column(rule, objectives)
    keys = ideal_distances(values[on_front], objectives) if column is None else turned[on_front, column]
    quality = [order for order, objective in enumerate(objectives) if objective.name == "quality"]
    tie = turned[on_front, quality[0]] if quality else np.zeros(len(on_front))
    rows = on_front.tolist()
    ranked = sorted((keys[order], tie[order], feasible[row].trial.number, row) for order, row in enumerate(rows))
    return feasible[ranked[0][3]].trial


def ideal_distances(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Distance of each point of a front to the ideal one; lower is better.

    `values`: [points, objectives] in the objectives' units. Each objective is scaled to [0, 1] over the points given, those with
    a logarithmic scale (costs) after taking the logarithm; an objective in which all points agree plays no part.
    Returns [points]. Source: the design's "Knee", the minimum-distance-to-utopia rule.
    """
    scaled = np.zeros(values.shape)
    for order, objective in enumerate(objectives):
        column = np.log(values[:, order]) if objective.scale == "log" else values[:, order]
        column = column if objective.direction == "minimize" else -column
        span = column.max() - column.min()
        if span > 0:
            scaled[:, order] = (column - column.min()) / span
    distances: NDArray[np.float64] = np.sqrt((scaled**2).sum(axis=1))
    return distances


def _column(rule: str, objectives: Sequence[Objective]) -> int:
    for order, objective in enumerate(objectives):
        if objective.name.startswith(_DRIVEN_BY[rule]):
            return order
    names = ", ".join(objective.name for objective in objectives)
    raise BadInput(f"pick {rule} needs an objective {_DRIVEN_BY[rule].rstrip('@')}; this study has {names}")


def _nearest_miss(trials: Sequence[Trial], budgets: Sequence[Budget]) -> str:
    """One line: which trial comes nearest to the budgets, and what it has where it misses."""
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    if not complete:
        return f"a pick needs a complete trial, this study has none among {len(trials)}"
    trial, outcome = min(complete, key=lambda pair: total_violation(budgets, pair[1]))
    parts = [miss.told for miss in misses(budgets, outcome)]
    limits = ", ".join(str(budget) for budget in budgets)
    return f"no trial keeps {limits}; nearest is trial {trial.number}: {' and '.join(parts)}"


def best_feasible(
    trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget]
) -> tuple[tuple[float, int] | None, ...]:
    """Best value so far of each objective among the trials that keep the budgets, with the trial's number; None where there is none."""
    complete = [(read_values(objectives, trial.outcome), trial.number, trial.outcome) for trial in trials if trial.outcome is not None]
    feasible = [(values, number) for values, number, outcome in complete if max(violations(budgets, outcome), default=0.0) <= 0]
    if not feasible:
        return (None,) * len(objectives)
    bests = []
    for order, objective in enumerate(objectives):
        values, number = min(feasible, key=lambda entry: (objective.loss(entry[0][order]), entry[1]))
        bests.append((values[order], number))
    return tuple(bests)
