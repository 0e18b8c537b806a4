"""What a GPU was doing besides our work: clocks, what held them down, temperature, power limit, other processes."""

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from paredown.profilers.measurement import DetailValue

# Constants of nvidia-ml-py without their prefix, and how they are told. "Throttle" names are older than "event" names; both may be there.
_PREFIXES = ("nvmlClocksEventReason", "nvmlClocksThrottleReason")
_REASONS = (
    ("GpuIdle", "idle"),
    ("ApplicationsClocksSetting", "application clocks"),
    ("SwPowerCap", "power cap"),
    ("HwSlowdown", "hardware slowdown"),
    ("SyncBoost", "sync boost"),
    ("SwThermalSlowdown", "software thermal slowdown"),
    ("HwThermalSlowdown", "hardware thermal slowdown"),
    ("HwPowerBrakeSlowdown", "hardware power brake"),
    ("DisplayClockSetting", "display clocks"),
)
IDLE = "idle"  # the clocks are low because nothing runs: no throttling


def decode_reasons(nvml: Any, mask: int) -> tuple[str, ...]:
    """Names of the bits of a clock event mask; bits without a name are told in hex."""
    found, known = [], 0
    for suffix, words in _REASONS:
        bit = next((value for prefix in _PREFIXES if isinstance(value := getattr(nvml, prefix + suffix, None), int)), 0)
        known |= bit
        if bit and mask & bit:
            found.append(words)
    rest = mask & ~known
    return (*found, f"unknown {rest:#x}") if rest else tuple(found)


def clock_reasons(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    """What holds the clocks down now; None where the driver does not tell."""
    for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
        mask = ask(nvml, name, handle)
        if mask is not None:
            return decode_reasons(nvml, int(mask))
    return None


def other_processes(nvml: Any, handle: Any, own: int | None = None) -> tuple[int, ...] | None:
    """Ids of processes on the GPU, computing or drawing, without this one; None where the driver does not tell.

    In a container the driver gives ids of the host, so that this process may stand among the others.
    """
    own = os.getpid() if own is None else own
    lists = [ask(nvml, f"nvmlDeviceGet{kind}RunningProcesses", handle) for kind in ("Compute", "Graphics")]
    if all(found is None for found in lists):
        return None
    return tuple(sorted({int(process.pid) for found in lists for process in found or ()} - {own}))


def ask(nvml: Any, name: str, *arguments: Any) -> Any:
    """What a function of NVML returns; None where it is not there, or the device or the driver does not support it."""
    function = getattr(nvml, name, None)
    if function is None:
        return None
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


@dataclass
class GpuConditions:
    """Collects looks at one GPU through a window."""

    nvml: Any
    handle: Any
    sm_mhz: list[int] = field(default_factory=list)
    memory_mhz: list[int] = field(default_factory=list)
    temperature_c: list[int] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    others: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Takes what NVML tells at this moment; what it does not tell is left out."""
        nvml, handle = self.nvml, self.handle
        for found, name, kind in (
            (self.sm_mhz, "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
            (self.memory_mhz, "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
            (self.temperature_c, "nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
        ):
            value = ask(nvml, name, handle, getattr(nvml, kind, None))
            if value is not None:
                found.append(int(value))
        self.reasons.update(clock_reasons(nvml, handle) or ())
        self.others.update(other_processes(nvml, handle) or ())

    def to_detail(self) -> tuple[tuple[str, DetailValue], ...]:
        """Pairs for a measurement's detail; what the driver does not tell is None."""
        limit_mw = ask(self.nvml, "nvmlDeviceGetEnforcedPowerLimit", self.handle)
        return (
            ("sm_mhz_min", _first(sorted(self.sm_mhz))),
            ("sm_mhz_median", _median(self.sm_mhz)),
            ("memory_mhz_min", _first(sorted(self.memory_mhz))),
            ("memory_mhz_median", _median(self.memory_mhz)),
            ("gpu_temperature_c_max", max(self.temperature_c, default=None)),
            ("clock_reasons", ", ".join(sorted(self.reasons - {IDLE})) or "none"),
            ("gpu_power_limit_w", None if limit_mw is None else int(limit_mw) / 1000.0),
            ("other_gpu_processes", len(self.others)),
        )


def _first(values: list[int]) -> int | None:
    return values[0] if values else None


def _median(values: Iterable[int]) -> float | None:
    values = list(values)
    return float(statistics.median(values)) if values else None
