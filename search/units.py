"""Human units in, base units out: the one place where "12 MB" becomes 12000000.

MB is 10^6 bytes everywhere, MiB is 2^20.
"""

import math
import re
from collections.abc import Mapping

from paredown.errors import BadInput

_SIZES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LATENCIES_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
_ENERGIES_MJ = {"mJ": 1.0, "J": 1e3, "Wh": 3.6e6}
_DURATIONS_S = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµ]*)\s*")


def parse_size_bytes(text: str | float, what: str = "size") -> int:
    """Bytes of "12 MB", "800 kB", "1.5 GiB" or a bare number of bytes.

    `what` names the value in the error. Raises BadInput on an unknown unit, below one byte and on infinity.
    """
    size_bytes = _parse(text, _SIZES, 1, what, "12 MB")
    if not 1 <= size_bytes < math.inf:
        raise BadInput(f"{what} must be at least 1 byte and finite, got {text!r}")
    return round(size_bytes)


def parse_latency_ms(text: str | float, what: str = "latency") -> float:
    """Milliseconds of "80 ms", "0.2 s" or "900 us". A bare number is refused: it could mean ms or s.

    `what` names the value in the error. Raises BadInput on a missing or unknown unit and on anything that is not above zero.
    """
    return _above_zero(_parse(text, _LATENCIES_MS, None, what, "80 ms"), text, what)


def parse_energy_mj(text: str | float, what: str = "energy") -> float:
    """Millijoules of "250 mJ", "0.2 J" or "10 Wh". A bare number is refused: it could mean mJ or J.

    `what` names the value in the error. Raises BadInput on a missing or unknown unit and on anything that is not above zero.
    """
    return _above_zero(_parse(text, _ENERGIES_MJ, None, what, "250 mJ"), text, what)


def parse_duration_s(text: str | float, what: str = "time") -> float:
    """Seconds of "5 min", "10m", "1.5 h", "90 s" or a bare number of seconds.

    `what` names the value in the error. Raises BadInput on an unknown unit and on anything that is not above zero.
    """
    return _above_zero(_parse(text, _DURATIONS_S, 1.0, what, "5 min"), text, what)


def format_size(size_bytes: float) -> str:
    """ "12.3 MB", "800 kB" or "17 B"."""
    for unit in ("GB", "MB", "kB"):
        if abs(size_bytes) >= _SIZES[unit]:
            return f"{size_bytes / _SIZES[unit]:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def format_duration(seconds: float) -> str:
    """ "45 s", "5 min 20 s" or "1 h 05 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_value(value: float, unit: str) -> str:
    """A value of an objective for people: bytes in kB or MB, everything else with its own unit."""
    return format_size(value) if unit == "bytes" else f"{value:.4g} {unit}".strip()


def _parse(text: str | float, units: Mapping[str, float], bare: float | None, what: str, example: str) -> float:
    """A number times its unit; `bare` is the factor of a number without one, None where a unit must be given."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise BadInput(f'{what} must be a number with a unit such as "{example}", got {text!r}')
    match = _QUANTITY.fullmatch(text if isinstance(text, str) else repr(text))
    if match is None:
        raise BadInput(f'{what} must be a number with a unit such as "{example}", got {text!r}')
    number, unit = float(match[1]), match[2]
    if not unit and bare is not None:
        return number * bare
    if unit not in units:
        raise BadInput(f"{what} must have a unit, one of {', '.join(units)}; got {text!r}")
    return number * units[unit]


def _above_zero(value: float, text: str | float, what: str) -> float:
    if not 0 < value < math.inf:
        raise BadInput(f"{what} must be above zero, got {text!r}")
    return value
