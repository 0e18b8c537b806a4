"""A family of architectures: the sizes that a search found at every penalty eta, from one supernet."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np

from paredown.analysis.array_file import load_array, save_array
from paredown.analysis.darts.alphas import SearchSettings
from paredown.analysis.darts.candidates import Choice, Kind

_FILE = "a family of architectures"


@dataclass(frozen=True)
class Family:
    """`sizes[e][c]`: hidden units (kind "width") or ranks ("rank") of choice c at `etas[e]`, each one of its candidates.

    `etas` ascend. `settings` is how alphas were learnt, `subset` says in words on which utterances, `seconds` how long it took.
    """

    kind: Kind
    choices: tuple[Choice, ...]
    etas: tuple[float, ...]
    sizes: tuple[tuple[int, ...], ...]
    settings: SearchSettings
    subset: str
    seconds: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a family is of kind {' or '.join(get_args(Kind))}, got {self.kind!r}")
        if not self.etas or list(self.etas) != sorted(set(self.etas)) or not 0.0 <= self.etas[0] <= self.etas[-1] < float("inf"):
            raise ValueError(f"etas must be different, ascending, finite and at least 0, got {self.etas}")
        if len(self.sizes) != len(self.etas):
            raise ValueError(f"every eta needs its sizes, got {len(self.sizes)} for {len(self.etas)} etas")
        for row in self.sizes:
            for size, choice in zip(row, self.choices, strict=True):
                if size not in choice.candidates:
                    raise ValueError(f"sizes must be candidates of their layer, got {size} for {choice.path}")

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the feed-forwards (width) or of their matrices (rank), in network order."""
        return tuple(choice.path for choice in self.choices)

    @property
    def parameters(self) -> tuple[int, ...]:
        """Parameters of the searched layers at every eta."""
        return tuple(sum(_parameters(choice, size) for choice, size in zip(self.choices, row, strict=True)) for row in self.sizes)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that an axis reads: kind, paths, etas and sizes."""
        parts = [self.kind, self.paths, self.etas, self.sizes]
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write one npz file, atomically; its folder must exist."""
        save_array(path, _FILE, np.array(self.sizes, np.float64), self._description())

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote; raises ValueError if the file is damaged, FileNotFoundError if there is none."""
        array, described = load_array(path, _FILE)
        try:
            choices = tuple(Choice(row["path"], tuple(row["candidates"]), tuple(row["millions"])) for row in described.pop("choices"))
            sizes = tuple(tuple(int(size) for size in row) for row in array)
            return cls(choices=choices, sizes=sizes, etas=tuple(described.pop("etas")), settings=_settings(described), **described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{_FILE} must be as paredown wrote it, {path} is not: {error}") from error

    def _description(self) -> dict[str, Any]:
        choices = [asdict(choice) for choice in self.choices]
        words = {"subset": self.subset, "seconds": self.seconds, "settings": asdict(self.settings)}
        return {"family": self.kind, "choices": choices, "etas": self.etas} | words


def _settings(described: dict[str, Any]) -> SearchSettings:
    described["kind"] = described.pop("family")  # `save_array` has a use of its own for "kind"
    return SearchSettings(**described.pop("settings"))


def _parameters(choice: Choice, size: int) -> int:
    return round(1e6 * choice.millions[choice.candidates.index(size)])


def eta_ladder(low: float, high: float, steps: int = 5, ratio: float = 2.0) -> tuple[float, ...]:
    """Penalties to search at: `high`, and below it a `ratio` each, `steps` at most, down to `low`, which is always among them.

    Raises ValueError unless 0 <= low <= high.
    """
    if not 0.0 <= low <= high < float("inf"):
        raise ValueError(f"penalties must run from at least 0 up to a finite value, got [{low}, {high}]")
    rungs = {high / ratio**step for step in range(steps)}
    return tuple(sorted({low, high} | {rung for rung in rungs if low < rung}))


def describe_settings(kind: Kind, etas: Sequence[float], settings: SearchSettings) -> Mapping[str, Any]:
    """What a family depends on besides model and data, for the key of its cache entry."""
    return {"kind": f"{kind} family", "etas": list(etas), **asdict(settings)}
