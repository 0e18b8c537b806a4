"""Every allocation that no other one beats in both size and sensitivity: the whole Pareto frontier of the solver's problem, exactly.

This is the frontier of Eq. 8's dynamic programme in the lossless 4-bit Conformer paper, for all budgets at once. Layers of one size
are summed first (their sums lie on a grid, so few survive), then the groups are summed one after the other, and of every partial sum
only those stay that no other one beats. What keeps this short where sizes are arbitrary is the linear relaxation: an allocation on the
frontier lies close above the relaxation's curve, in terms of size at most `slack` beside it, and so does every part of it, above the curve
of its own layers. The frontier is made window by window along the curve, each with a slack that is small at first. If what was found
lies within the slack everywhere, nothing that was dropped can be better, so the window is exact; otherwise it is made again with more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from paredown.space.problem import Allocation, Problem
from paredown.space.relaxation import Choices, Floats, Integers, Relaxation
from paredown.space.solver import solve

_WINDOW = 64  # hull steps in a window: more mean longer sums, fewer mean more of them
_DENSE = 8  # an array of all sizes on the grid is taken where one in so many is a point
_FIRST_SLACK, _WIDENING = 256, 3  # the first slack is this part of the largest step of the window
_ROUNDING = 1e-12  # relative, of a sum of up to a thousand positive float64 numbers, with room to spare
_LOOSENESS = 1e-9  # relative; what is kept within the slack may be a little more than that, never less


@dataclass(frozen=True, eq=False)
class Frontier:
    """`size` [points] strictly grows, `sensitivity` [points] strictly falls; each is the exact optimum of every budget up to the next size.

    Points carry no allocation: the solver finds that of one point again, in hundredths of a second.
    """

    size: Integers
    sensitivity: Floats
    _problem: Problem = field(repr=False)

    def __len__(self) -> int:
        return len(self.size)

    def index(self, budget: int) -> int:
        """The point that answers a budget: the last one that fits. Raises ValueError, saying the smallest size, if none does."""
        self._problem.room(budget)
        return int(np.searchsorted(self.size, budget, side="right")) - 1

    def allocation(self, index: int) -> Allocation:
        """An allocation that has the size and the sensitivity of a point."""
        return solve(self._problem.costs, self._problem.sizes, int(self.size[index]))

    def at(self, budget: int) -> Allocation:
        """The allocation of least summed sensitivity within a budget; raises ValueError like `index`."""
        return self.allocation(self.index(budget))


def frontier(sensitivity: Floats, sizes: Integers) -> Frontier:
    """The whole frontier; arguments [layers, widths] and errors as in `solve`. Points that differ by rounding alone are one."""
    problem = Problem.of(sensitivity, sizes)
    if not len(problem.costs):
        return Frontier(np.zeros(1, np.int64), np.zeros(1), problem)
    points = _Points.undominated(*map(np.concatenate, zip(*_windows(_groups(problem)), strict=True)))
    distinct = np.concatenate(([True], points.cost[1:] < points.cost[:-1] * (1 - _ROUNDING)))
    return Frontier(points.size[distinct] * problem.unit + problem.least, points.cost[distinct], problem)


@dataclass(frozen=True, eq=False)
class _Points:
    """Sums over some layers, none beating another: `size` strictly grows, `cost` strictly falls."""

    size: Integers
    cost: Floats

    @classmethod
    def undominated(cls, size: Integers, cost: Floats) -> "_Points":
        """Those that no other one beats. Sorted by value, position in the low bits: far quicker than by index, and as deterministic."""
        shift = max(1, (len(size) - 1).bit_length())
        if int(size.max(initial=0)) < 1 << (63 - shift):
            key = np.sort((size << shift) | np.arange(len(size)))
            size, cost = key >> shift, cost[key & ((1 << shift) - 1)]
        else:
            order = np.argsort(size, kind="stable")
            size, cost = size[order], cost[order]
        lower = np.concatenate(([True], cost[1:] < np.minimum.accumulate(cost)[:-1]))
        size, cost = size[lower], cost[lower]
        last = np.concatenate((size[1:] != size[:-1], [True]))  # of one size the cheapest comes last
        return cls(size[last], cost[last])

    def plus(self, other: "_Points", grid: int) -> "_Points":
        """All sums with the points of another; every size is a multiple of `grid`."""
        span = (int(self.size[-1]) - int(self.size[0])) // grid + 1
        if span <= _DENSE * len(self.size):
            return self._plus_on_grid(other, grid, span)
        return self.undominated((self.size[:, None] + other.size).ravel(), (self.cost[:, None] + other.cost).ravel())

    def _plus_on_grid(self, other: "_Points", grid: int, span: int) -> "_Points":
        """The same where most sizes of the grid are taken: an array of all of them needs no sorting."""
        own = np.full(span, np.inf)
        own[(self.size - self.size[0]) // grid] = self.cost
        starts = (other.size - other.size[0]) // grid
        best = np.full(span + int(starts[-1]), np.inf)
        for start, cost in zip(starts.tolist(), other.cost.tolist(), strict=True):
            part = best[start : start + span]
            np.minimum(part, own + cost, out=part)
        lower = np.flatnonzero(best < np.concatenate(([np.inf], np.minimum.accumulate(best)[:-1])))
        return _Points(lower * grid + self.size[0] + other.size[0], best[lower])

    def below(self, curve: "_Curve", slack: float) -> "_Points":
        near = self.cost <= curve.at(self.size, slack) * (1 + _LOOSENESS)
        return _Points(self.size[near], self.cost[near])


def _groups(problem: Problem) -> list[_Points]:
    """Sums over layers of the same sizes, the coarsest grid first."""
    groups: dict[bytes, _Points] = {}
    for row, layer in zip(problem.growth, problem.choices(), strict=True):
        own, key = _Points(layer.size, layer.cost), row.tobytes()
        groups[key] = groups[key].plus(own, 1) if key in groups else own
    return sorted(groups.values(), key=lambda points: -_grid(points))


def _grid(points: _Points) -> int:
    return int(np.gcd.reduce(points.size))


@dataclass(frozen=True)
class _Curve:
    """Part of a lower hull, [vertices] by growing size, drawn on beyond its ends at the slopes `before` and `behind`."""

    size: Floats
    cost: Floats
    before: float
    behind: float

    def at(self, sizes: Integers, slack: float) -> Floats:
        """The curve, moved by the slack to larger sizes."""
        size = sizes.astype(np.float64) - slack
        inside = np.interp(size, self.size, self.cost)
        early, late = np.maximum(self.size[0] - size, 0.0), np.maximum(size - self.size[-1], 0.0)
        with np.errstate(invalid="ignore"):
            ahead = np.where(early > 0, self.before * early, 0.0)
        return np.asarray(inside + ahead - self.behind * late)


def _windows(groups: Sequence[_Points]) -> Iterator[tuple[Integers, Floats]]:
    """Sizes and costs of the frontier, window by window; a point at a seam may come twice."""
    columns = [Choices.of(points.size, points.cost, np.arange(len(points.size))) for points in groups]
    whole = Relaxation.of(columns)
    slack = 0.0
    for first in range(0, max(1, len(whole.growth)), _WINDOW):
        window = _Window(groups, whole, first, min(first + _WINDOW, len(whole.growth)))
        slack = max(1.0, slack / _WIDENING, window.largest_step / _FIRST_SLACK)
        while (found := window.points(slack)) is None:
            slack *= _WIDENING
        yield found


class _Window:
    """The part of the frontier between two whole numbers of hull steps."""

    def __init__(self, groups: Sequence[_Points], whole: Relaxation, first: int, last: int) -> None:
        self.groups = groups
        self.low, self.high = int(whole.size[first]), int(whole.size[last])
        self.curves, self.own_curves = _curves(groups, whole, first, last)
        self.grids = np.gcd.accumulate([max(1, _grid(group)) for group in groups]).tolist()
        self.largest_step = float(whole.growth[first:last].max(initial=1))

    def points(self, slack: float) -> tuple[Integers, Floats] | None:
        """Sizes and costs of the window's points, None where more slack is needed to be sure of them."""
        sums = _Points(np.zeros(1, np.int64), np.zeros(1))
        for group, own, curve, grid in zip(self.groups, self.own_curves, self.curves, self.grids, strict=True):
            sums = sums.plus(group.below(own, slack), grid).below(curve, slack)
        start, stop = np.searchsorted(sums.size, self.low, side="right") - 1, np.searchsorted(sums.size, self.high, side="right")
        size, cost = sums.size[start:stop], sums.cost[start:stop]
        # Up to just below the next size a point is what is known; something better would have to lie above the curve there.
        sure = cost[:-1] <= self.curves[-1].at(size[1:] - 1, slack)
        return (size, cost) if sure.all() else None


