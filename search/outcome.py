"""What the evaluation of a configuration gives back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from paredown.profilers.measurement import Measurement
from paredown.space.configuration import Configuration


@dataclass(frozen=True)
class Outcome:
    """Everything measured of one configuration: (name, measurement) pairs, sorted by name.

    A study needs one of each objective and of each budget's measure ("quality", "latency_ms@cpu", "size_bytes"); more are kept.
    """

    measurements: tuple[tuple[str, Measurement], ...]

    def __post_init__(self) -> None:
        pairs = tuple(sorted(self.measurements, key=lambda pair: pair[0]))
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"an outcome must name each measurement once, got {[name for name, _ in pairs]}")
        object.__setattr__(self, "measurements", pairs)

    @property
    def measurement_of(self) -> dict[str, Measurement]:
        return dict(self.measurements)

    @property
    def estimated(self) -> tuple[str, ...]:
        """Names of those that no instrument measured; they are labelled wherever they are shown."""
        return tuple(name for name, measurement in self.measurements if measurement.provenance == "estimated")

    def value(self, name: str) -> float:
        """The value of one measurement; raises ValueError where it is absent, unavailable or infinite."""
        found = self.measurement_of.get(name)
        if found is None:
            raise ValueError(
                f"an outcome must hold every objective and budget: {name} is missing from {[key for key, _ in self.measurements]}"
            )
        if not abs(found.value) < float("inf"):
            raise ValueError(f"{name} must be a finite number, got {found.value} ({found.provenance})")
        return found.value

    def to_json(self) -> str:
        """Canonical JSON: an object from name to measurement."""
        value = {name: measurement.to_dict() for name, measurement in self.measurements}
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The outcome that `to_json` wrote."""
        return cls(tuple((name, Measurement.from_dict(value)) for name, value in json.loads(text).items()))


class Rejected(RuntimeError):
    """Raised by an evaluation that refuses a configuration for good (a parity gate, say); the message is the reason.

    The study records it and goes on; the configuration is not proposed again.
    """


class Stopped(RuntimeError):
    """Raised by an evaluation that ends a candidate early, because it cannot matter any more: a budget missed, the front out of reach.

    `partial`: what was measured before. The study records it as a stopped trial, learns from it and goes on.
    """

    def __init__(self, reason: str, partial: Outcome) -> None:
        super().__init__(reason)
        self.partial = partial

    def __reduce__(self) -> tuple[type[Self], tuple[str, Outcome]]:
        """It comes back whole from another process."""
        return type(self), (str(self), self.partial)


Evaluate = Callable[[Configuration, int], Outcome]  # configuration, trial number -> what was measured
