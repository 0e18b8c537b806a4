"""Memory that is held while something is loaded: of random size, with pages of its own, given back afterwards."""

import tracemalloc

import numpy as np
import pytest

from paredown.profilers.placement import scattered


def held_bytes(seed: int, most_bytes: int) -> int:
    before = tracemalloc.get_traced_memory()[0]
    with scattered(np.random.default_rng(seed), most_bytes):
        return tracemalloc.get_traced_memory()[0] - before


def test_memory_of_random_size_is_held_and_given_back() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        sizes = [held_bytes(seed, 2**24) for seed in range(8)]
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(set(sizes)) == len(sizes)
    assert all(0 < size < 2**24 + 2**16 for size in sizes)
    assert max(sizes) > 2**22
    assert after - before < 2**20


def test_it_is_given_back_when_loading_fails() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(RuntimeError), scattered(np.random.default_rng(0)):
            raise RuntimeError("cannot be loaded")
        assert tracemalloc.get_traced_memory()[0] - before < 2**20
    finally:
        tracemalloc.stop()
