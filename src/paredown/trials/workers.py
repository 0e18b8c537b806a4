"""Worker processes that go when their parent goes: after Ctrl-C, and after a kill -9 that gave the parent no time to say so."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

PARENT_POLL_S = 0.5
# NumPy's BLAS would start a thread for each core in every worker, for products of microseconds: decoding took twice as long, and a latency
# "with one thread" had two. A BLAS reads this when it is loaded, so it must be set before the worker starts.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh (spawned) processes: they import only what their jobs import, and have one BLAS thread each."""
    os.environ.update(ONE_BLAS_THREAD)  # for the children: the BLAS of this process is loaded already
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),))


def _begin_worker(parent: int) -> None:
    """The parent alone answers Ctrl-C; a worker whose parent died ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)
