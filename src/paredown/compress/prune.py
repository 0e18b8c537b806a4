"""L1 pruning of a module group: its smallest weights go, wherever in the group they are (on-device ST paper, 5.3.2).

The ranking is global inside the group: all of its weight matrices, linear positions and norm and batch-norm weights compete with each
other by magnitude, so that layers of one group may end with very different shares.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Array


def survivors(weights: Mapping[str, Array], share: float) -> dict[str, NDArray[np.bool_]]:
    """Masks (True survives) that remove `round(share * total)` of the weights, smallest magnitudes first, rounding half to even.

    Of equal magnitudes those that come first go first, in the order of the mapping and of the arrays, so that the count is exact.
    Raises ValueError unless 0 <= share < 1.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"sparsity must lie in [0, 1), got {share}")
    flat = np.concatenate([np.abs(weight).ravel() for weight in weights.values()] or [np.zeros(0, np.float32)])
    removed = round(share * flat.size)
    kept = np.ones(flat.size, dtype=bool)
    if removed:
        threshold = np.partition(flat, removed - 1)[removed - 1]
        kept = flat > threshold
        ties = np.flatnonzero(flat == threshold)
        kept[ties[removed - (flat.size - np.count_nonzero(kept) - len(ties)) :]] = True
    return _split(kept, weights)


def _split(kept: NDArray[np.bool_], weights: Mapping[str, Array]) -> dict[str, NDArray[np.bool_]]:
    ends: Sequence[int] = np.cumsum([weight.size for weight in weights.values()]).tolist()
    parts = np.split(kept, ends[:-1]) if ends else []
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)}
