"""Faked /sys trees: energy counters of several machines, batteries and chargers, /proc/cpuinfo."""

from collections.abc import Mapping
from pathlib import Path

RANGE_UJ = 262_143_328_850  # of Intel's packages with 61 uJ a unit
DRAM_RANGE_UJ = 65_712_999_613  # of server dram, 15.3 uJ a unit

# Folder of a zone -> its name. Flat, as the kernel shows them.
LAYOUTS: dict[str, dict[str, str]] = {
    "intel laptop": {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "uncore", "intel-rapl:1": "psys"},
    "intel laptop twice": {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl-mmio:0": "package-0",
    },
    "intel 2 sockets": {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "dram",
        "intel-rapl:2": "psys",
    },
    "amd": {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core"},
}


def write_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    return path


def write_zones(root: Path, zones: Mapping[str, str], value_uj: int = 100_000_000_000, range_uj: int = RANGE_UJ) -> dict[str, Path]:
    """Zones with their names, counters and ranges; returns the folder of every zone."""
    powercap = root / "sys/class/powercap"
    for folder, name in zones.items():
        write_file(powercap / folder / "name", name)
        write_file(powercap / folder / "energy_uj", str(value_uj))
        write_file(powercap / folder / "max_energy_range_uj", str(range_uj))
    return {folder: powercap / folder for folder in zones}


def write_packages(root: Path, packages: int, cores: int = 2) -> None:
    """The kernel's topology: which processor lies in which package."""
    for package in range(packages):
        for core in range(cores):
            cpu = root / f"sys/devices/system/cpu/cpu{package * cores + core}"
            write_file(cpu / "topology/physical_package_id", str(package))


def write_cpuinfo(root: Path, model: str, packages: int = 1, cores: int = 4, threads: int = 2, flags: str = "fpu avx2") -> None:
    """`cores` physical ones a package, `threads` a core."""
    blocks = []
    for package in range(packages):
        for core in range(cores):
            for _ in range(threads):
                place = f"physical id\t: {package}\ncore id\t\t: {core}"
                blocks.append(f"processor\t: {len(blocks)}\nmodel name\t: {model}\n{place}\nflags\t\t: {flags}\n")
    write_file(root / "proc/cpuinfo", "\n".join(blocks))


def write_battery(root: Path, name: str = "BAT0", **fields: object) -> Path:
    """A battery that discharges; fields override its files, None leaves one out."""
    values: dict[str, object] = {"type": "Battery", "status": "Discharging", "energy_now": 50_000_000, "power_now": 20_000_000}
    folder = root / "sys/class/power_supply" / name
    for key, value in (values | fields).items():
        if value is not None:
            write_file(folder / key, str(value))
    return folder


def write_charger(root: Path, online: bool = False, kind: str = "Mains") -> Path:
    folder = root / "sys/class/power_supply/AC"
    write_file(folder / "type", kind)
    write_file(folder / "online", "1" if online else "0")
    return folder
