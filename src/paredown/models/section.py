"""The sections of an ESPnet config (`encoder_conf`, `frontend_conf`, …) and the numbers in them, checked as they are read."""

import sys
from collections.abc import Mapping
from typing import Any

from paredown.models.errors import ModelError


def read_section(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A section by its key, empty where it is absent; raises ModelError if it is no mapping of names to values."""
    section = config.get(key) or {}
    if not isinstance(section, Mapping) or not all(isinstance(name, str) for name in section):
        raise ModelError(f"{key} must map names to values, got {section!r}")
    return dict(section)


def read_count(name: str, value: object) -> int:
    """A whole number of at least 1; raises ModelError, with `name`, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def read_number(name: str, value: object) -> float:
    """A finite number of at least 0; raises ModelError, with `name`, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise ModelError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)
