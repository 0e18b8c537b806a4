"""Knobs: the few numbers that a sampler turns, with the range each may take."""

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FloatKnob:
    """A real number in [low, high], on the grid low, low + step, … where there is a step."""

    integer: ClassVar[bool] = False
    name: str
    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"{self.name} must range from low to high, got [{self.low}, {self.high}]")
        if self.step is not None and not self.step > 0:
            raise ValueError(f"the step of {self.name} must be positive, got {self.step}")

    def checked(self, value: float) -> float:
        """The value as it counts: moved onto the grid, so that rounding in a sampler makes no new configuration.

        Raises ValueError outside [low, high].
        """
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must lie in [{self.low:g}, {self.high:g}], got {value}")
        if self.step is None:
            return float(value)
        return min(round(self.low + round((value - self.low) / self.step) * self.step, 10), self.high)


@dataclass(frozen=True)
class IntKnob:
    """A whole number in [low, high], both ends included."""

    integer: ClassVar[bool] = True
    name: str
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"{self.name} must range from low to high, got [{self.low}, {self.high}]")

    def checked(self, value: float) -> int:
        """The value as an int; raises ValueError if it is not whole or lies outside [low, high]."""
        if value != int(value) or not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must be a whole number in [{self.low}, {self.high}], got {value}")
        return int(value)


@dataclass(frozen=True)
class ChoiceKnob:
    """One of several whole numbers in ascending order; between them the nearest counts (the lower one at half way)."""

    integer: ClassVar[bool] = True
    name: str
    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.choices or list(self.choices) != sorted(set(self.choices)):
            raise ValueError(f"the choices of {self.name} must be different and ascending, got {self.choices}")

    @property
    def low(self) -> int:
        return self.choices[0]

    @property
    def high(self) -> int:
        return self.choices[-1]

    @property
    def step(self) -> int:
        """The widest grid from `low` that holds every choice; 1 where there is one choice."""
        return math.gcd(*(choice - self.low for choice in self.choices)) or 1

    def checked(self, value: float) -> int:
        """The choice nearest to the value; raises ValueError outside [low, high]."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must lie in [{self.low}, {self.high}], got {value}")
        return min(self.choices, key=lambda choice: (abs(choice - value), choice))


Knob = FloatKnob | IntKnob | ChoiceKnob
