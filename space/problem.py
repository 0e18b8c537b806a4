"""The solver's problem, checked and reduced: undominated choices of every layer, in the largest unit that divides all sizes."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from paredown.space.relaxation import Choices, Floats, Integers


@dataclass(frozen=True)
class Allocation:
    """`choice[i]` is the column taken in row i; `size` is in the unit of the sizes that were given."""

    choice: tuple[int, ...]
    sensitivity: float
    size: int


@dataclass(frozen=True, eq=False)
class Problem:
    """One width is to be chosen for every layer: `costs` and `sizes` [layers, widths], lower is better of both.

    `growth` [layers, widths] is what every choice has above the layer's smallest one, in units of `unit`; `least` is the size of the
    smallest allocation. Reduced sizes and growths differ by a constant, so that an allocation is the same in both.
    """

    costs: Floats
    sizes: Integers
    growth: Integers
    unit: int
    least: int

    @classmethod
    def of(cls, sensitivity: Floats, sizes: Integers) -> Self:
        """Raises ValueError unless both are tables [layers, widths], of finite numbers and of integers, none of them negative."""
        costs, weights = np.asarray(sensitivity, dtype=np.float64), np.asarray(sizes)
        if costs.ndim != 2 or costs.shape != weights.shape or not costs.shape[1]:
            raise ValueError(f"sensitivities and sizes must be tables of one shape [layers, widths], got {costs.shape} and {weights.shape}")
        if not np.issubdtype(weights.dtype, np.integer):
            raise ValueError(f"sizes must be integers, got {weights.dtype}")
        if weights.size and weights.min() < 0:
            raise ValueError(f"sizes must not be negative, got {weights.min()}")
        sound = np.isfinite(costs) & (costs >= 0)
        if not sound.all():
            raise ValueError(f"sensitivities must be finite and not negative, got {costs[~sound].flat[0]}")
        weights = weights.astype(np.int64)
        growth = weights - weights.min(axis=1, keepdims=True)
        unit = max(1, int(np.gcd.reduce(growth, axis=None))) if growth.size else 1
        return cls(costs, weights, growth // unit, unit, int(weights.min(axis=1).sum()))

    def choices(self) -> list[Choices]:
        """The undominated choices of every layer, sizes as growth."""
        columns = np.arange(self.costs.shape[1])
        return [Choices.of(size, cost, columns) for size, cost in zip(self.growth, self.costs, strict=True)]

    def room(self, budget: int) -> int:
        """Units that a budget leaves above the smallest allocation; raises ValueError, saying the smallest size, if it leaves none."""
        if budget < self.least:
            raise ValueError(f"the budget must be at least {self.least}, the smallest reachable size, got {budget}")
        return (int(budget) - self.least) // self.unit

    def allocation(self, columns: list[int] | tuple[int, ...]) -> Allocation:
        """What these columns, one a row, come to."""
        rows = np.arange(len(self.costs))
        chosen = np.array(columns, dtype=np.int64)
        return Allocation(tuple(int(c) for c in columns), float(self.costs[rows, chosen].sum()), int(self.sizes[rows, chosen].sum()))
