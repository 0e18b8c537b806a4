"""A point of the front, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paredown.profilers.measurement import Measurement
    from paredown.report.front_rows import FrontEntry
    from paredown.search.trial import Trial
    from paredown.space.configuration import Configuration


@dataclass(frozen=True)
class Point:
    """A complete trial and where it stands among the others.

    `trial`: its number. `values`: of every objective, by its name, in its base unit (`size_bytes`, `latency_ms@cpu`, `energy_mj@cpu`;
    `quality` is the difference to the uncompressed model in points, above zero where better). `feasible`: whether it keeps the budgets;
    `missed`: by how much it misses which, in base units. `on_front`: whether no other trial dominates it; `indistinguishable`: numbers of
    the trials of the front that it is not shown to beat in anything. `confirmed`: whether it passed on *test*, None where it was not
    tested.
    """

    trial: int
    values: Mapping[str, float]
    feasible: bool
    on_front: bool
    indistinguishable: tuple[int, ...]
    missed: Mapping[str, float]
    confirmed: bool | None
    source: "Trial" = field(repr=False)
    figures: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, entry: "FrontEntry") -> "Point":
        """The point of a row of the front."""
        figures, point = entry.to_dict(), entry.point
        misses = {miss.budget.name: miss.beyond for miss in entry.missed}
        place = (point.feasible, point.on_front, point.indistinguishable)
        return cls(point.trial.number, dict(figures["values"]), *place, misses, entry.confirmed, point.trial, figures)

    @property
    def configuration(self) -> "Configuration":
        """What was made of the model: bits of every layer, blocks kept, decoding."""
        return self.source.configuration

    @property
    def measurements(self) -> "Mapping[str, Measurement]":
        """Everything that was measured, by name, each with its unit and its 95 % interval."""
        return {} if self.source.outcome is None else self.source.outcome.measurement_of

    def to_dict(self) -> dict[str, Any]:
        """Its row in `paredown front --json`."""
        return dict(self.figures)
