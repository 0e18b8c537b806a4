"""The job of a toy evaluation: apart from the toy, so that a worker imports nothing."""

import time


def work(pause_s: float) -> float:
    """Takes its time."""
    time.sleep(pause_s)
    return pause_s
