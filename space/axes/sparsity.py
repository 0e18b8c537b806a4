"""Axis `sparsity`: share of the weights that is set to zero, smallest magnitudes first, ranked in each module group or over all of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from paredown.space.axes.base import Axis
from paredown.space.axes.layers import is_kept
from paredown.space.axes.share import STEP, share_knob
from paredown.space.configuration import Configuration
from paredown.space.inventory import GROUPS
from paredown.space.knobs import FloatKnob, Knob


class SparsityAxis(Axis):
    """One knob `sparsity.<group>` in [0, highest] for each of these module groups: component-wise pruning (on-device ST paper, 5.3.2)."""

    name: ClassVar[str] = "sparsity"
    stage: ClassVar[int] = 3

    def __init__(self, groups: Sequence[str], highest: float) -> None:
        _check_groups(groups)
        self.groups = tuple(groups)
        self._knobs = tuple(share_knob(f"{self.name}.{group}", "sparsity", highest) for group in groups)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return self._knobs

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with these shares; a group without zeros is not named, so it has one digest."""
        return _with_shares(configuration, {group: float(values[f"{self.name}.{group}"]) for group in self.groups})

    def lowest(self) -> dict[str, float | int]:
        return {knob.name: knob.high for knob in self._knobs}


class Count(Protocol):
    """How many weights of each of these parameters survive when this share of them all goes, ranked together: `Ranking.count_survivors`."""

    def __call__(self, names: Iterable[str], share: float, /) -> Mapping[str, int]: ...


class GlobalSparsityAxis(Axis):
    """One knob `sparsity.share` in [0, highest]: all listed groups are ranked together (on-device ST paper, 5.3.1 and Table 3).

    It resolves to the share that each group loses in this joint ranking, so that ranking every group on its own by its share sets exactly
    the same weights to zero: one threshold, and of equal magnitudes those that come first in the order of `parameters`. Parameters of
    dropped blocks take no part. What narrower feed-forwards, fewer heads or factors leave is ranked by these same shares: between
    groups the shares are those of the full matrices, within a group the ranking is that of what is left. A group keeps one weight at least.

    `parameters`: names of what is ranked, by group, in network order; `count` says how many of them survive.
    """

    name: ClassVar[str] = "sparsity"
    stage: ClassVar[int] = 3

    def __init__(self, parameters: Mapping[str, Sequence[str]], count: Count, highest: float) -> None:
        _check_groups(tuple(parameters))
        for group, names in parameters.items():
            if not names:
                raise ValueError(f"a group that is ranked must hold parameters, got none for {group}")
        self.parameters = {group: tuple(names) for group, names in parameters.items()}
        self._count = count
        self._knob: FloatKnob = share_knob(f"{self.name}.share", "sparsity", highest)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with the shares of this joint ranking; a group that loses nothing is not named."""
        return _with_shares(configuration, self._shares(float(values[self._knob.name]), configuration))

    def lowest(self) -> dict[str, float | int]:
        return {self._knob.name: self._knob.high}

    def describe(self) -> dict[str, Any]:
        """The range, and a digest of what the groups lose at every step of the whole model: it changes with weights and groups."""
        steps = [round(step * STEP, 10) for step in range(round(self._knob.high / STEP) + 1)]
        table = {group: [self._shares(share, Configuration())[group] for share in steps] for group in self.parameters}
        return super().describe() | {f"{self.name}.ranking": hashlib.sha256(json.dumps(table).encode()).hexdigest()}

    def _shares(self, share: float, configuration: Configuration) -> dict[str, float]:
        kept = {group: [name for name in names if is_kept(name, configuration)] for group, names in self.parameters.items()}
        together = [name for names in kept.values() for name in names]
        sizes, left = self._count(together, 0.0), self._count(together, share)
        shares = {}
        for group, names in kept.items():
            total = sum(sizes[name] for name in names)
            removed = min(total - sum(left[name] for name in names), total - 1)
            shares[group] = removed / total if total else 0.0  # times the total it rounds to `removed` again
        return shares


def _check_groups(groups: Sequence[str]) -> None:
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"sparsity names a module group, one of {', '.join(GROUPS)}; got {group!r}")


def _with_shares(configuration: Configuration, found: Mapping[str, float]) -> Configuration:
    """These groups with these shares, the others as they were; shares of nothing are left out."""
    shares = {**configuration.sparsity_of, **found}
    return replace(configuration, sparsity=tuple((group, share) for group, share in shares.items() if share > 0))
