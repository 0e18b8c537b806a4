"""What a search chooses from: the hidden sizes of every feed-forward, or the bottlenecks of its two matrices, and what each costs."""

from dataclasses import dataclass
from typing import Literal

from paredown.space.inventory import Inventory, LayerInfo

Kind = Literal["width", "rank"]
TENTHS, EIGHTHS = 10, 8
SMALLEST_SHARE = 1 / 30
_MULTIPLE = 8  # what a vector instruction takes at once
_MILLION = 1e6


@dataclass(frozen=True)
class Choice:
    """`candidates` of one feed-forward or layer, ascending, the last one all there is; `millions`: of parameters, of each candidate.

    Complexity C of Eq. 4 of the lossless 4-bit Conformer paper is counted in millions, and eta depends on that.
    """

    path: str
    candidates: tuple[int, ...]
    millions: tuple[float, ...]

    def __post_init__(self) -> None:
        if list(self.candidates) != sorted(set(self.candidates)) or not self.candidates or self.candidates[0] < 1:
            raise ValueError(f"candidates must be different, ascending and at least 1, got {self.candidates} for {self.path}")
        if len(self.millions) != len(self.candidates):
            raise ValueError(f"every candidate of {self.path} needs its parameters, got {len(self.millions)} for {len(self.candidates)}")


def list_choices(inventory: Inventory, kind: Kind) -> tuple[Choice, ...]:
    """The choices of every feed-forward (widths) or of each of its two matrices (ranks), in network order."""
    if kind == "width":
        return tuple(_width_choice(inventory, path) for path in inventory.feed_forwards)
    return tuple(_rank_choice(inventory.by_path[f"{path}.{role}"]) for path in inventory.feed_forwards for role in ("w_1", "w_2"))


def width_candidates(units: int) -> tuple[int, ...]:
    """Hidden sizes: tenths of all units, and one far below them for a feed-forward that does next to nothing: 32, 96, 192, …, 960 of 960.

    Multiples of 8 where there are enough. Source: the paper's Table 1 searches a quarter to the whole in steps of 128 units.
    """
    if units < 1:
        raise ValueError(f"a feed-forward must have at least one hidden unit, got {units}")
    shares = (SMALLEST_SHARE, *(tenth / TENTHS for tenth in range(1, TENTHS)))
    return _rounded(shares, units, units)


def rank_candidates(rows: int, columns: int) -> tuple[int, ...]:
    """Bottlenecks of a matrix: eighths of the rank at which two factors have as many parameters as it, and its full rank (whole)."""
    even = rows * columns / (rows + columns)
    smaller = _rounded(tuple(eighth / EIGHTHS for eighth in range(1, EIGHTHS)), even, min(rows, columns))
    return (*(rank for rank in smaller if rank * (rows + columns) < rows * columns), min(rows, columns))


def _rounded(shares: tuple[float, ...], whole: float, most: int) -> tuple[int, ...]:
    """These shares of `whole` as distinct whole numbers below `most`, and `most` itself."""
    multiple = _MULTIPLE if whole >= _MULTIPLE * TENTHS else 1
    return tuple(sorted({min(most, max(multiple, round(share * whole / multiple) * multiple)) for share in shares} | {most}))


def _width_choice(inventory: Inventory, path: str) -> Choice:
    first, second = inventory.by_path[f"{path}.w_1"], inventory.by_path[f"{path}.w_2"]
    biases = any(name == f"{path}.w_1.bias" for name, _ in inventory.vectors)
    of_one = first.shape[1] + second.shape[0] + biases
    candidates = width_candidates(first.channels)
    return Choice(path, candidates, tuple(units * of_one / _MILLION for units in candidates))


def _rank_choice(layer: LayerInfo) -> Choice:
    rows, columns = layer.shape
    candidates = rank_candidates(rows, columns)
    factors = tuple(rank * (rows + columns) / _MILLION for rank in candidates[:-1])
    return Choice(layer.path, candidates, (*factors, layer.weights / _MILLION))
