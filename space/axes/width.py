"""Axis `width`: hidden units of every feed-forward, by one penalty on their parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.axes.layers import is_kept
from paredown.space.axes.members import Members
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.knobs import FloatKnob, Knob


class WidthAxis(Axis):
    """Knob `width.eta` in [low, high]: what a million parameters cost, in nats; the family's member of the nearest eta gives the widths.

    The family comes from Gumbel-softmax DARTS (lossless 4-bit Conformer, Eqs. 2 to 4 as corrected; see `analysis/darts`). A feed-forward
    that keeps all its units is not named, and none of a dropped block is. `supernet`: digest of the supernet whose weights
    narrowed models take, at whatever eta; None: the model's own.
    """

    name: ClassVar[str] = "width"
    stage: ClassVar[int] = 1

    def __init__(self, inventory: Inventory, members: Members, low: float, high: float, supernet: str | None = None) -> None:
        for path, *sizes in zip(members.paths, *members.sizes, strict=True):
            most = inventory.feed_forwards.get(path)
            if most is None:
                raise ValueError(f"widths must belong to feed-forwards of the model, got {path!r}")
            if max(sizes) > most:
                raise ValueError(f"hidden units of {path} must lie in [1, {most}], got {max(sizes)}")
        self.members, self.supernet = members, supernet
        self._units = inventory.feed_forwards
        self._columns = {path: inventory.by_path[f"{path}.w_1"].shape[1] for path in members.paths}
        self._knob = FloatKnob(f"{self.name}.eta", low, high)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with these widths; entries of feed-forwards that the family does not know stay."""
        chosen = self.members.at(values[self._knob.name])
        widths = {path: units for path, units in configuration.width if path not in chosen}
        widths |= {path: units for path, units in chosen.items() if units < self._units[path]}
        kept = tuple((path, units) for path, units in widths.items() if is_kept(path, configuration))
        schedule = configuration.schedule
        if self.supernet is not None and configuration.supernet is None:
            schedule = (f"supernet:{self.supernet}", *schedule)
        return replace(configuration, width=kept, schedule=schedule)

    def lowest(self) -> dict[str, float | int]:
        """The eta in range of the least parameters; larger ones may fail to shrink further."""
        return {self._knob.name: self.members.least(self._knob.low, self._knob.high, self._parameters)}

    def describe(self) -> dict[str, Any]:
        """The range, digests of the family, and of the supernet."""
        return super().describe() | {"width.family": self.members.digest, "width.supernet": self.supernet}

    def _parameters(self, eta: float) -> int:
        """Those of the feed-forwards, all but a constant factor and biases."""
        return sum(units * self._columns[path] for path, units in self.members.at(eta).items())
