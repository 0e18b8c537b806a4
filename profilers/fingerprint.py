"""What identifies a target: figures measured under one fingerprint can be compared, others cannot.

Linux tells it in /proc and /sys. What cannot be read is None, which is not the same as "off".
"""

import hashlib
import json
import os
import platform
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from paredown.profilers.system_files import read_text

Device = Literal["cpu", "cuda"]

# The instruction sets that decide which int8 kernel runs and whether its products saturate (x86 without VNNI).
# /proc/cpuinfo spells AMX as amx_tile, amx_bf16 and amx_int8; ARM lists its own under "Features".
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_tile", "asimddp", "i8mm", "sve")
RUNTIMES = ("paredown", "onnxruntime", "onnxruntime-gpu", "numpy")


@dataclass(frozen=True)
class Fingerprint:
    """One target as it was while it was measured.

    `device`: what computes, "cpu" or "cuda". `accelerator`: model and driver of the GPU, None where the device is the processor.
    `cores`: logical cores this process may run on; `threads`: threads the runtime used. `turbo`: boost clocks allowed.
    `power`: "ac", "battery" or None where the machine does not tell. `runtimes`: (package, version) pairs, Python among them.
    What changes while a machine is measured (its temperature, its load) is no part of it: see `thermal.py`, `machine_load.py`.
    """

    device: Device
    cpu: str
    architecture: str
    system: str
    instructions: tuple[str, ...]
    cores: int
    threads: int
    governor: str | None
    turbo: bool | None
    power: str | None
    accelerator: str | None
    runtimes: tuple[tuple[str, str], ...]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        value = asdict(self)
        value["runtimes"] = dict(self.runtimes)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def facts(self) -> dict[str, str | int | bool | None]:
        """Everything in it under a flat name, so that two of them can be compared fact by fact."""
        value = asdict(self)
        value["instructions"] = " ".join(self.instructions)
        versions = {f"{name} version": version for name, version in value.pop("runtimes")}
        return value | versions

    def describe(self) -> str:
        """One line for people: everything that could differ, and the beginning of the digest."""
        boost = "unknown" if self.turbo is None else "on" if self.turbo else "off"
        device = f"{self.device} ({self.accelerator or 'no accelerator found'}), " if self.device == "cuda" else ""
        libraries = ", ".join(f"{name} {version}" for name, version in self.runtimes)
        return (
            f"{device}{self.cpu}, {self.cores} cores, {self.threads} thread(s), {' '.join(self.instructions) or 'no known instructions'}, "
            f"governor {self.governor or 'unknown'}, turbo {boost}, power {self.power or 'unknown'}, {libraries} ({self.digest[:12]})"
        )


def read_fingerprint(threads: int, device: Device = "cpu", root: Path = Path("/")) -> Fingerprint:
    """The fingerprint of this machine.

    `threads`: how many the runtime is given. `root`: where /proc and /sys are looked up; tests put a faked tree there.
    Raises ValueError on fewer than one thread and on an unknown device.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if device not in get_args(Device):
        raise ValueError(f"a device is one of {', '.join(get_args(Device))}, got {device!r}")
    model, flags = _cpu(root)
    return Fingerprint(
        device=device,
        cpu=model or platform.processor() or "unknown",
        architecture=platform.machine(),
        system=platform.system(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        cores=_usable_cores(),
        threads=threads,
        governor=read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(root),
        power=_power(root),
        accelerator=_accelerator(root) if device == "cuda" else None,
        runtimes=_runtimes(),
    )


@lru_cache
def _runtimes() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that do the computing, as far as they are installed."""
    found = [("python", platform.python_version())]
    for name in RUNTIMES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _accelerator(root: Path) -> str | None:
    """Model of the first NVIDIA GPU and the driver's version, as the driver tells them without a library."""
    nvidia = root / "proc/driver/nvidia"
    for information in sorted(nvidia.glob("gpus/*/information")):
        for line in (read_text(information) or "").splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "Model":
                driver = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", read_text(nvidia / "version") or "")
                return f"{value}, driver {driver[0] if driver else 'unknown'}"
    return None


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu(root: Path) -> tuple[str | None, frozenset[str]]:
    """Model name and instruction flags of the first processor /proc/cpuinfo lists."""
    model: str | None = None
    flags: frozenset[str] = frozenset()
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name" and model is None:
            model = value
        elif key in ("flags", "Features") and not flags:
            flags = frozenset(value.split())
    return model, flags


def _turbo(root: Path) -> bool | None:
    cpu = root / "sys/devices/system/cpu"
    no_turbo = read_text(cpu / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = read_text(cpu / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _power(root: Path) -> str | None:
    """A mains supply that is online means "ac"; offline, or a battery that discharges, "battery"; a desktop tells nothing."""
    supplies = root / "sys/class/power_supply"
    if not supplies.is_dir():
        return None
    mains: list[bool] = []
    discharging = False
    for supply in sorted(supplies.iterdir()):
        kind = read_text(supply / "type")
        online = read_text(supply / "online")
        if kind in ("Mains", "USB") and online is not None:
            mains.append(online == "1")
        elif kind == "Battery" and read_text(supply / "scope") != "Device":  # a mouse has a battery too
            discharging |= read_text(supply / "status") == "Discharging"
    if any(mains):
        return "ac"
    return "battery" if discharging or mains else None
