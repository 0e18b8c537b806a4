"""What every worker process must be: one BLAS thread wide."""

import os

from paredown.trials.workers import ONE_BLAS_THREAD, worker_pool


def test_workers_start_with_one_blas_thread() -> None:
    with worker_pool(1) as pool:
        seen = {name: pool.submit(os.getenv, name).result() for name in ONE_BLAS_THREAD}
    assert seen == ONE_BLAS_THREAD
