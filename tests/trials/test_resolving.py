"""Solving again: never worse than at first, on whatever truth it is given, and reproducible by the table it leaves."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.analysis.allocation_kl import AllocationMeter
from paredown.analysis.kl import measure_kl
from paredown.analysis.resolved import Attempt, Resolved
from paredown.models.groups import build_inventory
from paredown.space.axes.bits import BitsAxis
from paredown.space.configuration import Configuration
from paredown.space.solver import solve
from paredown.trials.resolving import Truth, solve_again
from tests.analysis.test_kl import SOS, network_of, samples

WIDTHS = (2, 3, 4, 6)
PATHS = tuple(f"layer.{index}" for index in range(5))
SIZES = np.outer([4, 7, 3, 9, 5], WIDTHS)
BUDGET = int(3.4 * SIZES[:, 0].sum() / 2)


class Invented:
    """A divergence in which layers act on one another, in place of a network."""

    subset = "none"

    def __init__(self, seed: int, interaction: float) -> None:
        rng = np.random.default_rng(seed)
        self.alone = rng.lognormal(0, 1, (5, 1)) * 4.0 ** -np.array(WIDTHS)
        self.pairs = interaction * rng.random((5, 5))
        self.tables = 0

    def divergence(self, allocation: Mapping[str, int]) -> float:
        spoilt = np.array([self.alone[row, WIDTHS.index(allocation[path])] for row, path in enumerate(PATHS)])
        return float(spoilt.sum() + np.sqrt(spoilt) @ self.pairs @ np.sqrt(spoilt))

    def table_around(self, allocation: Mapping[str, int], paths: Sequence[str], widths: Sequence[int]) -> np.ndarray:
        self.tables += 1
        return np.array([[self.divergence({**allocation, path: width}) for width in widths] for path in paths])


def choose(table: np.ndarray) -> dict[str, int]:
    return {path: WIDTHS[column] for path, column in zip(PATHS, solve(table, SIZES, BUDGET).choice, strict=True)}


def run(truth: Invented, rounds: int) -> Resolved:
    return solve_again(truth.alone, PATHS, WIDTHS, 3.4, choose, truth, rounds)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_is_never_worse_and_its_table_gives_the_best_attempt(seed: int) -> None:
    truth = Invented(seed, 3.0)
    found = run(truth, 4)
    first = choose(truth.alone)
    assert found.attempts[0].bits == tuple(first.values())
    assert found.attempts[0].measured == truth.divergence(first)
    assert found.best.measured <= found.attempts[0].measured
    assert tuple(choose(found.table).values()) == found.best.bits
    for attempt in found.attempts:
        allocation = dict(zip(PATHS, attempt.bits, strict=True))
        assert attempt.measured == truth.divergence(allocation)
        assert sum(SIZES[row, WIDTHS.index(bits)] for row, bits in enumerate(attempt.bits)) <= BUDGET
    assert truth.tables <= 4


def test_comes_nearer_to_the_best_of_all_allocations() -> None:
    """On instances where the additive choice is not the best one; brute force over all allocations within the budget."""
    lost, still = 0.0, 0.0
    for seed in range(40):
        truth = Invented(seed, 3.0)
        every = [
            truth.divergence(dict(zip(PATHS, bits, strict=True)))
            for bits in itertools.product(WIDTHS, repeat=5)
            if sum(SIZES[row, WIDTHS.index(width)] for row, width in enumerate(bits)) <= BUDGET
        ]
        found = run(truth, 4)
        assert found.best.measured >= min(every)
        lost += found.attempts[0].measured - min(every)
        still += found.best.measured - min(every)
    assert lost > 0
    assert still < 0.5 * lost


def test_where_layers_are_independent_the_prediction_holds_and_nothing_changes() -> None:
    truth = Invented(1, 0.0)
    found = run(truth, 3)
    assert truth.tables == 1  # one round without anything better is the last
    assert found.best == found.attempts[0]
    for attempt in found.attempts:
        assert attempt.predicted == pytest.approx(attempt.measured, rel=1e-12)


def test_no_rounds_measure_the_first_choice_alone() -> None:
    truth = Invented(2, 3.0)
    found = run(truth, 0)
    assert (len(found.attempts), truth.tables) == (1, 0)
    assert np.array_equal(found.table, truth.alone)
    with pytest.raises(ValueError, match="rounds must be at least 0, got -1"):
        run(truth, -1)


def test_a_network_under_the_axis() -> None:
    network = network_of("transformer")
    inventory, before = build_inventory(network), torch.get_num_threads()
    paths = tuple(layer.path for layer in inventory.layers)
    torch.set_num_threads(1)
    table = measure_kl(network, paths, samples(), SOS, widths=WIDTHS)

    def by_axis(corrected: np.ndarray) -> Mapping[str, int]:
        axis = BitsAxis(inventory, paths, WIDTHS, table, 2.0, 6.0, corrected={3.0: corrected})
        return axis.resolve({"bits.average": 3.0}, Configuration()).bits_of

    found = solve_again(table, paths, WIDTHS, 3.0, by_axis, Truth(network, samples()[:1], samples(), SOS), 1)
    torch.set_num_threads(before)
    best = by_axis(found.table)
    assert tuple(best[path] for path in paths) == found.best.bits
    assert found.best.measured == AllocationMeter(network, samples(), SOS).divergence(best) <= found.attempts[0].measured
    assert len(found.attempts) > 1


def resolved() -> Resolved:
    attempts = (Attempt("additive", 0.1, 0.3, (2, 4)), Attempt("around", 0.25, 0.1 + 0.2, (4, 2)))
    return Resolved(3.0, ("a", "b.ä"), WIDTHS, np.random.default_rng(0).random((2, 4)), attempts, "2 utterances", 1.5)


def test_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    resolved().save(tmp_path / "a.npz")
    found = Resolved.load(tmp_path / "a.npz")
    assert np.array_equal(found.table, resolved().table)
    for part in ("average", "paths", "widths", "attempts", "subset", "seconds", "best"):
        assert getattr(found, part) == getattr(resolved(), part)


def test_damaged_and_impossible_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        Resolved.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="corrected table must be"):
        Resolved(3.0, ("a",), WIDTHS, np.full((1, 4), -1.0), resolved().attempts, "", 0.0)
    with pytest.raises(ValueError, match="must hold an attempt"):
        Resolved(3.0, ("a",), WIDTHS, np.zeros((1, 4)), (), "", 0.0)
    with pytest.raises(ValueError, match="the width of 1 layers, got 2"):
        Resolved(3.0, ("a",), WIDTHS, np.zeros((1, 4)), resolved().attempts, "", 0.0)
