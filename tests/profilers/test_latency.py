"""Latency on a faked machine whose clock only moves when something runs, so that every answer is known beforehand."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

from paredown.profilers.latency import CHEAP, STRICT, Effort, Latency, Run, measure_latency


class Machine:
    """Runs cost `cost_ms(name, item)` times a factor that depends on the time since it was switched on."""

    def __init__(self, drift: Callable[[float], float] = lambda now_s: 1.0, noise: float = 0.0, seed: int = 0) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[str, int]] = []
        self._drift = drift
        self._noise = noise
        self._rng = np.random.default_rng(seed)

    def clock(self) -> float:
        return self.now_s

    def candidate(self, name: str, cost_ms: Callable[[int], float], tokens: int = 10) -> Run:
        def run(item: int) -> int:
            self.calls.append((name, item))
            jitter = self._rng.lognormal(0.0, self._noise) if self._noise else 1.0
            self.now_s += cost_ms(item) * self._drift(self.now_s) * jitter / 1000.0
            return tokens + item

        return run


def measure(machine: Machine, costs: dict[str, Callable[[int], float]], items: int, effort: Effort, seed: int = 0) -> dict[str, Latency]:
    candidates = {name: machine.candidate(name, cost) for name, cost in costs.items()}
    return measure_latency(candidates, next(iter(costs)), items, effort, np.random.default_rng(seed), clock=machine.clock)


def test_known_answer() -> None:
    result = measure(Machine(), {"base": lambda item: 10.0 + item, "half": lambda item: 5.0 + item / 2}, items=5, effort=Effort(3, 1))
    base, half = result["base"].free, result["half"].free
    assert base.median_ms == pytest.approx(12.0)
    assert half.median_ms == pytest.approx(6.0)
    assert half.ratio == pytest.approx(0.5)
    assert half.ratio_ci95 == pytest.approx((0.5, 0.5))
    assert base.ratio == 1.0
    assert (base.runs, base.tokens) == (15, 12.0)
    assert base.ci95_ms[0] <= base.median_ms <= base.ci95_ms[1]


def test_p90_is_given_from_64_runs_on() -> None:
    few = measure(Machine(), {"base": lambda item: 1.0 + item}, items=63, effort=CHEAP)["base"].free
    enough = measure(Machine(), {"base": lambda item: 1.0 + item}, items=64, effort=CHEAP)["base"].free
    assert few.p90_ms is None
    assert enough.p90_ms == pytest.approx(np.quantile(np.arange(1.0, 65.0), 0.9))


def test_a_against_a_includes_one_as_often_as_the_interval_says() -> None:
    hits, widths = 0, []
    for seed in range(40):
        machine = Machine(noise=0.1, seed=seed)
        low, high = measure(machine, {"base": lambda item: 20.0, "again": lambda item: 20.0}, 30, Effort(1, 1), seed)[
            "again"
        ].free.ratio_ci95
        hits += low <= 1.0 <= high
        widths.append(high - low)
    assert hits >= 34  # nominal 38 of 40, three standard deviations (1.4) below
    assert np.median(widths) < 0.15  # and it does not get there by saying nothing: 14 % of noise in a pair over 30 pairs


def test_drift_cancels_by_interleaving() -> None:
    """The machine throttles to a third of its speed while it is measured; run one after the other, 0.8 looks slower."""

    def throttle(now_s: float) -> float:
        return 1.0 + min(2.0, now_s / 3.0)

    costs: dict[str, Callable[[int], float]] = {"base": lambda item: 10.0, "faster": lambda item: 8.0}
    interleaved = measure(Machine(throttle), costs, items=40, effort=STRICT)["faster"].free
    # Two neighbouring runs start at most 0.03 s apart, in which the speed changes by up to 1 %.
    assert interleaved.ratio == pytest.approx(0.8, rel=0.01)
    machine = Machine(throttle)
    one = measure(machine, {"base": costs["base"]}, items=40, effort=STRICT)["base"].free
    other = measure(machine, {"faster": costs["faster"]}, items=40, effort=STRICT)["faster"].free
    assert other.median_ms / one.median_ms > 1.2  # the trap this is about


def test_every_candidate_goes_first_about_equally_often() -> None:
    machine = Machine()
    measure(machine, {"a": lambda item: 1.0, "b": lambda item: 1.0}, items=50, effort=Effort(4, 0))
    pairs = [machine.calls[index : index + 2] for index in range(0, len(machine.calls), 2)]
    assert all(first[1] == second[1] and first[0] != second[0] for first, second in pairs)  # same utterance, both candidates
    assert 70 <= sum(first[0] == "a" for first, _ in pairs) <= 130  # 200 fair coins: four standard deviations (7) to either side
    orders = {tuple(item for _, item in machine.calls[begin : begin + 100 : 2]) for begin in range(0, 400, 100)}
    assert len(orders) == 4  # utterances come in another order each time
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_warm_up_is_not_timed() -> None:
    machine = Machine(drift=lambda now_s: 100.0 if now_s < 1.0 else 1.0)
    result = measure(machine, {"base": lambda item: 10.0}, items=2, effort=Effort(2, 1))
    assert result["base"].free.median_ms == pytest.approx(10.0)
    assert len(machine.calls) == 1 + 4


def test_a_model_that_stops_early_shows_it_at_fixed_tokens() -> None:
    machine = Machine()
    free = {
        "base": machine.candidate("base", lambda item: 20.0, tokens=20),
        "damaged": machine.candidate("damaged", lambda item: 5.0, tokens=1),
    }
    fixed = {
        "base": machine.candidate("base", lambda item: 30.0, tokens=30),
        "damaged": machine.candidate("damaged", lambda item: 30.0, tokens=30),
    }
    damaged = measure_latency(free, "base", 4, CHEAP, np.random.default_rng(0), fixed, machine.clock)["damaged"]
    assert damaged.fixed is not None
    assert (damaged.free.ratio, damaged.fixed.ratio) == (pytest.approx(0.25), pytest.approx(1.0))
    value = damaged.to_dict()
    assert set(value) >= {"median", "p90", "ci95", "runs", "tokens", "fixed_tokens_median"}
    assert value["fixed_tokens_median"] == pytest.approx(30.0)
    measurement = damaged.to_measurement()
    assert (measurement.unit, measurement.value, measurement.samples) == ("ms", value["median"], 4)
    assert measurement.detail_of["fixed_tokens_ratio"] == pytest.approx(1.0)


def test_equal_seeds_give_equal_orders() -> None:
    calls = []
    for _ in range(2):
        machine = Machine()
        measure(machine, {"a": lambda item: 1.0, "b": lambda item: 2.0}, items=9, effort=Effort(2, 1), seed=5)
        calls.append(machine.calls)
    assert calls[0] == calls[1]


def test_garbage_collection_rests_inside_and_comes_back_after_an_error() -> None:
    states = []

    def run(item: int) -> int:
        states.append(gc.isenabled())
        raise RuntimeError("fault")

    with pytest.raises(RuntimeError, match="fault"):
        measure_latency({"a": run}, "a", 1, Effort(1, 0), np.random.default_rng(0))
    assert states == [False]
    assert gc.isenabled()


def test_impossible_requests_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 1 utterance, got 0"):
        measure_latency({"a": lambda item: 1}, "a", 0, CHEAP, rng)
    with pytest.raises(ValueError, match="one of a, got 'b'"):
        measure_latency({"a": lambda item: 1}, "b", 1, CHEAP, rng)
    with pytest.raises(ValueError, match="same candidates"):
        measure_latency({"a": lambda item: 1}, "a", 1, CHEAP, rng, fixed={"b": lambda item: 1})
    with pytest.raises(ValueError, match="must take time"):
        measure_latency({"a": lambda item: 1}, "a", 1, CHEAP, rng, clock=lambda: 0.0)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        Effort(0, 0)
