"""Axis `rank`: a matrix as the product of two, with a bottleneck between them (lossless 4-bit Conformer paper, Table 1, pattern S).

W = U S V' in float64; of rank r there remain `down` = V_r' [r, in], whose rows are orthonormal (the paper's semi-orthogonal factor), and
`up` = U_r S_r [out, r]: the nearest matrix of that rank (Eckart and Young). Smaller ranks are the first rows and columns of larger ones,
so one decomposition serves all ranks of a layer. A pair of singular vectors may change its sign: the largest entry of every row of
`down` is made positive.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from paredown.compress.tensors import Array


@dataclass(frozen=True, eq=False)
class Factors:
    """`down` [rank, in] and `up` [out, rank], singular values descending: the weight is up @ down."""

    down: Array
    up: Array

    def cut(self, rank: int) -> "Factors":
        """The nearest product of a smaller rank."""
        return Factors(np.ascontiguousarray(self.down[:rank]), np.ascontiguousarray(self.up[:, :rank]))


def decompose(weight: Array) -> Factors:
    """A weight [out, in] at its full rank, min(out, in); the same bits however many cores there are.

    Raises ValueError on a weight that is not finite (LAPACK would fail at NaN, and might never return from infinity).
    """
    if not np.isfinite(weight).all():
        raise ValueError(f"a weight to factorize must be finite, got {weight[~np.isfinite(weight)][0]}")
    with threadpool_limits(1, user_api="blas"):
        left, values, right = np.linalg.svd(np.asarray(weight, np.float64), full_matrices=False)
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.where(largest < 0, -1.0, 1.0)
    return Factors((right * signs[:, None]).astype(np.float32), (left * (values * signs)).astype(np.float32))


def factorize(parameters: Mapping[str, Array], ranks: Mapping[str, int], decomposed: Callable[[str, Array], Factors]) -> dict[str, Array]:
    """The parameters with the weights of the layers in `ranks` replaced by two factors, in their place; absent layers are passed over.

    `decomposed` gives the factors of a layer's weight, or remembers them.
    """
    found: dict[str, Array] = {}
    for name, array in parameters.items():
        path = name.removesuffix(".weight")
        if path == name or path not in ranks:
            found[name] = array
            continue
        factors = decomposed(path, array).cut(ranks[path])
        found[f"{path}.down.weight"], found[f"{path}.up.weight"] = factors.down, factors.up
    return found
