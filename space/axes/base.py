"""An axis turns knob values into a configuration, one step at a time; a search space is several axes resolved in a fixed order."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from paredown.space.configuration import Configuration
from paredown.space.knobs import Knob


class Axis(ABC):
    """One direction of the space. Its rule must be a function: equal values and equal configurations give equal configurations."""

    name: ClassVar[str]
    # Axes that decide what stays in the model come before those that spend a budget on it.
    stage: ClassVar[int]

    @property
    @abstractmethod
    def knobs(self) -> tuple[Knob, ...]:
        """What the sampler turns; every name starts with the name of the axis and a dot."""

    @abstractmethod
    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with this axis's part filled in; `values` holds a checked value for each of its knobs."""

    @abstractmethod
    def lowest(self) -> dict[str, float | int]:
        """Values of its knobs that give the smallest model."""

    def describe(self) -> dict[str, Any]:
        """What identifies this axis, flat and as plain JSON values: the range of each knob, and whatever else its rule depends on."""
        return {knob.name: [knob.low, knob.high] for knob in self.knobs}


class SearchSpace:
    """Several axes over a base configuration, which holds what no axis decides."""

    def __init__(self, axes: Sequence[Axis], base: Configuration | None = None) -> None:
        self.axes = tuple(sorted(axes, key=lambda axis: axis.stage))
        self.base = Configuration() if base is None else base
        names = [knob.name for knob in self.knobs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"knobs must have different names, got {name} twice")

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The knobs of all axes, in the order in which the axes resolve."""
        return tuple(knob for axis in self.axes for knob in axis.knobs)

    def checked(self, values: Mapping[str, float | int]) -> dict[str, float | int]:
        """One value in range for every knob, on its grid; raises ValueError on a missing, unknown or impossible one."""
        names = [knob.name for knob in self.knobs]
        for name in values:
            if name not in names:
                raise ValueError(f"values must name knobs of this space ({', '.join(names)}), got {name!r}")
        for name in names:
            if name not in values:
                raise ValueError(f"every knob needs a value, got none for {name!r}")
        return {knob.name: knob.checked(values[knob.name]) for knob in self.knobs}

    def resolve(self, values: Mapping[str, float | int]) -> Configuration:
        """The configuration that these knob values stand for; raises ValueError like `checked`."""
        sound, configuration = self.checked(values), self.base
        for axis in self.axes:
            configuration = axis.resolve({knob.name: sound[knob.name] for knob in axis.knobs}, configuration)
        return configuration

    def lowest(self) -> dict[str, float | int]:
        """The knob values of the smallest model."""
        return {name: value for axis in self.axes for name, value in axis.lowest().items()}

    def smallest(self) -> Configuration:
        """The configuration with every axis at its lowest."""
        return self.resolve(self.lowest())

    def describe(self) -> dict[str, Any]:
        """What identifies the space, flat and as plain JSON values: equal descriptions resolve equal values equally."""
        described: dict[str, Any] = {"base": self.base.digest}
        for axis in self.axes:
            described |= axis.describe()
        return described
