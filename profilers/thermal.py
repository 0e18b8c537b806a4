"""How hot the processor is and how often it was slowed down for it, where the machine tells."""

from dataclasses import dataclass
from pathlib import Path

from paredown.profilers.system_files import read_text

# Drivers of processor sensors: Intel, AMD, AMD by third parties, ARM boards.
SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc-thermal")


@dataclass(frozen=True)
class Thermal:
    """`temperature_c`: of the hottest processor sensor; `throttled`: slow-downs since boot, over all cores. None where unreadable."""

    temperature_c: float | None
    throttled: int | None

    def slowed_since(self, earlier: "Thermal") -> int | None:
        """How often the processor was slowed down since `earlier`; None where one of the two does not tell."""
        return None if self.throttled is None or earlier.throttled is None else self.throttled - earlier.throttled


def read_thermal(root: Path = Path("/")) -> Thermal:
    """What the sensors say now. `root`: where /sys is looked up; tests put a faked tree there."""
    return Thermal(_temperature_c(root), _throttled(root))


def _temperature_c(root: Path) -> float | None:
    """Hardware monitors first; thermal zones are what boards without them have. Both count thousandths of a degree."""
    found = [
        value
        for monitor in (root / "sys/class/hwmon").glob("hwmon*")
        if read_text(monitor / "name") in SENSORS
        for path in monitor.glob("temp*_input")
        if (value := _number(path)) is not None
    ]
    if not found:
        zones = (root / "sys/class/thermal").glob("thermal_zone*")
        found = [value for zone in zones if read_text(zone / "type") in ZONES and (value := _number(zone / "temp")) is not None]
    return max(found) / 1000.0 if found else None


def _throttled(root: Path) -> int | None:
    """Intel counts the slow-downs of each core; two logical cores of one show the same count, so each physical core is taken once.

    Of a package all its cores count the same, so that is left out.
    """
    counts: dict[tuple[str, str], int] = {}
    for cpu in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        count = _number(cpu / "thermal_throttle/core_throttle_count")
        if count is not None:
            package, core = (read_text(cpu / "topology" / name) for name in ("physical_package_id", "core_id"))
            counts[(package or "", core) if core is not None else ("unknown", cpu.name)] = count
    return sum(counts.values()) if counts else None


def _number(path: Path) -> int | None:
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None
