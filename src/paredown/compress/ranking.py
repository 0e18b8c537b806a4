"""How many weights of every layer survive pruning, without masks: the ranking of `prune.survivors` over magnitudes that are sorted once.

A group's ranking depends on which blocks stay, so every parameter is sorted on its own, and the threshold of any selection of them is
found by halving: non-negative float32 numbers are in the order of their bits, so 32 halvings find it among all of them.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Array

_LARGEST_BITS = 0x7F80_0000  # infinity's; those of a NaN are larger
_KEPT = 1024  # sorted parameters: all of a model, and some in other shapes
_REMEMBERED = 4096  # counts of (parameters, share); a search asks for the same shares again and again

Name = TypeVar("Name", bound=Hashable)
Asked = TypeVar("Asked", bound=Hashable, contravariant=True)


class State(Protocol[Asked]):
    """Parameters by name, or by name and whatever else their numbers depend on."""

    def __getitem__(self, name: Asked, /) -> Array: ...


class Ranking(Generic[Name]):
    """The magnitudes of a model's parameters; each is sorted when it is first asked for (as large as the parameter itself)."""

    def __init__(self, state: State[Name]) -> None:
        self._state = state
        self._ranked = lru_cache(_KEPT)(self._rank)
        self._count = lru_cache(_REMEMBERED)(self._count_survivors)

    def count_survivors(self, names: Iterable[Name], share: float) -> Mapping[Name, int]:
        """How many weights of each of these parameters `prune.survivors` leaves when it ranks them together, in this order.

        Ties go as they go there: of equal magnitudes those that come first are removed first. Raises ValueError unless 0 <= share < 1,
        and for a parameter that holds a NaN.
        """
        names = tuple(names)
        return dict(zip(names, self._count(names, share), strict=True))

    def _count_survivors(self, names: tuple[Name, ...], share: float) -> tuple[int, ...]:
        if not 0.0 <= share < 1.0:
            raise ValueError(f"sparsity must lie in [0, 1), got {share}")
        ranked = [self._ranked(name) for name in names]
        removed = round(share * sum(map(len, ranked)))
        if removed == 0:
            return tuple(map(len, ranked))
        threshold = _smallest(ranked, removed)
        below = [int(np.searchsorted(bits, threshold, "left")) for bits in ranked]
        ties = [int(np.searchsorted(bits, threshold, "right")) - smaller for bits, smaller in zip(ranked, below, strict=True)]
        left = removed - sum(below)  # of the ties, those that go too
        survivors = []
        for bits, smaller, equal in zip(ranked, below, ties, strict=True):
            gone = min(left, equal)
            left -= gone
            survivors.append(len(bits) - smaller - gone)
        return tuple(survivors)

    def _rank(self, name: Name) -> NDArray[np.uint32]:
        """The bits of a parameter's magnitudes, ascending."""
        bits = np.abs(np.asarray(self._state[name], np.float32)).reshape(-1).view(np.uint32)
        bits.sort()
        if bits.size and bits[-1] > _LARGEST_BITS:
            raise ValueError(f"a weight to rank must be a number, got NaN in {name}")
        return bits


def _smallest(ranked: Sequence[NDArray[np.uint32]], count: int) -> np.uint32:
    """The `count`-th smallest of all numbers, counted from 1: the least that has so many at or below it."""
    low, high = 0, _LARGEST_BITS
    while low < high:
        middle = (low + high) // 2
        if sum(int(np.searchsorted(bits, np.uint32(middle), "right")) for bits in ranked) >= count:
            high = middle
        else:
            low = middle + 1
    return np.uint32(low)
