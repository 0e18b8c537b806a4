"""One measured number: what it is worth, in which unit, how sure, from how many samples and by which means."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Provenance = Literal["measured", "estimated", "unavailable"]
DetailValue = float | int | str | bool | None | tuple[float, ...]

_KEYS = ("value", "unit", "ci95", "samples", "provenance", "detail", "target")


@dataclass(frozen=True)
class Measurement:
    """A value with its interval and its provenance.

    `value`: in `unit`; NaN exactly when `provenance` is "unavailable" (a missing counter is never read as zero).
    `ci95`: 95 % interval (low, high) in the same unit, None where none was computed. It need not hold the value: the
    bootstrap interval of a median may lie beside it by a sample.
    `samples`: how many observations stand behind the value.
    `target`: digest of the fingerprint of the machine it was measured on; None where any machine gives the same figure (bytes, say).
    `detail`: further figures that belong to it, as sorted pairs of name and value.
    """

    value: float
    unit: str
    ci95: tuple[float, float] | None = None
    samples: int = 1
    provenance: Provenance = "measured"
    detail: tuple[tuple[str, DetailValue], ...] = ()
    target: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        detail = tuple(sorted((key, tuple(entry) if isinstance(entry, list) else entry) for key, entry in self.detail))
        object.__setattr__(self, "detail", detail)
        if len({key for key, _ in detail}) != len(detail):
            raise ValueError(f"detail must name each key once, got {[key for key, _ in detail]}")
        if self.provenance not in get_args(Provenance):
            raise ValueError(f"provenance must be one of {', '.join(get_args(Provenance))}, got {self.provenance!r}")
        if math.isnan(self.value) != (self.provenance == "unavailable"):
            raise ValueError(f"a value is NaN exactly when it is unavailable, got {self.value} as {self.provenance}")
        if self.samples < 0:
            raise ValueError(f"samples must be at least 0, got {self.samples}")
        if self.ci95 is not None:
            low, high = (float(end) for end in self.ci95)
            if not low <= high:
                raise ValueError(f"an interval runs from low to high, got ({low}, {high})")
            object.__setattr__(self, "ci95", (low, high))

    @classmethod
    def unavailable(cls, unit: str, reason: str, target: str | None = None) -> Self:
        """What this machine cannot measure, and why (`detail["reason"]`)."""
        return cls(math.nan, unit, samples=0, provenance="unavailable", target=target, detail=(("reason", reason),))

    @property
    def detail_of(self) -> dict[str, DetailValue]:
        return dict(self.detail)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; an unavailable value becomes null."""
        return {
            "value": None if math.isnan(self.value) else self.value,
            "unit": self.unit,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "samples": self.samples,
            "provenance": self.provenance,
            "target": self.target,
            "detail": {key: list(entry) if isinstance(entry, tuple) else entry for key, entry in self.detail},
        }

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; equal measurements give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The measurement that `to_dict` wrote; raises ValueError on unknown or missing keys and impossible values."""
        if set(value) != set(_KEYS):
            raise ValueError(f"a measurement has the keys {', '.join(_KEYS)}; got {', '.join(sorted(value))}")
        given = dict(value)
        number = given.pop("value")
        ci95 = given.pop("ci95")
        detail = given.pop("detail")
        return cls(
            value=math.nan if number is None else number,
            ci95=None if ci95 is None else (ci95[0], ci95[1]),
            detail=tuple(detail.items()),
            **given,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The measurement that `to_json` wrote; raises ValueError on unknown or missing keys and impossible values."""
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"a measurement is a JSON object, got {type(value).__name__}")
        return cls.from_dict(value)
