"""The exact solver behind average bits: one width for every layer, least summed sensitivity, total size within a budget.

This is Eq. 8 of the lossless 4-bit Conformer paper, a multiple-choice knapsack. Layers are added one after the other, and only
partial sums survive that no other one beats in both size and sensitivity (the Pareto frontier of the paper's dynamic
programme). Two bounds keep that frontier short: the linear relaxation of the layers still to come says how good a partial sum
can end at best, and the relaxation rounded down is an allocation that exists. A partial sum that cannot end better than the
best allocation known is dropped, so the answer stays exact. Sizes may be in any integer unit (bytes, nominal bits) and need
not grow with the width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paredown.space.problem import Allocation, Problem
from paredown.space.relaxation import Choices, Floats, Integers, Relaxation

# Partial sums that the first sweep keeps, and how much wider each next sweep is. A narrow sweep is quick and finds a good
# allocation, which prunes the next one; the first sweep that need not cut is exact.
_FIRST_LIMIT, _WIDENING = 256, 16
# Relative rounding that a sum of up to a thousand positive float64 numbers can carry, with room to spare.
_ROUNDING = 1e-12


def solve(sensitivity: Floats, sizes: Integers, budget: int) -> Allocation:
    """The allocation of least summed sensitivity whose summed size is at most `budget`.

    `sensitivity` and `sizes` are [layers, widths]; sensitivities are finite and not negative, lower is better. Of equally
    good allocations the smallest is taken. Raises ValueError on a malformed table, and on a budget that no allocation meets,
    saying the smallest size that one has.
    """
    problem = Problem.of(sensitivity, sizes)
    room = problem.room(budget)
    return problem.allocation(_Search(problem.choices(), room).run() if len(problem.costs) else ())


@dataclass(frozen=True)
class _Sums:
    """Partial sums over the first layers, none beating another: `size` strictly grows, `cost` strictly falls.

    `parent` and `pick` say which partial sum of one layer less each came from, and by which choice of the newest layer.
    """

    size: Integers
    cost: Floats
    parent: Integers
    pick: Integers


@dataclass(frozen=True)
class _Best:
    """The best allocation known: its totals, and the column of every layer in the order of the search."""

    cost: float
    size: int
    columns: tuple[int, ...]


class _Search:
    """One problem: undominated choices of every layer and the room there is, in units above the smallest allocation."""

    def __init__(self, layers: Sequence[Choices], room: int) -> None:
        self.layers = list(layers)
        self.room = room
        self.best = _Best(np.inf, 0, ())

    def run(self) -> tuple[int, ...]:
        """The column of every layer in the best allocation: sweeps, each wider than the last, until one has cut nothing off."""
        limit = _FIRST_LIMIT
        while not self._sweep(limit):
            self._drop_hopeless_choices()
            limit *= _WIDENING
        return self.best.columns

    def _sweep(self, limit: int) -> bool:
        """Add layer after layer to the partial sums, of which the `limit` most promising survive; whether these were always all."""
        rest = Relaxation.of(self.layers)
        zero = np.zeros(1, np.int64)
        stages, complete = [_Sums(zero, np.zeros(1), zero, zero)], True
        self._offer(stages, rest)
        for layer in self.layers:
            rest = rest.without_first()
            sums, uncut = self._extended(stages[-1], layer, rest, limit)
            complete &= uncut
            if not len(sums.size):
                break
            stages.append(sums)
            self._offer(stages, rest)
        return complete

    def _extended(self, sums: _Sums, layer: Choices, rest: Relaxation, limit: int) -> tuple[_Sums, bool]:
        """The partial sums over one layer more, and whether they are all that could matter."""
        size = (sums.size[:, None] + layer.size).ravel()
        cost = (sums.cost[:, None] + layer.cost).ravel()
        parent = np.repeat(np.arange(len(sums.size)), len(layer.size))
        pick = np.tile(np.arange(len(layer.size)), len(sums.size))
        bound = cost + rest.bound(self.room - size)
        could_tie = cost + rest.bound(self.best.size - 1 - size) <= self.best.cost * (1 + _ROUNDING)
        alive = np.flatnonzero((bound < self.best.cost * (1 - _ROUNDING)) | could_tie)
        alive = alive[np.lexsort((cost[alive], size[alive]))]
        best_so_far = np.minimum.accumulate(np.concatenate(([np.inf], cost[alive])))
        alive = alive[cost[alive] < best_so_far[:-1]]
        uncut = len(alive) <= limit
        if not uncut:
            alive = alive[np.sort(np.argpartition(bound[alive], limit)[:limit])]
        return _Sums(size[alive], cost[alive], parent[alive], pick[alive]), uncut

    def _offer(self, stages: Sequence[_Sums], rest: Relaxation) -> None:
        """Finish every partial sum by whole hull steps, and keep the best allocation that this gives."""
        sums = stages[-1]
        steps = rest.whole_steps(self.room - sums.size)
        cost = np.where(steps < 0, np.inf, sums.cost + rest.cost[steps])
        size = sums.size + rest.size[steps]
        index = int(np.lexsort((size, cost))[0])
        if (cost[index], size[index]) < (self.best.cost, self.best.size):
            columns = self._columns(stages, index) + rest.columns(int(steps[index]))
            self.best = _Best(float(cost[index]), int(size[index]), tuple(columns))

    def _columns(self, stages: Sequence[_Sums], index: int) -> list[int]:
        columns = []
        for sums, layer in zip(reversed(stages[1:]), reversed(self.layers[: len(stages) - 1]), strict=True):
            columns.append(int(layer.column[sums.pick[index]]))
            index = int(sums.parent[index])
        return columns[::-1]

    def _drop_hopeless_choices(self) -> None:
        """Take away every choice that costs, priced at the relaxation's slope, more than the best allocation leaves over."""
        relaxed = Relaxation.of(self.layers)
        price = relaxed.price(self.room)
        reduced = [layer.cost + price * layer.size for layer in self.layers]
        floor = [float(row.min()) for row in reduced]
        gap = self.best.cost - (sum(floor) - price * self.room) + _ROUNDING * sum(floor)
        self.layers = [layer.only(row - low <= gap) for layer, row, low in zip(self.layers, reduced, floor, strict=True)]
