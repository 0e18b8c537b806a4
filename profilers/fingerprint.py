"""What identifies a target: figures measured under one fingerprint can be compared, others cannot.

Linux tells it in /proc and /sys. What cannot be read is None, which is not the same as "off".
"""

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

# The instruction sets that decide which int8 kernel runs and whether its products saturate (x86 without VNNI).
# /proc/cpuinfo spells AMX as amx_tile, amx_bf16 and amx_int8; ARM lists its own under "Features".
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_tile", "asimddp", "i8mm", "sve")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "numpy")


@dataclass(frozen=True)
class Fingerprint:
    """One target as it was while it was measured.

    `cores`: logical cores this process may run on; `threads`: threads the runtime used. `turbo`: boost clocks allowed.
    `power`: "ac", "battery" or None where the machine does not tell. `runtimes`: (package, version) pairs.
    """

    cpu: str
    architecture: str
    system: str
    instructions: tuple[str, ...]
    cores: int
    threads: int
    governor: str | None
    turbo: bool | None
    power: str | None
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


def read_fingerprint(threads: int, root: Path = Path("/")) -> Fingerprint:
    """The fingerprint of this machine.

    `threads`: how many the runtime is given. `root`: where /proc and /sys are looked up; tests put a faked tree there.
    Raises ValueError on fewer than one thread.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    model, flags = _cpu(root)
    return Fingerprint(
        cpu=model or platform.processor() or "unknown",
        architecture=platform.machine(),
        system=platform.system(),
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        cores=_usable_cores(),
        threads=threads,
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(root),
        power=_power(root),
        runtimes=_runtimes(),
    )


@lru_cache
def _runtimes() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that do the computing, as far as they are installed."""
    found = []
    for name in RUNTIMES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu(root: Path) -> tuple[str | None, frozenset[str]]:
    """Model name and instruction flags of the first processor /proc/cpuinfo lists."""
    model: str | None = None
    flags: frozenset[str] = frozenset()
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name" and model is None:
            model = value
        elif key in ("flags", "Features") and not flags:
            flags = frozenset(value.split())
    return model, flags


def _turbo(root: Path) -> bool | None:
    cpu = root / "sys/devices/system/cpu"
    no_turbo = _text(cpu / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _text(cpu / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _power(root: Path) -> str | None:
    """A mains supply that is online means "ac"; offline, or a battery that discharges, "battery"; a desktop tells nothing."""
    supplies = root / "sys/class/power_supply"
    if not supplies.is_dir():
        return None
    mains: list[bool] = []
    discharging = False
    for supply in sorted(supplies.iterdir()):
        kind = _text(supply / "type")
        online = _text(supply / "online")
        if kind in ("Mains", "USB") and online is not None:
            mains.append(online == "1")
        elif kind == "Battery" and _text(supply / "scope") != "Device":  # a mouse has a battery too
            discharging |= _text(supply / "status") == "Discharging"
    if any(mains):
        return "ac"
    return "battery" if discharging or mains else None


def _text(path: Path) -> str | None:
    """The stripped content of a file; None where it is missing, unreadable or empty."""
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
