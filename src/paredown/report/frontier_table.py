"""The exact frontier of bytes and summed sensitivity as a few rows: what each uniform width's bytes could buy."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from paredown.analysis.result import Analysis
from paredown.space.cost import layer_bytes
from paredown.space.frontier import frontier
from paredown.space.inventory import Inventory

COLUMNS = ("bytes of", "MB", "uniform: summed KL", "chosen: summed KL", "bit-widths chosen")


@dataclass(frozen=True)
class FrontierRow:
    """At the bytes of all layers at `bits`: the summed divergence in nats of that, and of the best allocation within them.

    `chosen[n]`: layers that the allocation gives each bit-width.
    """

    bits: int
    size_bytes: int
    uniform: float
    best: float
    chosen: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"chosen": dict(self.chosen)}

    def told(self) -> tuple[str, ...]:
        """A line of the table."""
        layers = ", ".join(f"{count} at {bits}" for bits, count in self.chosen)
        return (f"all at {self.bits}", f"{self.size_bytes / 1e6:.3f}", f"{self.uniform:.3g}", f"{self.best:.3g}", layers)


@dataclass(frozen=True)
class FrontierTable:
    """`points`: how many allocations of a model no other one beats in bytes and in summed divergence; `rows`: some of them."""

    points: int
    rows: tuple[FrontierRow, ...]


def frontier_table(inventory: Inventory, analysis: Analysis) -> FrontierTable:
    """Bytes of layers with their scales, of the whole model without zeros."""
    sizes = np.array([[layer_bytes(inventory.by_path[path], bits) for bits in analysis.widths] for path in analysis.paths], dtype=np.int64)
    found, rows = frontier(analysis.kl, sizes), []
    for column, bits in enumerate(analysis.widths):
        size_bytes = int(sizes[:, column].sum())
        best = found.at(size_bytes)
        counts = np.bincount(best.choice, minlength=len(analysis.widths)).tolist()
        chosen = tuple((width, count) for width, count in zip(analysis.widths, counts, strict=True) if count)
        rows.append(FrontierRow(bits, size_bytes, float(analysis.kl[:, column].sum()), best.sensitivity, chosen))
    return FrontierTable(len(found), tuple(rows))
