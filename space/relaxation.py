"""Bounds on how well layers that are still open can be allocated: the linear relaxation of the solver's problem.

The undominated choices of one layer form a falling staircase of (size, cost); its lower convex hull is what a layer would offer
if a choice could be bought in part. Bought over all layers in the order of cost saved per unit of size, hull steps give the
least cost any allocation of a size can have, and every whole number of them is an allocation that exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Choices:
    """The choices of one layer that no other choice of it beats: `size` strictly grows, `cost` strictly falls.

    `column` names each choice by its column in the problem's table; `hull` holds the positions that lie on the lower hull.
    """

    size: Integers
    cost: Floats
    column: Integers
    hull: Integers

    @classmethod
    def of(cls, size: Integers, cost: Floats, column: Integers) -> Self:
        """Undominated choices among these; of equal ones the first column is kept."""
        order = np.lexsort((column, cost, size))
        best_so_far = np.minimum.accumulate(np.concatenate(([np.inf], cost[order])))
        kept = order[cost[order] < best_so_far[:-1]]
        return cls(size[kept], cost[kept], column[kept], _lower_hull(size[kept], cost[kept]))

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """This layer with the other choices taken away."""
        return self if kept.all() else type(self).of(self.size[kept], self.cost[kept], self.column[kept])


def _lower_hull(size: Integers, cost: Floats) -> Integers:
    """Positions of the lower convex hull, by growing size: from each corner on, the steepest fall comes next."""
    hull = [0]
    while hull[-1] < len(size) - 1:
        corner = hull[-1]
        slopes = (cost[corner + 1 :] - cost[corner]) / (size[corner + 1 :] - size[corner])
        hull.append(corner + 1 + len(slopes) - 1 - int(np.argmin(slopes[::-1])))
    return np.array(hull)


@dataclass(frozen=True)
class Relaxation:
    """Several layers relaxed together.

    `size` and `cost` [steps + 1] are the totals before the first and after each whole hull step, from the smallest allocation on.
    `growth` in size and `saving` in cost [steps] are what each step changes, by falling saving per growth; `layer` [steps] says
    whose step it is.
    """

    layers: tuple[Choices, ...]
    size: Integers
    cost: Floats
    growth: Integers
    saving: Floats
    layer: Integers

    @classmethod
    def of(cls, layers: Sequence[Choices]) -> Self:
        """The relaxation of these layers."""
        owner = np.repeat(np.arange(len(layers)), [len(layer.hull) - 1 for layer in layers])
        growth = np.concatenate([np.diff(layer.size[layer.hull]) for layer in layers] or [np.zeros(0, np.int64)])
        saving = np.concatenate([-np.diff(layer.cost[layer.hull]) for layer in layers] or [np.zeros(0)])
        # Rounding must not put a layer's second step before its first where their slopes are all but equal.
        falls = [np.maximum.accumulate(np.diff(layer.cost[layer.hull]) / np.diff(layer.size[layer.hull])) for layer in layers]
        order = np.argsort(np.concatenate(falls or [np.zeros(0)]), kind="stable")
        return cls._from_steps(tuple(layers), growth[order], saving[order], owner[order])

    @classmethod
    def _from_steps(cls, layers: tuple[Choices, ...], growth: Integers, saving: Floats, owner: Integers) -> Self:
        size = np.concatenate(([0], np.cumsum(growth))) + sum(int(layer.size[0]) for layer in layers)
        # Summed from the cheap end: only additions, so the small costs of ample room keep their relative precision.
        cost = np.cumsum(np.concatenate(([sum(float(layer.cost[-1]) for layer in layers)], saving[::-1])))[::-1]
        return cls(layers, size, cost, growth, saving, owner)

    def without_first(self) -> Self:
        """The relaxation of all layers but the first."""
        kept = self.layer > 0
        return self._from_steps(self.layers[1:], self.growth[kept], self.saving[kept], self.layer[kept] - 1)

    def price(self, room: int) -> float:
        """Cost saved by the next unit of size at this room; 0 where every step fits."""
        steps = int(self.whole_steps(np.array(room)))
        return float(self.saving[steps] / self.growth[steps]) if 0 <= steps < len(self.growth) else 0.0

    def bound(self, room: Integers) -> Floats:
        """Least cost that any allocation of size at most `room` could have; infinite where none is so small."""
        cost: Floats = np.interp(-room, -self.size[::-1], self.cost[::-1])  # from the cheap end, for precision as above
        return np.where(room < self.size[0], np.inf, cost)

    def whole_steps(self, room: Integers) -> Integers:
        """How many hull steps fit into each room, one after the other; -1 where not even the smallest allocation does."""
        return np.searchsorted(self.size, room, side="right") - 1

    def columns(self, steps: int) -> list[int]:
        """The column of every layer after so many steps."""
        taken = np.bincount(self.layer[:steps], minlength=len(self.layers))
        return [int(layer.column[layer.hull[count]]) for layer, count in zip(self.layers, taken, strict=True)]
