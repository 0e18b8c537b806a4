"""Axis `layers`: how many blocks of a stack stay; which ones follows from the greedy order of removal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.configuration import Configuration
from paredown.space.inventory import block_of
from paredown.space.knobs import IntKnob, Knob


def is_kept(path: str, configuration: Configuration) -> bool:
    """Whether the layer or parameter of this ESPnet path lies outside every block that the configuration drops."""
    block = block_of(path)
    return block is None or block[0] not in configuration.keep_of or block[1] in configuration.keep_of[block[0]]


class LayersAxis(Axis):
    """Knob `layers.<stack>`: number of blocks kept.

    `order` are block indices in the order of their removal (iterative layer pruning, IWSLT 2025 paper, 3.3), of a stack of
    `blocks` blocks; keeping k of them removes the first `blocks - k`.
    """

    name: ClassVar[str] = "layers"
    stage: ClassVar[int] = 0

    def __init__(self, stack: str, blocks: int, order: Sequence[int], low: int, high: int) -> None:
        if len(set(order)) != len(order) or not set(order) <= set(range(blocks)):
            raise ValueError(f"the order of removal must name different blocks of 0 to {blocks - 1}, got {tuple(order)}")
        if not max(1, blocks - len(order)) <= low <= high <= blocks:
            reachable = f"[{max(1, blocks - len(order))}, {blocks}]"
            raise ValueError(f"{stack} blocks kept must lie in {reachable}, what the order of removal reaches, got [{low}, {high}]")
        self.stack, self.blocks, self.order = stack, blocks, tuple(order)
        self._knob = IntKnob(f"{self.name}.{stack}", low, high)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration that keeps so many blocks; a stack kept whole is not named, so full depth has one digest."""
        removed = set(self.order[: self.blocks - int(values[self._knob.name])])
        keep = {stack: indices for stack, indices in configuration.keep if stack != self.stack}
        if removed:
            keep[self.stack] = tuple(index for index in range(self.blocks) if index not in removed)
        shallower = replace(configuration, keep=tuple(keep.items()))
        return replace(shallower, bits=tuple((path, bits) for path, bits in shallower.bits if is_kept(path, shallower)))

    def lowest(self) -> dict[str, float | int]:
        return {self._knob.name: self._knob.low}

    def describe(self) -> dict[str, Any]:
        return super().describe() | {f"{self._knob.name}.order": list(self.order)}
