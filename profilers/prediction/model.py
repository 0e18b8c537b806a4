"""What a network's latency is made of: costs of operations, fitted to a few measured runs, all of them at least zero.

Plain arrays: `terms` [runs, terms] says how much of everything a run does (calls, multiply-accumulates, numbers read, …) and the latency
is their sum, each times a cost that the target has. The fit makes *relative* errors small, so that short runs count as much as
long ones, and no cost is negative: whatever does more of anything is never predicted to be faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class CostModel:
    """Costs of the terms of one stage. `costs_ms`: of one unit of each term; `most`: the most of each that was profiled in a run."""

    terms: tuple[str, ...]
    costs_ms: tuple[float, ...]
    most: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.terms) == len(self.costs_ms) == len(self.most):
            raise ValueError(f"terms, costs and ranges must be as many, got {len(self.terms)}, {len(self.costs_ms)} and {len(self.most)}")
        if len(set(self.terms)) != len(self.terms):
            raise ValueError(f"terms must be named once each, got {self.terms}")
        for name, numbers in (("costs", self.costs_ms), ("ranges", self.most)):
            if not all(np.isfinite(number) and number >= 0 for number in numbers):
                raise ValueError(f"{name} must be finite and at least 0, got {numbers}")

    def predict(self, amounts: Mapping[str, float]) -> float:
        """Milliseconds of a run that does so much of every term. Raises ValueError for a term that was never profiled."""
        unknown = self.unknown(amounts)
        if unknown:
            raise ValueError(f"a latency can be predicted of what was profiled, {', '.join(self.terms)}; got {', '.join(unknown)}")
        return float(sum(cost * amounts.get(name, 0.0) for name, cost in zip(self.terms, self.costs_ms, strict=True)))

    def unknown(self, amounts: Mapping[str, float]) -> tuple[str, ...]:
        """Terms that were never profiled."""
        return tuple(sorted(name for name, amount in amounts.items() if amount > 0 and name not in self.terms))

    def outside(self, amounts: Mapping[str, float], margin: float) -> tuple[str, ...]:
        """Terms of which there is more than `margin` times the most that was profiled, those never profiled among them."""
        most = dict(zip(self.terms, self.most, strict=True))
        return tuple(sorted(name for name, amount in amounts.items() if amount > margin * most.get(name, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        return {"terms": list(self.terms), "costs_ms": list(self.costs_ms), "most": list(self.most)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Raises ValueError on a value that `to_dict` did not write."""
        if set(value) != {"terms", "costs_ms", "most"}:
            raise ValueError(f"a cost model has the keys terms, costs_ms and most; got {', '.join(sorted(value))}")
        return cls(tuple(value["terms"]), tuple(map(float, value["costs_ms"])), tuple(map(float, value["most"])))


def fit_costs(amounts: Sequence[Mapping[str, float]], measured_ms: Sequence[float]) -> CostModel:
    """Costs, all at least 0, whose predictions have the least sum of squared relative errors over these runs.

    A term that is absent from a run is 0 there; one that is 0 in all runs is left out. Raises ValueError without runs, where their
    numbers differ, and for a latency that is not above 0.
    Source: Lawson, Hanson, Solving Least Squares Problems (1974), chapter 23 (NNLS).
    """
    times = np.asarray(measured_ms, np.float64)
    if len(amounts) != len(times) or not len(times):
        raise ValueError(f"costs are fitted to one run or more, one latency each, got {len(amounts)} runs and {len(times)} latencies")
    if not (np.isfinite(times).all() and times.min() > 0):
        raise ValueError(f"measured latencies must be above 0, got {float(times.min())}")
    terms = tuple(sorted({name for run in amounts for name, amount in run.items() if amount > 0}))
    matrix = np.array([[run.get(name, 0.0) for name in terms] for run in amounts], np.float64)
    most = matrix.max(axis=0)
    costs, _ = nnls(matrix / most / times[:, None], np.ones(len(times)))
    return CostModel(terms, tuple((costs / most).tolist()), tuple(most.tolist()))


def left_out_errors(amounts: Sequence[Mapping[str, float]], measured_ms: Sequence[float], groups: Sequence[str]) -> Doubles:
    """Relative errors [runs], predicted / measured - 1, each predicted by a fit without the runs of its own group.

    NaN where what the group does was profiled in no other. Raises ValueError for fewer than two groups.
    """
    if len(set(groups)) < 2:
        raise ValueError(f"errors on left-out groups take two groups or more, got {sorted(set(groups))}")
    errors = np.full(len(amounts), np.nan)
    for group in sorted(set(groups)):
        inside = [index for index, other in enumerate(groups) if other == group]
        others = [index for index, other in enumerate(groups) if other != group]
        model = fit_costs([amounts[index] for index in others], [measured_ms[index] for index in others])
        for index in inside:
            if not model.unknown(amounts[index]):
                errors[index] = model.predict(amounts[index]) / measured_ms[index] - 1.0
    return errors
