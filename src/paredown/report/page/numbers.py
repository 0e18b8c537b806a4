"""Figures in few bytes."""

import math
from typing import Any

DIGITS = 6
MOST = 12  # entries of a list


def short(value: float) -> float:
    """With six digits: more than any figure here is sure of."""
    return float(f"{value:.{DIGITS}g}")


def short_of(value: float) -> float:
    """With three digits, for a sentence."""
    return float(f"{value:.3g}")


def tidy(value: Any) -> Any:
    """Plain JSON values, numbers shortened; a list longer than a line is cut, and says by how much."""
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return short(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [*(tidy(each) for each in value[:MOST]), *([f"{len(value) - MOST} more"] if len(value) > MOST else [])]
    return str(value)
