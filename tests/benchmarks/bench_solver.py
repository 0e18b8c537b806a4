"""The bit-width solver on one core: one budget, beside HiGHS on the same problem, and whole Pareto frontiers.

Tables are those of the bundled model's layers, in true bytes (scales, and masks where layers are sparse), and random ones at 1,000 layers.
Processor time is given beside the wall clock, so that a busy machine can be told from a slow solver.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import block_diag, csr_array

from paredown.models import load_model
from paredown.space.cost import layer_bytes
from paredown.space.frontier import frontier
from paredown.space.inventory import LayerInfo
from paredown.space.solver import solve
from tests.benchmarks.bars import Bar, print_bars

LAYERS, REPEATS = 1000, 3
ONE_BUDGET_S, BUNDLED_FRONTIER_S, LARGE_FRONTIER_S = 2.0, 1.0, 10.0
BITS, EIGHT = np.arange(2, 9), np.arange(1, 9)
# Weights of the layers of a conformer of width 256 with hidden layers of 2048, and of its parts.
SHAPES = (65_536, 524_288, 131_072, 1_024_000, 622_592, 589_824, 2_304, 3_840, 7_936, 262_144, 16_384, 4_096)
AVERAGES = (2.5, 4.0, 6.0)
Problem = tuple[np.ndarray, np.ndarray]


def kl_like(rng: np.random.Generator, layers: int, bits: np.ndarray, noise: float) -> np.ndarray:
    """Sensitivities that fall fourfold with every bit, and differ between layers by orders of magnitude."""
    return np.asarray(rng.lognormal(0, 2, (layers, 1)) * 4.0**-bits * rng.lognormal(0, noise, (layers, len(bits))))


def random_problems() -> dict[str, Problem]:
    """1,000 layers of the sizes of a network or of any, with calm and noisy tables, and with costs that follow the sizes."""
    rng = np.random.default_rng(0)
    few, any_size = rng.choice(SHAPES, LAYERS)[:, None] * BITS, rng.integers(1_000, 2_000_000, LAYERS)[:, None] * BITS
    unordered = np.sort(rng.integers(1_000, 2_000_000, (LAYERS, len(BITS))), axis=1)
    return {
        "sizes of a conformer": (kl_like(rng, LAYERS, BITS, 0.2), few),
        "any size": (kl_like(rng, LAYERS, BITS, 0.2), any_size),
        "any size, noisy table": (kl_like(rng, LAYERS, BITS, 1.0), any_size),
        "sizes and costs at random": (rng.random((LAYERS, len(BITS))), unordered),
    }


def bundled_problems() -> dict[str, Problem]:
    """The bundled model's layers, dense, sparse by group and each as sparse as it happens; the table is one of those above in kind."""
    layers = load_model("bundled:tatoeba-en-de").inventory().layers
    rng = np.random.default_rng(0)
    shares = {group: rng.uniform(0.2, 0.7) for group in sorted({layer.group for layer in layers})}
    costs = kl_like(rng, len(layers), BITS, 0.2)

    def sizes(survivors: Callable[[LayerInfo], int | None]) -> np.ndarray:
        return np.array([[layer_bytes(layer, int(bits), survivors(layer)) for bits in BITS] for layer in layers])

    return {
        "dense": (costs, sizes(lambda _: None)),
        "sparse by group": (costs, sizes(lambda layer: layer.weights - round(shares[layer.group] * layer.weights))),
        "sparse at random": (costs, sizes(lambda layer: int(rng.integers(layer.weights // 10, layer.weights)))),
    }


def large_problems() -> dict[str, Problem]:
    """1,000 layers of 12 shapes at 8 widths."""
    rng = np.random.default_rng(1)
    return {
        "shapes of a conformer": (kl_like(rng, LAYERS, EIGHT, 0.2), rng.choice(SHAPES, LAYERS)[:, None] // 8 * EIGHT),
        "any 12 shapes": (kl_like(rng, LAYERS, EIGHT, 0.2), rng.choice(rng.integers(1_000, 200_000, 12), LAYERS)[:, None] * EIGHT),
        "noisy table": (kl_like(rng, LAYERS, EIGHT, 1.0), rng.choice(SHAPES, LAYERS)[:, None] // 8 * EIGHT),
    }


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall clock and processor time, the best of some runs."""
    found = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(found)


def run_highs(costs: np.ndarray, sizes: np.ndarray, budget: int) -> float:
    """Seconds of processor time HiGHS takes to its own optimum (gap 0), or to its time limit."""
    began = time.process_time()
    layers, widths = costs.shape
    with silenced_stdout():
        milp(
            costs.ravel() * 1e6 / costs.mean(),
            integrality=np.ones(costs.size),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(csr_array(block_diag([np.ones((1, widths))] * layers)), 1, 1),
                LinearConstraint(sizes.reshape(1, -1).astype(float), -np.inf, budget),
            ],
            options={"mip_rel_gap": 0.0, "time_limit": 20.0},
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


def time_budgets() -> float:
    """The slowest budget, in seconds."""
    slowest = 0.0
    print(f"one budget, {LAYERS} layers x {len(BITS)} widths: wall clock (processor time), best of {REPEATS}; HiGHS beside it, up to 20 s")
    for name, (costs, sizes) in random_problems().items():
        for average in AVERAGES:
            share = (average - BITS[0]) / (BITS[-1] - BITS[0])
            budget = int((1 - share) * sizes.min(axis=1).sum() + share * sizes.max(axis=1).sum())
            wall, processor = seconds(lambda c=costs, s=sizes, b=budget: solve(c, s, b))  # type: ignore[misc]
            slowest, highs = max(slowest, wall), run_highs(costs, sizes, budget)
            print(
                f"  {name:26s} {average:.1f} bits: {wall:6.3f} s ({processor:.3f} s); HiGHS ({highs:.2f} s), {highs / processor:.0f}x",
                flush=True,
            )
    return slowest


def time_frontiers(title: str, problems: dict[str, Problem]) -> float:
    """The slowest frontier, in seconds."""
    slowest = 0.0
    print(f"whole frontier, {title}")
    for name, (costs, sizes) in problems.items():
        wall, processor = seconds(lambda c=costs, s=sizes: frontier(c, s))  # type: ignore[misc]
        slowest = max(slowest, wall)
        print(f"  {name:26s} {len(frontier(costs, sizes)):9,d} points: {wall:6.3f} s ({processor:.3f} s)", flush=True)
    return slowest


def main() -> None:
    """Print every problem's time, and the slowest beside the bars."""
    one, large = time_budgets(), large_problems()
    bundled = time_frontiers("bundled model x 7 widths", bundled_problems())
    whole = time_frontiers(f"{LAYERS} layers of 12 shapes x 8 widths", large)
    print_bars(
        "solver, slowest problem of each kind",
        [
            Bar(f"one budget, {LAYERS} layers of any sizes", one, ONE_BUDGET_S, at_least=False, unit="s"),
            Bar("whole frontier of the bundled model", bundled, BUNDLED_FRONTIER_S, at_least=False, unit="s"),
            Bar(f"whole frontier, {LAYERS} layers of 12 shapes", whole, LARGE_FRONTIER_S, at_least=False, unit="s"),
        ],
    )


if __name__ == "__main__":
    main()
