"""By how much trials miss the budgets: what is left to say, and to choose from, where nothing keeps them all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paredown.search.budget import Budget, violations
from paredown.search.front import non_dominated
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial
from paredown.search.units import format_value


@dataclass(frozen=True)
class Miss:
    """A budget that is missed. `value`: in the budget's unit; `beyond`: how far it lies behind the limit, above 0, in the same unit."""

    budget: Budget
    value: float
    beyond: float

    def __str__(self) -> str:
        """By how much, as "size 1 MB above"."""
        side = "above" if self.budget.direction == "minimize" else "below"
        return f"{self.budget.name} {format_value(float(f'{self.beyond:.3g}'), self.budget.unit)} {side}"

    @property
    def told(self) -> str:
        """With the value, as "size is 4 MB, 1 MB above"."""
        value, by = format_value(self.value, self.budget.unit), str(self).removeprefix(f"{self.budget.name} ")
        return f"{self.budget.name} is {value}, {by}"


def misses(budgets: Sequence[Budget], outcome: Outcome) -> tuple[Miss, ...]:
    """Those budgets that are missed, in their order; one whose measure was not taken, as of a stopped trial, is not among them."""
    known = outcome.measurement_of
    values = ((budget, outcome.value(budget.measure)) for budget in budgets if budget.measure in known)
    return tuple(Miss(budget, value, abs(value - budget.limit)) for budget, value in values if budget.violation(value) > 0)


def total_violation(budgets: Sequence[Budget], outcome: Outcome) -> float:
    """All misses together, each in units of its budget's scale; 0 where every budget is kept."""
    return sum(max(0.0, violation) for violation in violations(budgets, outcome))


def least_violating(trials: Sequence[Trial], budgets: Sequence[Budget]) -> tuple[Trial, ...]:
    """The complete trials that no other one brings nearer to every budget, those first that miss least in all.

    Where a trial keeps all budgets, only such trials are among them.
    """
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    missed = np.array([violations(budgets, outcome) for _, outcome in complete], dtype=np.float64).reshape(len(complete), len(budgets))
    missed = np.maximum(missed, 0.0)
    if not missed.size:
        return tuple(trial for trial, _ in complete)
    keep = np.flatnonzero(non_dominated(missed)).tolist()
    ranked = sorted(keep, key=lambda row: (missed[row].sum(), complete[row][0].number))
    return tuple(complete[row][0] for row in ranked)


def nearest_to(budget: Budget, trials: Sequence[Trial]) -> tuple[Trial, float] | None:
    """The trial that comes nearest to one budget and its value, trials that were stopped early among them; None where no one has it."""
    found = []
    for trial in trials:
        outcome = trial.outcome or trial.partial
        if outcome is not None and budget.measure in outcome.measurement_of:
            value = outcome.value(budget.measure)
            found.append((budget.violation(value), trial.number, trial, value))
    return min(found, key=lambda entry: entry[:2])[2:] if found else None
