"""Idle power: a quiet window, so that what the work costs can be told from what the machine costs anyway."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from paredown.profilers.energy.base import EnergySource
from paredown.profilers.energy.meter import EnergyWindow, measure_window


@dataclass(frozen=True)
class IdlePower:
    """Watts of the target and of every domain while nothing of ours runs, over `seconds`."""

    power_w: float
    domains_w: tuple[tuple[str, float], ...]
    seconds: float

    @classmethod
    def of(cls, *windows: EnergyWindow) -> "IdlePower":
        """The mean power over several quiet windows of one source; domains that all of them gave."""
        if not windows:
            raise ValueError("idle power needs at least 1 window, got none")
        seconds = sum(window.seconds for window in windows)
        tables = [dict(window.joules) for window in windows]
        shared = [domain for domain in tables[0] if all(domain in table for table in tables)]
        domains_w = tuple((domain, sum(table[domain] for table in tables) / seconds) for domain in shared)
        return cls(sum(window.energy_j for window in windows) / seconds, domains_w, seconds)


def measure_idle(
    source: EnergySource,
    idle_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> EnergyWindow:
    """A window of `idle_s` seconds in which this process sleeps.

    Raises EnergyUnavailable, and ValueError below the source's shortest window.
    """
    if idle_s < source.min_window_s:
        raise ValueError(f"idle power of {source.label} needs {source.min_window_s:g} s at least, got {idle_s:g} s")
    return measure_window(source, lambda: _sleep_until(clock() + idle_s, clock, sleep), clock)


def _sleep_until(end_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    while (left_s := end_s - clock()) > 0.0:
        sleep(left_s)
