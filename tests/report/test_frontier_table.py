"""What uniform bytes could buy: never worse than uniform, within its bytes, by brute force on a few layers."""

from itertools import product

import numpy as np

from paredown.analysis.result import WIDTHS, Analysis
from paredown.report.frontier_table import frontier_table
from paredown.space.cost import layer_bytes
from paredown.space.inventory import Inventory, LayerInfo

LAYERS = tuple(
    LayerInfo(f"decoder.decoders.{index}.feed_forward.w_1", "decoder.feed_forward", (8 * index + 8, 16), "linear") for index in range(3)
)


def test_rows_hold_the_best_allocation_within_uniform_bytes() -> None:
    kl = np.sort(np.random.default_rng(0).random((len(LAYERS), len(WIDTHS))), axis=1)[:, ::-1].copy()
    table = frontier_table(Inventory(LAYERS, (), ()), Analysis(tuple(layer.path for layer in LAYERS), kl, {}, "", 0.0))
    sums = [
        (
            sum(layer_bytes(layer, bits) for layer, bits in zip(LAYERS, choice, strict=True)),
            sum(kl[row, bits - 2] for row, bits in enumerate(choice)),
        )
        for choice in product(WIDTHS, repeat=len(LAYERS))
    ]
    for row in table.rows:
        assert row.size_bytes == sum(layer_bytes(layer, row.bits) for layer in LAYERS)
        assert np.isclose(row.best, min(cost for size, cost in sums if size <= row.size_bytes))
        assert row.best <= row.uniform
        assert sum(count for _, count in row.chosen) == len(LAYERS)
    undominated = {(size, cost) for size, cost in sums if not any((s <= size and c < cost) or (s < size and c <= cost) for s, c in sums)}
    assert table.points == len(undominated)
