"""Energy of the processor through pyRAPL, where it serves: one window shorter than a wrap.

pyRAPL 0.2.3.1 reads the same powercap counters and lacks: wraps (a difference goes negative), `max_energy_range_uj`, psys, core and
uncore, packages of several dies, and what to do when a counter cannot be read. It takes packages alone where there is no dram (AMD too,
whose zones have the same names). So this adapter refuses whatever fell, and a window in which the maximum power could reach the range.
It is chosen by name only; its worth is that it reads independently of `powercap.py`, and a test holds the two together.
"""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from paredown.errors import BadInput
from paredown.profilers.energy.base import AccessLost, CounterReset, CounterStill, DomainVanished, EnergySource, WrapUnresolved
from paredown.profilers.energy.powercap import MAX_POWER_W

SMALLEST_RANGE_J = 65_000.0  # of the ranges that processors have, about; pyRAPL does not read the true one
REMEDY = "pip install pyRAPL"


def load_pyrapl() -> ModuleType:
    """The module; raises BadInput with the pip line where it is not installed. It warns of pandas and pymongo, which are not needed."""
    try:
        return importlib.import_module("pyRAPL")
    except ImportError:
        raise BadInput(f"energy source pyrapl needs the package pyRAPL: {REMEDY}") from None


class PyRaplSource(EnergySource):
    """`module`: pyRAPL. Raises BadInput where it finds no counter that it may read."""

    name = "pyrapl"
    label = "RAPL through pyRAPL"
    target = "cpu"
    provenance = "measured"
    method = "pyRAPL, sum of packages; dram apart; one window shorter than a wrap"

    def __init__(self, module: ModuleType | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        pyrapl: Any = load_pyrapl() if module is None else module
        self._clock = clock
        try:
            self._sensor = pyrapl.Sensor()
        except (pyrapl.PyRAPLException, OSError) as error:
            raise BadInput(f"pyRAPL finds no counter that it may read: {type(error).__name__} {error}".rstrip()) from None
        self.domains = tuple(self._read())
        self.counted = tuple(domain for domain in self.domains if domain.startswith("package"))
        if not self.counted:
            raise BadInput("pyRAPL finds no processor package on this machine")
        self._start_uj: dict[str, float] = {}
        self._start_s = 0.0

    def start(self) -> float:
        self._start_uj, self._start_s = self._read(), self._clock()
        return math.inf

    def poll(self) -> float:
        return math.inf

    def stop(self) -> Mapping[str, float]:
        end_uj, elapsed_s = self._read(), self._clock() - self._start_s
        if elapsed_s * MAX_POWER_W >= SMALLEST_RANGE_J:
            raise WrapUnresolved(f"pyRAPL cannot tell wraps: in {elapsed_s:.3g} s at up to {MAX_POWER_W:g} W there may have been one")
        if end_uj.keys() != self._start_uj.keys():
            raise DomainVanished(f"pyRAPL read {', '.join(self._start_uj)} first and {', '.join(end_uj)} last")
        joules = {domain: (end_uj[domain] - begin_uj) / 1e6 for domain, begin_uj in self._start_uj.items()}
        for domain, energy_j in joules.items():
            if energy_j < 0.0 or energy_j > elapsed_s * MAX_POWER_W:
                raise CounterReset(f"pyRAPL's {domain} moved by {energy_j:.6g} J in {elapsed_s:.3g} s: it wrapped or was set back")
            if energy_j == 0.0 and domain in self.counted:
                raise CounterStill(f"{domain} did not move through the whole window: a package always draws power")
        return {domain: energy_j for domain, energy_j in joules.items() if energy_j > 0.0}

    def _read(self) -> dict[str, float]:
        """Microjoules per domain; pyRAPL gives [package 0, dram 0, package 1, dram 1, …], -1 for what it does not read."""
        try:
            values = self._sensor.energy()
        except PermissionError as error:
            raise AccessLost(f"pyRAPL may not read a counter any more ({error.strerror})") from None
        except (OSError, ValueError) as error:
            raise DomainVanished(f"pyRAPL cannot read a counter any more ({error})") from None
        named = ((f"{('package', 'dram')[place % 2]}-{place // 2}", float(value)) for place, value in enumerate(values))
        return {domain: value for domain, value in named if value >= 0.0}
