"""Axis `sparsity`: share of every module group's weights that is set to zero, smallest magnitudes first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from paredown.space.axes.base import Axis
from paredown.space.configuration import Configuration
from paredown.space.inventory import GROUPS
from paredown.space.knobs import FloatKnob, Knob

STEP = 0.05


class SparsityAxis(Axis):
    """One knob `sparsity.<group>` in [0, highest] for each of these module groups (on-device ST paper, 5.3.2)."""

    name: ClassVar[str] = "sparsity"
    stage: ClassVar[int] = 1

    def __init__(self, groups: Sequence[str], highest: float) -> None:
        for group in groups:
            if group not in GROUPS:
                raise ValueError(f"sparsity names a module group, one of {', '.join(GROUPS)}; got {group!r}")
        if not 0.0 <= highest < 1.0:
            raise ValueError(f"the largest sparsity must lie in [0, 1), got {highest}")
        self.groups = tuple(groups)
        # A range that is no multiple of the step could never reach its own end.
        self._highest = round(int(highest / STEP + 1e-9) * STEP, 10)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return tuple(FloatKnob(f"{self.name}.{group}", 0.0, self._highest, STEP) for group in self.groups)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with these shares; a group without zeros is not named, so it has one digest."""
        shares = {group: share for group, share in configuration.sparsity if group not in self.groups}
        shares |= {group: float(values[f"{self.name}.{group}"]) for group in self.groups}
        return replace(configuration, sparsity=tuple((group, share) for group, share in shares.items() if share > 0))

    def lowest(self) -> dict[str, float | int]:
        return {f"{self.name}.{group}": self._highest for group in self.groups}
