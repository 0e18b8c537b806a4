"""Axis `bits`: the average bit-width, spread over the layers by the exact solver so that the summed sensitivity is least."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from paredown.space.axes.base import Axis
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.cost import layer_bytes
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.knobs import FloatKnob, Knob
from paredown.space.solver import solve

Budget = Literal["bits", "bytes"]


class BitsAxis(Axis):
    """Knob `bits.average` in [low, high]: the mean bit-width over the weights of the layers that are kept, at most.

    `sensitivity` is [layers, widths], float64, one row per path of `paths`, one column per bit-width of `choices`; lower is
    better (the KL table). Layers of dropped blocks take no part; weights set to zero by sparsity still count as weights, because
    how many each layer loses is known only once the group is ranked.

    What the average limits is chosen by `budget`:
    - "bits", Eq. 8 of the lossless 4-bit Conformer paper: sum of N_i * n_i <= average * sum of N_i, nominal bits.
    - "bytes": the stored bytes, scales and masks included, are at most what they would be if every kept layer had the average
      width, read off a straight line between the two neighbouring bit-widths. A layer is taken to lose its group's share of weights.
    """

    name: ClassVar[str] = "bits"
    stage: ClassVar[int] = 2

    def __init__(
        self,
        inventory: Inventory,
        paths: Sequence[str],
        choices: Sequence[int],
        sensitivity: NDArray[np.float64],
        low: float,
        high: float,
        budget: Budget = "bits",
    ) -> None:
        unknown = [path for path in paths if path not in inventory.by_path]
        if unknown:
            raise ValueError(f"sensitivities must belong to layers of the model, got {unknown[0]!r}")
        if list(choices) != sorted(set(choices)) or not choices:
            raise ValueError(f"bit-widths to choose from must be different and ascending, got {tuple(choices)}")
        if sensitivity.shape != (len(paths), len(choices)):
            raise ValueError(f"sensitivity must have the shape {(len(paths), len(choices))} [layers, widths], got {sensitivity.shape}")
        if not choices[0] <= low <= high <= choices[-1]:
            raise ValueError(f"average bits must lie in [{choices[0]}, {choices[-1]}], got [{low}, {high}]")
        self.layers = tuple(inventory.by_path[path] for path in paths)
        self.choices = tuple(choices)
        self.sensitivity = np.asarray(sensitivity, dtype=np.float64)
        self.budget: Budget = budget
        self._knob = FloatKnob(f"{self.name}.average", low, high)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with the best bit-width of every kept layer at this average."""
        rows = [row for row, layer in enumerate(self.layers) if is_kept(layer.path, configuration)]
        layers = [self.layers[row] for row in rows]
        average = Fraction(values[self._knob.name])
        sizes = self._nominal_bits(layers) if self.budget == "bits" else self._stored_bytes(layers, configuration)
        chosen = solve(self.sensitivity[rows], sizes, self._limit(sizes, average)).choice
        own = {layer.path for layer in self.layers}
        bits = {path: width for path, width in configuration.bits if path not in own}
        bits |= {layer.path: self.choices[column] for layer, column in zip(layers, chosen, strict=True)}
        return replace(configuration, bits=tuple(bits.items()))

    def lowest(self) -> dict[str, float | int]:
        return {self._knob.name: self._knob.low}

    def describe(self) -> dict[str, Any]:
        """The range, the bit-widths to choose from, what the average limits, and a digest of the sensitivities with their paths."""
        digest = hashlib.sha256("\n".join(layer.path for layer in self.layers).encode() + self.sensitivity.astype("<f8").tobytes())
        table = {"bits.choices": list(self.choices), "bits.budget": self.budget, "bits.sensitivity": digest.hexdigest()}
        return super().describe() | table

    def _limit(self, sizes: NDArray[np.int64], average: Fraction) -> int:
        """The summed size of one average width for all, between its two neighbours by a straight line; exact, no rounding up."""
        totals = [int(total) for total in sizes.sum(axis=0)]
        upper = next(column for column, bits in enumerate(self.choices) if bits >= average)
        if self.choices[upper] == average:
            return totals[upper]
        lower = upper - 1
        share = (average - self.choices[lower]) / (self.choices[upper] - self.choices[lower])
        return floor(totals[lower] + share * (totals[upper] - totals[lower]))

    def _nominal_bits(self, layers: Sequence[LayerInfo]) -> NDArray[np.int64]:
        weights = np.array([layer.weights for layer in layers], dtype=np.int64)
        return np.multiply.outer(weights, np.array(self.choices, dtype=np.int64))

    def _stored_bytes(self, layers: Sequence[LayerInfo], configuration: Configuration) -> NDArray[np.int64]:
        sparsity, granularity = configuration.sparsity_of, configuration.scheme.granularity
        rows = []
        for layer in layers:
            share = sparsity.get(layer.group)
            survivors = None if share is None else layer.weights - round(share * layer.weights)
            rows.append([layer_bytes(layer, bits, survivors, granularity) for bits in self.choices])
        return np.array(rows, dtype=np.int64).reshape(len(layers), len(self.choices))
