"""What an energy source promises, and everything that can go wrong with one.

A source counts joules of one target. It is started, looked at again whenever it asks for it, and stopped. It has no thread and no clock
of its own business: `paredown.profilers.energy.meter` drives it. What goes wrong makes the window unavailable, with the reason: a
source never returns a joule that it is not sure of, and never a zero in the place of a counter that it could not read.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from paredown.profilers.measurement import DetailValue

TargetKind = Literal["cpu", "cuda", "machine"]
SourceProvenance = Literal["measured", "estimated"]


class EnergyUnavailable(Exception):
    """A window that gives no energy; the message is one line with the reason."""


class AccessLost(EnergyUnavailable):
    """A counter that could be read may not be read any more."""


class DomainVanished(EnergyUnavailable):
    """A counter that was there is gone, or what it gives is no number."""


class CounterReset(EnergyUnavailable):
    """A counter moved as no wrap and no power explains: it was set back, or the machine slept."""


class CounterStill(EnergyUnavailable):
    """A counter of something that always draws power did not move."""


class WrapUnresolved(EnergyUnavailable):
    """Between two looks a counter may have wrapped more often than can be told."""


class WindowTooShort(EnergyUnavailable):
    """The window is shorter than the source's counters allow."""


class CounterTooCoarse(EnergyUnavailable):
    """The counter's steps are too large against what was counted."""


class StateChanged(EnergyUnavailable):
    """What the figure rests on did not hold through the window: a charger was plugged in, a power reading contradicts the counter."""


class EnergySource(ABC):
    """Joules of one target, by domain.

    `name`: "rapl", "pyrapl", "battery", "nvml" or "estimate". `label`: the same in words, for tables. `method`: how the joules come about.
    `domains`: what is told apart (`package-0`, `dram-0`, `psys`, `gpu-0`, …). `counted`: those of them that add up to the target's
    energy; the others lie inside one of these (`core-0`) or beside them (`dram-0`, `psys`) and are never added.
    `min_window_s`: a shorter window is refused.
    """

    name: str
    label: str
    target: TargetKind
    provenance: SourceProvenance
    method: str
    domains: tuple[str, ...]
    counted: tuple[str, ...]
    min_window_s: float = 1.0

    @abstractmethod
    def start(self) -> float:
        """Begins a window; whatever went before is forgotten.

        Returns the seconds after which `poll` is due, infinity for never. Raises EnergyUnavailable.
        """

    @abstractmethod
    def poll(self) -> float:
        """Looks at the counters inside a window; returns the seconds after which the next look is due. Raises EnergyUnavailable."""

    @abstractmethod
    def stop(self) -> Mapping[str, float]:
        """Ends the window: joules per domain since `start`, every counted domain among them.

        A domain that is not counted and did not move is left out: it tells nothing. Raises EnergyUnavailable.
        """

    def detail(self) -> tuple[tuple[str, DetailValue], ...]:
        """What else was seen in the window that was stopped last, as pairs of name and value."""
        return ()

    def close(self) -> None:
        """Gives back what the source holds; it is not used afterwards."""
        return
