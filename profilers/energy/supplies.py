"""The batteries and chargers of this machine, as /sys/class/power_supply tells them."""

from pathlib import Path

from paredown.profilers.energy.powercap import Read

SUPPLIES = Path("sys/class/power_supply")
_CHARGERS = ("Mains", "USB", "Wireless")


def find_batteries(root: Path, read: Read = Path.read_text) -> tuple[Path, ...]:
    """Folders of the batteries that drive this machine; that of a mouse (`scope` is Device) does not."""
    folders = _supplies(root)
    return tuple(folder for folder in folders if _word(folder, "type", read) == "Battery" and _word(folder, "scope", read) != "Device")


def has_counter(battery: Path) -> bool:
    """It tells its energy, or its charge and its voltage."""
    return (battery / "energy_now").exists() or ((battery / "charge_now").exists() and (battery / "voltage_now").exists())


def plugged_in(root: Path, read: Read = Path.read_text) -> str | None:
    """Why the machine is not running on its batteries alone; None when it is."""
    for folder in _supplies(root):
        if _word(folder, "type", read) in _CHARGERS and _word(folder, "online", read) == "1":
            return f"{folder.name} is plugged in"
    status = {folder.name: _word(folder, "status", read) for folder in find_batteries(root, read)}
    charging = [name for name, word in status.items() if word == "Charging"]
    if charging:
        return f"{', '.join(charging)} is charging"
    if "Discharging" not in status.values():
        return f"no battery says that it discharges ({', '.join(f'{name}: {word}' for name, word in status.items())})"
    return None


def _supplies(root: Path) -> list[Path]:
    folder = root / SUPPLIES
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _word(folder: Path, name: str, read: Read) -> str | None:
    try:
        return read(folder / name).strip() or None
    except OSError:
        return None
