"""Where in memory a load of a model lies, which makes it some percent faster or slower for as long as it lives."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

MOST_BALLAST_BYTES = 2**26


@contextmanager
def scattered(rng: np.random.Generator, most_bytes: int = MOST_BALLAST_BYTES) -> Iterator[None]:
    """Whatever is loaded in the block is given pages that differ from one block to the next.

    Memory of random size, up to `most_bytes`, is held meanwhile. Without it a load would mostly be given the pages that a predecessor has
    just freed: a session of many loads would know few places.
    Source: Curtsinger, Berger, Stabilizer: statistically sound performance evaluation (2013), who place code and data anew at random.
    """
    ballast = np.ones(int(rng.integers(most_bytes)), dtype=np.uint8)  # written, or it would have no pages
    try:
        yield
    finally:
        del ballast
