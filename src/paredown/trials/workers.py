"""Worker processes that go when their parent goes: after Ctrl-C, and after a kill -9 that gave the parent no time to say so."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

PARENT_POLL_S = 0.5


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh (spawned) processes: they import only what their jobs import."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),))


def _begin_worker(parent: int) -> None:
    """The parent alone answers Ctrl-C; a worker whose parent died ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)
