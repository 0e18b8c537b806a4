"""Axis `rank`: bottlenecks of the matrices of every feed-forward, by one penalty on their parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.axes.layers import is_kept
from paredown.space.axes.members import Members
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.knobs import FloatKnob, Knob
from paredown.space.reduced import reduce_inventory


class RankAxis(Axis):
    """Knob `rank.eta` in [low, high]: what a million parameters cost, in nats; the family's member of the nearest eta gives the ranks.

    The family comes from the same search as widths, over singular directions (lossless 4-bit Conformer, 2.1 and Table 1, systems 13, 14).
    It knows nothing of the widths that were chosen: a rank is at most what the narrowed matrix has, and a layer whose two factors
    would have as many parameters as itself stays whole and is not named.
    """

    name: ClassVar[str] = "rank"
    stage: ClassVar[int] = 2

    def __init__(self, inventory: Inventory, members: Members, low: float, high: float) -> None:
        known = {f"{path}.{role}" for path in inventory.feed_forwards for role in ("w_1", "w_2")}
        for path in members.paths:
            if path not in known:
                raise ValueError(f"ranks must belong to layers w_1 and w_2 of feed-forwards, got {path!r}")
        self.inventory, self.members = inventory, members
        self._knob = FloatKnob(f"{self.name}.eta", low, high)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with these ranks; entries of layers that the family does not know stay."""
        chosen = self.members.at(values[self._knob.name])
        others = tuple((path, rank) for path, rank in configuration.rank if path not in chosen and is_kept(path, configuration))
        whole = replace(configuration, rank=())
        shapes = {layer.path: layer.shape for layer in reduce_inventory(self.inventory, whole).layers}
        ranks = {path: min(rank, *shapes[path]) for path, rank in chosen.items() if path in shapes}
        saving = tuple((path, rank) for path, rank in ranks.items() if rank * sum(shapes[path]) < shapes[path][0] * shapes[path][1])
        return replace(configuration, rank=(*others, *saving))

    def lowest(self) -> dict[str, float | int]:
        """The eta in range of the least parameters; larger ones may fail to shrink further."""
        return {self._knob.name: self.members.least(self._knob.low, self._knob.high, self._parameters)}

    def describe(self) -> dict[str, Any]:
        """The range, and a digest of the family."""
        return super().describe() | {"rank.family": self.members.digest}

    def _parameters(self, eta: float) -> int:
        return reduce_inventory(self.inventory, self.resolve({self._knob.name: eta}, Configuration())).parameters
