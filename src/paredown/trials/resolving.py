"""Solving again: the solver's own choice is measured, the additive table corrected around it, and the average solved anew.

Summed sensitivities (Eq. 8 of the lossless 4-bit Conformer paper) take layers to be independent. They are not: errors of two layers add up
or cancel. So the divergence of the whole allocation is measured, and around it that of every layer at every width with all others as
they are: a table that is exact for a change of one layer, and worse the more layers move. A round therefore solves by it and by its
mixtures with the table that gave the allocation, of which the last moves few layers, and measures what they give. The best allocation
measured is kept, so the result is never worse than the first on the utterances that judge. These should be more than those of the tables:
a few utterances are soon learnt by heart.

A round costs one KL table, and a pass over the judging utterances for each mixture.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from paredown.analysis.allocation_kl import AllocationMeter
from paredown.analysis.kl import measure_kl
from paredown.analysis.resolved import Attempt, Resolved
from paredown.analysis.stages import Sample
from paredown.models.network import Network

Table = NDArray[np.float64]
Choose = Callable[[Table], Mapping[str, int]]
_SHARES = (1.0, 0.5, 0.25, 0.125)  # of the fresh table in what is solved


class Truth:
    """What can be measured of an allocation: the network's posteriors. `samples` make tables, by `judges` an allocation is kept."""

    def __init__(
        self,
        network: Network,
        samples: Sequence[Sample],
        judges: Sequence[Sample],
        sos: int,
        *,
        threads: int = 1,
        progress: Callable[[int, int], None] | None = None,
        unit: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._network, self._samples, self._sos = network, samples, sos
        self._threads, self._progress, self._unit = threads, progress, unit
        self._meter, self._judges = AllocationMeter(network, judges, sos, threads=threads, unit=unit), len(judges)

    @property
    def subset(self) -> str:
        """Which utterances were used, in words."""
        return f"tables on {len(self._samples)} utterances, judged on {self._judges}"

    def divergence(self, allocation: Mapping[str, int]) -> float:
        """Of the whole allocation."""
        return self._meter.divergence(allocation)

    def table_around(self, allocation: Mapping[str, int], paths: Sequence[str], widths: Sequence[int]) -> Table:
        """Of the allocation with one layer at one width instead, [layers, widths]."""
        return measure_kl(
            self._network,
            paths,
            self._samples,
            self._sos,
            widths=widths,
            around=allocation,
            threads=self._threads,
            progress=self._progress,
            unit=self._unit,
        )


def solve_again(
    table: Table, paths: Sequence[str], widths: Sequence[int], average: float, choose: Choose, truth: Truth, rounds: int
) -> Resolved:
    """The best allocation measured within so many rounds (0: the solver's first choice alone); a round without a better one is the last.

    `table` [layers, widths] is the additive one. `choose` solves a table at the average, under whatever constraints there are, and gives
    the width of every layer that is quantized; layers that are not among `paths` keep the widths it gives them. Equal arguments give
    equal results.
    """
    if rounds < 0:
        raise ValueError(f"rounds must be at least 0, got {rounds}")
    began = time.monotonic()
    search = _Search(table, paths, widths, choose, truth)
    for _ in range(rounds):
        if not search.round():
            break
    found = tuple(search.attempts)
    return Resolved(average, tuple(paths), tuple(widths), search.table, found, truth.subset, time.monotonic() - began)


class _Search:
    """The attempts so far; `table` is the one that gives the best of them."""

    def __init__(self, table: Table, paths: Sequence[str], widths: Sequence[int], choose: Choose, truth: Truth) -> None:
        self.paths, self.widths, self.choose, self.truth = tuple(paths), tuple(widths), choose, truth
        self.attempts: list[Attempt] = []
        self.table = table
        self.allocation = dict(choose(table))
        columns = self._columns(self.allocation)
        self.measured = truth.divergence(self.allocation)
        free = np.array([self.allocation.get(path, 0) in self.widths for path in self.paths])  # of fixed layers the table says nothing
        self.attempts.append(Attempt("additive", float(_along(table, columns)[free].sum()), self.measured, self._bits(self.allocation)))

    def round(self) -> bool:
        """Measure around the best allocation, solve by that in several ways; whether one of them is better."""
        before, columns = self.measured, self._columns(self.allocation)
        around = self.truth.table_around(self.allocation, self.paths, self.widths)
        fresh = around - around.min(axis=1, keepdims=True)
        last, still = self.table - self.table.min(axis=1, keepdims=True), float(_along(fresh, columns).sum())
        tried = {attempt.bits for attempt in self.attempts}
        for share in _SHARES:
            table = share * fresh + (1 - share) * last
            allocation = dict(self.choose(table))
            if self._bits(allocation) in tried:
                continue
            tried.add(self._bits(allocation))
            # The divergence before, plus what each layer's own move changes.
            predicted = before + float(_along(fresh, self._columns(allocation)).sum()) - still
            measured = self.truth.divergence(allocation)
            self.attempts.append(Attempt(f"{share:.3g} of the table around", predicted, measured, self._bits(allocation)))
            if measured < self.measured:
                self.table, self.allocation, self.measured = table, allocation, measured
        return self.measured < before

    def _bits(self, allocation: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(allocation.get(path, 0) for path in self.paths)

    def _columns(self, allocation: Mapping[str, int]) -> NDArray[np.int64]:
        """Column of every layer's width; of a layer that has none of them (a fixed one) the last."""
        places = {width: column for column, width in enumerate(self.widths)}
        return np.array([places.get(allocation.get(path, 0), len(self.widths) - 1) for path in self.paths], dtype=np.int64)


def _along(table: Table, columns: NDArray[np.int64]) -> Table:
    return np.take_along_axis(table, columns[:, None], axis=1)[:, 0]
