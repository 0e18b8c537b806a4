"""The members of a family of architectures: the sizes that go with each penalty eta."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Members:
    """`sizes[e][p]` goes with `etas[e]` and `paths[p]`: hidden units of feed-forwards, or ranks of layers. Etas ascend."""

    paths: tuple[str, ...]
    etas: tuple[float, ...]
    sizes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.etas or list(self.etas) != sorted(set(self.etas)):
            raise ValueError(f"the etas of a family must be different and ascending, got {self.etas}")
        if len(self.sizes) != len(self.etas) or any(len(row) != len(self.paths) for row in self.sizes):
            raise ValueError(f"every eta needs a size for each of {len(self.paths)} paths, got {[len(row) for row in self.sizes]}")
        if any(size < 1 for row in self.sizes for size in row):
            raise ValueError("sizes of a family must be at least 1")

    @property
    def digest(self) -> str:
        """SHA-256 of paths, etas and sizes."""
        return hashlib.sha256(json.dumps([self.paths, self.etas, self.sizes]).encode()).hexdigest()

    def least(self, low: float, high: float, parameters: Callable[[float], int]) -> float:
        """The eta in [low, high] that leaves the least `parameters`, the largest of equal ones."""
        etas = {low, high, *(eta for eta in self.etas if low <= eta <= high)}
        return min(sorted(etas, reverse=True), key=parameters)

    def at(self, eta: float) -> dict[str, int]:
        """The sizes of the member whose eta is nearest to this one, by path; half way the smaller eta counts, which shrinks less."""
        nearest = min(range(len(self.etas)), key=lambda index: (abs(self.etas[index] - eta), index))
        return dict(zip(self.paths, self.sizes[nearest], strict=True))
