"""Drift of the reference: found where there is one, not where there is none, whatever utterances come when."""

import numpy as np
import pytest

from paredown.profilers.latency.drift import Drift, measure_drift


def session(
    change: float, noise: float, seed: int, rounds: int = 6, items: int = 12, loads: int = 1, load_noise: float = 0.0
) -> Drift | None:
    """Runs of utterances that differ tenfold, on a machine that changes evenly by `change` from begin to end."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(items) for _ in range(rounds)])
    place = np.arange(len(order)) * loads // len(order)
    logs = np.log(10.0 + 8.0 * order) + np.log1p(change) * np.linspace(0, 1, len(order)) + noise * rng.standard_normal(len(order))
    logs += load_noise * rng.standard_normal(loads)[place]
    return measure_drift(np.exp(logs), order, place, np.random.default_rng(seed))


def test_a_machine_that_slows_down_is_seen() -> None:
    for seed in range(10):
        drift = session(0.1, 0.02, seed)
        assert drift is not None
        assert drift.significant
        # Two thirds of log 1.1 lie between the middles of the outer thirds; 24 pairs of 2 % noise each way leave 0.6 %.
        assert drift.change == pytest.approx(1.1 ** (2 / 3) - 1.0, abs=0.025)


def test_a_machine_that_becomes_faster_is_seen() -> None:
    drift = session(-0.1, 0.02, 0)
    assert drift is not None
    assert drift.significant
    assert drift.ci95[0] <= drift.change <= drift.ci95[1] < 0.0


@pytest.mark.parametrize(("loads", "load_noise"), [(1, 0.0), (12, 0.02)])
def test_a_machine_at_rest_is_rarely_accused(loads: int, load_noise: float) -> None:
    """Nor are loads that lie better or worse in memory taken for a drift."""
    accused = 0
    for seed in range(200):
        drift = session(0.0, 0.05, seed, loads=loads, load_noise=load_noise)
        accused += drift is not None and drift.significant
    assert accused <= 24  # nominal 10 of 200; a standard deviation is 3.1, and few clusters make it a little worse


def test_a_small_change_is_told_and_not_flagged() -> None:
    drift = session(0.01, 0.0, 0)
    assert drift is not None
    assert drift.change == pytest.approx(0.0066, abs=0.001)
    assert not drift.significant


def test_nothing_timed_twice_tells_nothing() -> None:
    assert session(0.1, 0.0, 0, rounds=1) is None
    assert session(0.1, 0.0, 0, rounds=2, items=6) is None  # 4 runs in a third
