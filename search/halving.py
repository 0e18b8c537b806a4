"""Successive halving: who of those that were trained equally long is worth training longer.

Asynchronous: nobody waits for a rung to fill. Whenever the best 1 / eta of those that completed a rung hold one that was not promoted yet,
it is; the highest rung is looked at first. So the choice is a function of what is complete, and a study can stop and go on at any trial.
Source: A System for Massively Parallel Hyperparameter Tuning (Li et al., 2020, Algorithm 2); with several objectives, non-dominated
sorting ranks a rung, as in Multi-objective Asynchronous Successive Halving (Schmucker et al., 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paredown.search.front import non_dominated


@dataclass(frozen=True)
class Contestant:
    """A trial that completed a rung.

    `losses`: of every objective, quality first, lower is better. `violation`: by how much budgets are missed that training cannot mend, 0
    where none is. `promoted`: whether it was trained longer already, or cannot be.
    """

    trial: int
    losses: tuple[float, ...]
    violation: float = 0.0
    promoted: bool = False


def rank(contestants: Sequence[Contestant]) -> tuple[Contestant, ...]:
    """Best first: those within the budgets, front by front and on each front by quality; then the others by what they miss."""
    within = [each for each in contestants if each.violation <= 0]
    beyond = sorted((each for each in contestants if each.violation > 0), key=lambda each: (each.violation, each.losses, each.trial))
    ranked: list[Contestant] = []
    while within:
        keep = non_dominated(np.array([each.losses for each in within], dtype=np.float64)).tolist()
        front = [each for each, on in zip(within, keep, strict=True) if on]
        ranked += sorted(front, key=lambda each: (each.losses[0], each.trial))
        within = [each for each, on in zip(within, keep, strict=True) if not on]
    return (*ranked, *beyond)


def find_promotable(rungs: Sequence[Sequence[Contestant]], eta: int) -> tuple[tuple[int, Contestant], ...]:
    """(rung, contestant) of all that may be trained longer now, in the order in which they should be.

    `rungs`: those that completed each rung, promoted ones among them; from the last one nobody is promoted, and nobody who misses a budget
    that training cannot mend. Raises ValueError unless `eta` is at least 2.
    """
    if eta < 2:
        raise ValueError(f"eta must be at least 2, got {eta}")
    found = []
    for rung in reversed(range(len(rungs) - 1)):
        best = rank(rungs[rung])[: len(rungs[rung]) // eta]
        found += [(rung, each) for each in best if not each.promoted and each.violation <= 0]
    return tuple(found)
