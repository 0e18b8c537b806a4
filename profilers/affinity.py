"""Which cores a measurement runs on."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from paredown.errors import BadInput


@contextmanager
def pinned(cores: Iterable[int]) -> Iterator[None]:
    """Keeps this thread, and threads it starts, on the given cores until the block ends.

    A thread pool made before (an onnxruntime session's) stays where it was: make sessions inside the block.
    Raises BadInput where the system has no affinity, or where a core is not among those this process may use.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise BadInput("cores can be chosen on Linux only; this system has no CPU affinity")
    before = os.sched_getaffinity(0)
    wanted = set(cores)
    if not wanted or not wanted <= before:
        raise BadInput(f"cores must be among {sorted(before)}, got {sorted(wanted)}")
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
