"""The zones of the powercap tree: which counters there are, and which of them count.

/sys/class/powercap holds a folder per zone, flat: `intel-rapl:0` (a package), `intel-rapl:0:1` (a part of it: core, uncore or dram),
`intel-rapl:1` (a second package, or psys: the whole platform). AMD's zones carry the same names and have no dram. Some machines show
their packages a second time through memory-mapped registers (`intel-rapl-mmio:0`): the same joules, not counted twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("sys/class/powercap")
_ZONE = re.compile(r"(?P<control>intel-rapl[a-z-]*):(?P<number>\d+)(?::(?P<part>\d+))?")
_PARTS = ("core", "uncore", "dram")


@dataclass(frozen=True)
class Zone:
    """One counter. `domain`: its name here (`package-0`, `dram-0`, `psys`); `counted`: it is a package."""

    domain: str
    folder: Path

    @property
    def counted(self) -> bool:
        return self.domain.startswith("package")

    @property
    def energy(self) -> Path:
        """Microjoules since the machine started, less the wraps."""
        return self.folder / "energy_uj"


def find_zones(root: Path) -> tuple[Zone, ...]:
    """Every counter once, packages first. Empty where there are none; names of unreadable zones count as missing."""
    found: dict[str, Zone] = {}
    folders = sorted(_folders(root / POWERCAP), key=lambda folder: ("-mmio" in folder.name, folder.name))
    for folder in folders:
        zone = _zone(folder, root)
        if zone is not None and zone.domain not in found:
            found[zone.domain] = zone
    return tuple(sorted(found.values(), key=lambda zone: (not zone.counted, zone.domain)))


def count_packages(root: Path) -> int | None:
    """How many packages (sockets) have processors that are online, as the kernel's topology tells; None where it does not."""
    ids = set()
    for file in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/physical_package_id"):
        try:
            ids.add(int(file.read_text()))
        except (OSError, ValueError):
            return None
    return len(ids) or None


def packages_of(zones: tuple[Zone, ...]) -> int:
    """Packages that have a counter; the dies of one package count once (`package-0-die-1`)."""
    return len({zone.domain.split("-")[1] for zone in zones if zone.counted})


def _folders(powercap: Path) -> Iterator[Path]:
    if not powercap.is_dir():
        return
    seen = set()
    for pattern in ("intel-rapl*:*", "*/intel-rapl*:*"):
        for folder in powercap.glob(pattern):
            if folder.name not in seen and _ZONE.fullmatch(folder.name):
                seen.add(folder.name)
                yield folder


def _zone(folder: Path, root: Path) -> Zone | None:
    name = _name(folder)
    match = _ZONE.fullmatch(folder.name)
    if name is None or match is None:
        return None
    if name.startswith("package-") or name == "psys":
        return Zone(name, folder)
    if match["part"] is None or name not in _PARTS:
        return None
    parent = _name(root / POWERCAP / f"{match['control']}:{match['number']}") or _name(folder.parent)
    if parent is None or not parent.startswith("package-"):
        return None
    return Zone(f"{name}-{parent.removeprefix('package-')}", folder)


def _name(folder: Path) -> str | None:
    try:
        return (folder / "name").read_text().strip() or None
    except OSError:
        return None
