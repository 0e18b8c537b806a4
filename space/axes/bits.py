"""Axis `bits`: the average bit-width, spread over the layers by the exact solver so that the summed sensitivity is least."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from paredown.space.axes.base import Axis
from paredown.space.axes.bit_rules import FULL_BITS, NO_RULES, BitRules
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.cost import reduced_bytes
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.knobs import FloatKnob, Knob
from paredown.space.reduced import original_path, reduce_inventory
from paredown.space.solver import solve

Budget = Literal["bits", "bytes"]
Table = NDArray[np.float64]
Survivors = Callable[[Configuration], Mapping[str, int]]


class BitsAxis(Axis):
    """Knob `bits.average` in [low, high]: the mean bit-width over the weights that are kept and whose width is free, at most.

    `sensitivity` is [layers, widths], float64, one row per path of `paths`, one column per bit-width of `choices`; lower is
    better (the KL table). Layers of dropped blocks take no part; narrowed and factorized ones count what is left of them.
    `rules`: floors, fixed widths and blocks of one width. `corrected`: tables that replace the sensitivities around an average (that of
    the nearest average holds; see `paredown.trials.resolving`).

    What the average limits is chosen by `budget`:
    - "bytes": the stored bytes, scales and masks included, are at most what they would be if every free layer had the average
      width, read off a straight line between the two neighbouring bit-widths. `survivors` says how many weights of each layer of the
      compressed model stay where it is pruned; without it a layer is taken to lose its group's share.
    - "bits", Eq. 8 of the lossless 4-bit Conformer paper: sum of N_i * n_i <= average * sum of N_i, nominal bits, zeros counted.

    Where fewer blocks make the floors weigh more than the average allows, every layer takes its floor.
    """

    name: ClassVar[str] = "bits"
    stage: ClassVar[int] = 4

    def __init__(
        self,
        inventory: Inventory,
        paths: Sequence[str],
        choices: Sequence[int],
        sensitivity: Table,
        low: float,
        high: float,
        budget: Budget = "bytes",
        rules: BitRules = NO_RULES,
        corrected: Mapping[float, Table] | None = None,
        survivors: Survivors | None = None,
    ) -> None:
        unknown = [path for path in paths if path not in inventory.by_path]
        if unknown:
            raise ValueError(f"sensitivities must belong to layers of the model, got {unknown[0]!r}")
        if list(choices) != sorted(set(choices)) or not choices:
            raise ValueError(f"bit-widths to choose from must be different and ascending, got {tuple(choices)}")
        for table in (sensitivity, *(corrected or {}).values()):
            if table.shape != (len(paths), len(choices)):
                raise ValueError(f"sensitivity must have the shape {(len(paths), len(choices))} [layers, widths], got {table.shape}")
        if not choices[0] <= low <= high <= choices[-1]:
            raise ValueError(f"average bits must lie in [{choices[0]}, {choices[-1]}], got [{low}, {high}]")
        rules.check(inventory)
        self.inventory, self.choices, self.budget, self.rules = inventory, tuple(choices), budget, rules
        self.fixed = {layer.path: bits for layer in inventory.layers if (bits := rules.fixed_of(layer)) is not None}
        rows = [row for row, path in enumerate(paths) if path not in self.fixed]
        if not rows:
            raise ValueError("bits must leave a layer free to choose, got every one fixed")
        self.layers = tuple(inventory.by_path[paths[row]] for row in rows)
        self.sensitivity = np.asarray(sensitivity, dtype=np.float64)[rows]
        self.corrected = {average: np.asarray(table, dtype=np.float64)[rows] for average, table in sorted((corrected or {}).items())}
        self._floors = np.array([self._floor(layer) for layer in self.layers])
        self._survivors = survivors
        self._knob = FloatKnob(f"{self.name}.average", low, high)
        self._check_reachable(low)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with the best bit-width of every kept layer at this average, and the fixed ones."""
        average = float(values[self._knob.name])
        rows = [row for row, layer in enumerate(self.layers) if is_kept(layer.path, configuration)]
        bits = {path: width for path, width in configuration.bits if path not in self.fixed}
        bits |= {path: width for path, width in self.fixed.items() if width != FULL_BITS and is_kept(path, configuration)}
        if rows:
            bits |= self._chosen(rows, average, configuration)
        kernels = tuple((path, kernel) for path, kernel in configuration.kernels if path in bits)
        return replace(configuration, bits=tuple(bits.items()), kernels=kernels)

    def lowest(self) -> dict[str, float | int]:
        return {self._knob.name: self._knob.low}

    def describe(self) -> dict[str, Any]:
        """The range, the bit-widths to choose from, what the average limits, the rules, and a digest of the tables with their paths."""
        digest = hashlib.sha256("\n".join(layer.path for layer in self.layers).encode() + self.sensitivity.astype("<f8").tobytes())
        for average, table in self.corrected.items():
            digest.update(np.float64(average).astype("<f8").tobytes() + table.astype("<f8").tobytes())
        table_of = {"bits.choices": list(self.choices), "bits.budget": self.budget, "bits.sensitivity": digest.hexdigest()}
        return super().describe() | table_of | self.rules.describe()

    def _chosen(self, rows: Sequence[int], average: float, configuration: Configuration) -> dict[str, int]:
        """The best width of every free layer that is kept; layers that share a width are one row of the solver's problem."""
        layers = [self.layers[row] for row in rows]
        sizes = self._sizes(layers, configuration)
        shares = [self.rules.share_of(layer) for layer in layers]
        places = {share: place for place, share in enumerate(dict.fromkeys(shares))}
        owner = np.array([places[share] for share in shares])
        costs, summed = np.zeros((len(places), len(self.choices))), np.zeros((len(places), len(self.choices)), np.int64)
        floors = np.zeros(len(places), np.int64)
        np.add.at(costs, owner, self._table(average)[rows])
        np.add.at(summed, owner, sizes)
        np.maximum.at(floors, owner, self._floors[rows])
        columns = np.maximum(np.arange(len(self.choices)), floors[:, None])  # a width below the floor stands for the floor itself
        costs, summed = np.take_along_axis(costs, columns, 1), np.take_along_axis(summed, columns, 1)
        budget = max(self._limit(sizes, Fraction(average)), int(summed.min(axis=1).sum()))
        chosen = columns[np.arange(len(places)), solve(costs, summed, budget).choice]
        return {layer.path: self.choices[chosen[place]] for layer, place in zip(layers, owner, strict=True)}

    def _table(self, average: float) -> Table:
        """The sensitivities at this average: those that were corrected nearest to it."""
        if not self.corrected:
            return self.sensitivity
        return self.corrected[min(self.corrected, key=lambda anchor: (abs(anchor - average), anchor))]

    def _floor(self, layer: LayerInfo) -> int:
        least = self.rules.least_of(layer)
        if least > self.choices[-1]:
            raise ValueError(f"least bits must lie within the bit-widths to choose from, {self.choices}, got {least} for {layer.path}")
        return next(column for column, bits in enumerate(self.choices) if bits >= least)

    def _check_reachable(self, low: float) -> None:
        sizes = self._sizes(self.layers, Configuration())
        floor = int(sizes[np.arange(len(sizes)), self._floors].sum())
        if floor > self._limit(sizes, Fraction(low)):
            least = float(np.interp(floor, sizes.sum(axis=0), self.choices))
            raise ValueError(f"average bits must be at least {least:.3f}, what the least bits of all layers come to, got {low}")

    def _limit(self, sizes: NDArray[np.int64], average: Fraction) -> int:
        """The summed size of one average width for all, between its two neighbours by a straight line; exact, no rounding up."""
        totals = [int(total) for total in sizes.sum(axis=0)]
        upper = next(column for column, bits in enumerate(self.choices) if bits >= average)
        if self.choices[upper] == average:
            return totals[upper]
        lower = upper - 1
        share = (average - self.choices[lower]) / (self.choices[upper] - self.choices[lower])
        return floor(totals[lower] + share * (totals[upper] - totals[lower]))

    def _sizes(self, layers: Sequence[LayerInfo], configuration: Configuration) -> NDArray[np.int64]:
        """Nominal bits or stored bytes, at every width, of what the configuration leaves of every layer, [layers, widths]."""
        parts: dict[str, list[LayerInfo]] = {}
        for part in reduce_inventory(self.inventory, configuration).layers:
            parts.setdefault(original_path(part.path), []).append(part)
        if self.budget == "bits":
            weights = np.array([sum(part.weights for part in parts[layer.path]) for layer in layers], dtype=np.int64)
            return np.multiply.outer(weights, np.array(self.choices, dtype=np.int64))
        survive = self._survivors(configuration) if self._survivors is not None else _even_survivors(parts, configuration)
        granularity = configuration.scheme.granularity
        rows = []
        for layer in layers:
            own = parts[layer.path]
            left = [survive.get(part.path) for part in own]
            rows.append([reduced_bytes(own, bits, left, granularity) for bits in self.choices])
        return np.array(rows, dtype=np.int64)


def _even_survivors(parts: Mapping[str, Sequence[LayerInfo]], configuration: Configuration) -> dict[str, int]:
    """Survivors where every layer loses its group's share; layers of groups that are not pruned are absent."""
    shares, every = configuration.sparsity_of, [part for own in parts.values() for part in own]
    return {part.path: part.weights - round(shares[part.group] * part.weights) for part in every if part.group in shares}
