"""Work on many copies of one network at once: each thread has its own modules, all of them share the weights."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import TypeVar

import torch

from paredown.analysis.stages import shared_copy
from paredown.compress.calibrate import one_thread
from paredown.models.network import Network

Job = TypeVar("Job")
Result = TypeVar("Result")


def spread(
    network: Network,
    jobs: Sequence[Job],
    work: Callable[[Network, Job], Result],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Result]:
    """`work(copy, job)` of every job, in their order, without gradients.

    Each of the `threads` runs one thread of torch, so that results do not depend on their number. `progress(done, total)` counts jobs;
    each is computed inside a `unit()`. After an error nothing more is begun.
    """
    pool, idle = ThreadPoolExecutor(threads), SimpleQueue[Network]()
    for _ in range(threads):
        idle.put(shared_copy(network))

    def run(job: Job) -> Result:
        own = idle.get()
        try:
            with unit(), torch.inference_mode():
                return work(own, job)
        finally:
            idle.put(own)

    with one_thread():
        try:
            places = {pool.submit(run, job): place for place, job in enumerate(jobs)}
            found: dict[int, Result] = {}
            for done, future in enumerate(as_completed(places), 1):
                found[places[future]] = future.result()
                if progress is not None:
                    progress(done, len(jobs))
        finally:
            pool.shutdown(cancel_futures=True)
    return [found[place] for place in range(len(jobs))]
