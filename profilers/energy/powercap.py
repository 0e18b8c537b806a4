"""Energy of the processor from the kernel's powercap tree (RAPL), Intel and AMD.

Read at both ends of a window, and between them only as often as wraps demand (`counter.py`): every half minute where the ends of the
range are far, twenty times a second in its last and first joules. The value is the sum of the packages. Everything else is given
apart: core and uncore lie inside the package; dram beside it; psys holds the package and more, and is never added to it.

A suspend sets the counters back. The monotonic clock stands still meanwhile and the boot-time clock does not: a window in which the
two drift apart is refused.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from paredown.errors import BadInput
from paredown.profilers.energy.base import AccessLost, CounterReset, CounterStill, DomainVanished, EnergySource, EnergyUnavailable
from paredown.profilers.energy.counter import CounterRange, WrappingCounter
from paredown.profilers.energy.zones import Zone, count_packages, find_zones, packages_of

MAX_POWER_W = 1000.0  # of one zone; the largest sockets sold draw half of it
PSYS_MAX_POWER_W = 2000.0  # of a platform: what the power supplies of a server with two sockets give
SLEPT_S = 0.1  # drift of the boot-time clock against the monotonic one that is taken for a suspend
_STILL_S = 0.5  # without a step of a package's counter, which is updated each millisecond
_EARLY_S = 0.002  # a counter that is due so soon is read along

Read = Callable[[Path], str]


def read_counter(path: Path) -> str:
    """A small file, read at a fraction of what `Path.read_text` costs: this runs beside what is measured."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 64).decode("ascii", errors="replace")
    finally:
        os.close(handle)


def slept_s() -> float:
    """Seconds this machine has spent suspended since it started; 0 where the system does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class PowercapSource(EnergySource):
    """`root`: where /sys is looked up. `read`: the text of a file; `clock`: monotonic seconds; `slept`: seconds suspended.

    Raises BadInput where there is no package zone, or a package without one: part of the machine is not passed off as all of it.
    """

    name = "rapl"
    label = "RAPL (processor packages)"
    target = "cpu"
    provenance = "measured"
    method = "powercap energy counters, sum of packages; dram, core, uncore and psys apart"

    def __init__(
        self,
        root: Path = Path("/"),
        read: Read = read_counter,
        clock: Callable[[], float] = time.monotonic,
        slept: Callable[[], float] = slept_s,
    ) -> None:
        self._read, self._clock, self._slept = read, clock, slept
        zones = find_zones(root)
        sockets = count_packages(root)
        if not any(zone.counted for zone in zones):
            raise BadInput(f"RAPL needs a package zone below {root / 'sys/class/powercap'}, found {_list(zones) or 'none'}")
        if sockets is not None and packages_of(zones) < sockets:
            raise BadInput(f"RAPL must count all {sockets} processor packages of this machine, found {_list(zones)}")
        self._zones = tuple(zone for zone in zones if zone.counted or self._can_read(zone))
        self._limits = {zone.domain: self._range(zone) for zone in self._zones}
        for zone in self._zones:
            self._value(zone)
        self.domains = tuple(zone.domain for zone in self._zones)
        self.counted = tuple(zone.domain for zone in self._zones if zone.counted)
        self._counters: dict[str, WrappingCounter] = {}
        self._slept_at_start_s = 0.0

    def start(self) -> float:
        self._slept_at_start_s = self._slept()
        self._counters = {zone.domain: WrappingCounter(self._limits[zone.domain], self._value(zone), self._clock()) for zone in self._zones}
        return self._due_s()

    def poll(self) -> float:
        self._look(only_due=True)
        return self._due_s()

    def stop(self) -> Mapping[str, float]:
        self._look()
        moved = {domain: counter.total_uj / 1e6 for domain, counter in self._counters.items() if counter.total_uj > 0}
        for domain in self.counted:
            if domain not in moved:
                raise CounterStill(f"{domain} did not move through the whole window")
        return moved

    def _look(self, only_due: bool = False) -> None:
        """At all counters, or at those alone that are due: one near its end does not make the others be read."""
        asleep_s = self._slept() - self._slept_at_start_s
        if asleep_s > SLEPT_S:
            raise CounterReset(f"the machine slept {asleep_s:.3g} s within the window, which sets its counters back")
        for zone in self._zones:
            counter = self._counters[zone.domain]
            if only_due and self._clock() < counter.now_s + counter.due_s() - _EARLY_S:
                continue
            value_uj, now_s = self._value(zone), self._clock()
            if zone.counted and value_uj == counter.value_uj and now_s - counter.now_s > _STILL_S:
                raise CounterStill(f"{zone.domain} stood still for {now_s - counter.now_s:.3g} s: a package always draws power")
            counter.look(value_uj, now_s)

    def _due_s(self) -> float:
        now_s = self._clock()
        return max(0.0, min(counter.now_s + counter.due_s() - now_s for counter in self._counters.values()))

    def _can_read(self, zone: Zone) -> bool:
        """A zone that is not counted and cannot be read is left out; the doctor tells."""
        try:
            self._value(zone)
            self._range(zone)
        except EnergyUnavailable:
            return False
        return True

    def _value(self, zone: Zone) -> int:
        return self._integer(zone.energy, zone.domain)

    def _range(self, zone: Zone) -> CounterRange:
        power_w = PSYS_MAX_POWER_W if zone.domain == "psys" else MAX_POWER_W
        path = zone.folder / "max_energy_range_uj"
        range_uj = self._integer(path, zone.domain)
        if range_uj < 1:
            raise DomainVanished(f"{zone.domain}: {path} must be above 0, got {range_uj}")
        return CounterRange(zone.domain, range_uj, power_w)

    def _integer(self, path: Path, domain: str) -> int:
        try:
            text = self._read(path)
        except PermissionError:
            raise AccessLost(f"{domain}: {path} may not be read") from None
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, "?")
            raise DomainVanished(f"{domain}: {path} cannot be read ({error.strerror or type(error).__name__}, {reason})") from None
        if not text.strip().isascii() or not text.strip().isdigit():
            raise DomainVanished(f"{domain}: {path} must hold a whole number of microjoules, got {text[:20]!r}")
        return int(text)


def _list(zones: tuple[Zone, ...]) -> str:
    return ", ".join(zone.domain for zone in zones)
