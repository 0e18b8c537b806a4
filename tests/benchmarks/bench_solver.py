"""The bit-width solver: one budget at 500 layers x 7 bit-widths on one core, and beside it HiGHS on the same problem.

Bar: under 2 seconds. Processor time is given beside the wall clock, so that a busy machine can be told from a slow solver.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import block_diag, csr_array

from paredown.space.solver import solve

LAYERS, BAR_SECONDS, REPEATS = 500, 2.0, 3
BITS = np.arange(2, 9)


def make_problem(kind: str, average: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Sensitivities, nominal bits and the budget of an average, at the sizes of a real network or at any size."""
    rng = np.random.default_rng(0)
    sizes = (
        rng.choice([2_400, 25_600, 51_200, 153_600, 160_000], LAYERS) if kind == "layers of a conformer" else rng.integers(1e3, 2e6, LAYERS)
    )
    noise = 1.0 if kind == "any size, noisy table" else 0.2
    sensitivity = rng.lognormal(0, 2, (LAYERS, 1)) * 4.0**-BITS * rng.lognormal(0, noise, (LAYERS, len(BITS)))
    return sensitivity, sizes[:, None] * BITS, int(average * sizes.sum())


def run_solver(sensitivity: np.ndarray, sizes: np.ndarray, budget: int) -> tuple[float, float]:
    """Seconds of wall clock and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    solve(sensitivity, sizes, budget)
    return time.perf_counter() - wall, time.process_time() - processor


def run_highs(sensitivity: np.ndarray, sizes: np.ndarray, budget: int) -> float:
    """Seconds of processor time HiGHS takes to its own optimum (gap 0)."""
    began = time.process_time()
    with silenced_stdout():
        milp(
            sensitivity.ravel() * 1e6 / sensitivity.mean(),
            integrality=np.ones(sensitivity.size),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(csr_array(block_diag([np.ones((1, len(BITS)))] * LAYERS)), 1, 1),
                LinearConstraint(sizes.reshape(1, -1).astype(float), -np.inf, budget),
            ],
            options={"mip_rel_gap": 0.0, "time_limit": 60.0},
        )
    return time.process_time() - began


@contextmanager
def silenced_stdout() -> Iterator[None]:
    """HiGHS writes lines of its own from C++, whatever it is told."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def main() -> None:
    """Print every problem's time, and the slowest beside the bar."""
    slowest = 0.0
    print(f"{LAYERS} layers x {len(BITS)} bit-widths, one budget; wall clock (processor time), best of {REPEATS}")
    for kind in ("layers of a conformer", "any size", "any size, noisy table"):
        for average in (2.5, 4.0, 6.0):
            problem = make_problem(kind, average)
            wall, processor = min(run_solver(*problem) for _ in range(REPEATS))
            slowest, highs = max(slowest, wall), run_highs(*problem)
            print(f"{kind:22s} average {average:.1f}: {wall:6.3f} s ({processor:.3f} s); HiGHS ({highs:.2f} s), {highs / processor:.0f}x")
    print(f"slowest {slowest:.3f} s; bar {BAR_SECONDS:.0f} s: {'met' if slowest < BAR_SECONDS else 'missed'}")


if __name__ == "__main__":
    main()
