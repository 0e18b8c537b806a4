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


Knob = FloatKnob | IntKnob