def _curves(groups: Sequence[_Points], whole: Relaxation, first: int, last: int) -> tuple[list[_Curve], list[_Curve]]:
    """The window's hull of the first groups together, for each number of them, and of each group alone."""
    before = float(whole.saving[first] / whole.growth[first]) if first else np.inf
    behind = float(whole.saving[last - 1] / whole.growth[last - 1]) if last > first else 0.0
    starts, ends = whole.columns(first), whole.columns(last)
    owner, growth, saving = whole.layer[first:last], whole.growth[first:last], whole.saving[first:last]

    def curve(members: slice, steps: np.ndarray) -> _Curve:
        low = sum(int(group.size[start]) for group, start in zip(groups[members], starts[members], strict=True))
        least = sum(float(group.cost[end]) for group, end in zip(groups[members], ends[members], strict=True))
        # Summed from the cheap end: only additions, so that small costs keep their relative precision.
        cost = np.cumsum(np.concatenate(([least], saving[steps][::-1])))[::-1]
        return _Curve(low + np.concatenate(([0.0], np.cumsum(growth[steps]))), cost, before, behind)

    together = [curve(slice(0, index + 1), owner <= index) for index in range(len(groups))]
    alone = [curve(slice(index, index + 1), owner == index) for index in range(len(groups))]
    return together, alone
