"""Figures of a latency on a faked machine, where every one is known beforehand."""

import json

import numpy as np
import pytest

from paredown.profilers.latency import Latency, Timing
from paredown.profilers.latency.effort import CHEAP, Effort
from paredown.profilers.latency.session import Loaded, Subject, measure_latency
from tests.profilers.faked_machine import Machine, measure


def test_known_answer() -> None:
    costs = {"base": lambda item: 10.0 + item, "half": lambda item: 5.0 + item / 2}
    result = measure(Machine(), costs, 5, Effort(repeats=3), seconds=(0.1, 0.2, 0.3, 0.4, 0.5))
    base, half = result["base"].free, result["half"].free
    assert base.median_ms == pytest.approx(12.0)
    assert half.median_ms == pytest.approx(6.0)
    assert half.ratio == pytest.approx(0.5)
    assert half.ratio_ci95 == pytest.approx((0.5, 0.5))
    assert base.ratio == 1.0
    assert (base.runs, base.tokens) == (15, 12.0)
    assert base.ci95_ms[0] <= base.median_ms <= base.ci95_ms[1]
    assert sorted(base.samples) == pytest.approx(sorted([10.0, 11.0, 12.0, 13.0, 14.0] * 3))
    assert base.per_token_ms is not None
    assert base.per_token_ms.median == pytest.approx(1.0)  # 10 + item ms for as many tokens
    assert half.per_token_ms is not None
    assert half.per_token_ms.ci95 == pytest.approx((0.5, 0.5))
    assert base.rtf is not None
    assert base.rtf.median == pytest.approx(0.04)  # 0.1, 0.055, 0.04, 0.0325, 0.028
    assert base.rtf.ci95[0] < 0.04 < base.rtf.ci95[1]


def test_p90_is_given_from_64_runs_on() -> None:
    few = measure(Machine(), {"base": lambda item: 1.0 + item}, 63, CHEAP)["base"].free
    enough = measure(Machine(), {"base": lambda item: 1.0 + item}, 64, CHEAP)["base"].free
    assert few.p90_ms is None
    assert enough.p90_ms == pytest.approx(np.quantile(np.arange(1.0, 65.0), 0.9))


def test_a_model_that_stops_early_shows_it_at_fixed_tokens() -> None:
    machine = Machine()

    def load(name: str, cost_ms: float, tokens: int) -> Loaded:
        return Loaded(machine.candidate(name, lambda item: cost_ms, tokens), machine.candidate(name, lambda item: 30.0, 30))

    subject = Subject({"base": lambda: load("base", 20.0, 20), "damaged": lambda: load("damaged", 5.0, 1)}, "base", 4, fixed_tokens=30)
    damaged = measure_latency(subject, CHEAP, np.random.default_rng(0), clock=machine.clock)["damaged"]
    assert damaged.fixed is not None
    assert (damaged.free.ratio, damaged.fixed.ratio) == (pytest.approx(0.25), pytest.approx(1.0))
    value = json.loads(json.dumps(damaged.to_dict()))
    assert set(value) >= {"median", "p90", "ci95", "runs", "tokens", "fixed_tokens_median", "per_token", "rtf", "conditions"}
    assert (value["fixed_tokens"], value["fixed_tokens_median"]) == (30, pytest.approx(30.0))
    assert value["per_token"]["median"] == pytest.approx(np.median([5.0, 5 / 2, 5 / 3, 5 / 4]))
    assert value["rtf"] is None
    measurement = damaged.to_measurement()
    assert (measurement.unit, measurement.value, measurement.samples) == ("ms", value["median"], 4)
    assert measurement.detail_of["fixed_tokens_ratio"] == pytest.approx(1.0)
    assert measurement.detail_of["stopped"] == "effort"
    assert not any("samples" in key for key in measurement.detail_of)


def test_runs_without_a_token_have_no_time_per_token() -> None:
    silent = measure(Machine(), {"base": lambda item: 1.0}, 3, CHEAP)["base"].free
    assert silent.per_token_ms is not None
    machine = Machine()
    subject = Subject({"base": lambda: Loaded(machine.candidate("base", lambda item: 1.0, tokens=0))}, "base", 1)
    none = measure_latency(subject, CHEAP, np.random.default_rng(0), clock=machine.clock)["base"]
    assert none.free.per_token_ms is None
    assert none.to_dict()["per_token"] is None


def test_shares_of_stages_are_the_mean_over_runs() -> None:
    """Of 10, 20 and 30 ms the search takes 5, 10 and 24: a half, a half and four fifths. A warm-up is no run."""
    machine, took = Machine(), dict[str, float]()

    def cost(item: int) -> float:
        search = (5.0, 10.0, 24.0)[item]
        took.update(encoder=10.0 * (item + 1) - search, search=search)
        return 10.0 * (item + 1)

    subject = Subject({"base": lambda: Loaded(machine.candidate("base", cost), stages=lambda: dict(took))}, "base", 3)
    found = measure_latency(subject, CHEAP, np.random.default_rng(0), clock=machine.clock)["base"]
    assert found.free.runs == 3
    assert dict(found.free.stage_shares) == {"encoder": pytest.approx(0.4), "search": pytest.approx(0.6)}
    assert found.to_dict()["stage_shares"] == dict(found.free.stage_shares)
    assert found.to_measurement().detail_of["share_encoder"] == pytest.approx(0.4)
    assert found.to_measurement().detail_of["share_search"] == pytest.approx(0.6)


def test_who_does_not_tell_stages_has_no_shares() -> None:
    found = measure(Machine(), {"base": lambda item: 1.0}, 3, CHEAP)["base"]
    assert found.to_dict()["stage_shares"] is None
    assert not any(name.startswith("share_") for name in found.to_measurement().detail_of)


def test_a_latency_without_its_session_is_a_value_too() -> None:
    timing = Timing(40.0, None, (38.0, 42.0), 0.5, (0.45, 0.55), 24, 11.0)
    assert Latency(timing).to_dict()["conditions"] is None
    assert "stopped" not in Latency(timing).to_measurement().detail_of


def test_a_swap_of_the_reference_inverts_the_ratio() -> None:
    """So that which of the two is called the reference does not matter; the mean of ratios would not do so."""
    for seed in range(5):
        costs = {"a": lambda item: 10.0 + item, "b": lambda item: 17.0}
        forth = measure(Machine(noise=0.2, seed=seed), costs, 10, Effort(repeats=2, warmup=0), seed)["b"].free.ratio
        machine = Machine(noise=0.2, seed=seed)
        loads = {name: machine.loader(name, cost) for name, cost in costs.items()}
        rng = np.random.default_rng(seed)
        found = measure_latency(Subject(loads, "b", 10), Effort(repeats=2, warmup=0), rng, clock=machine.clock)
        assert forth * found["a"].free.ratio == pytest.approx(1.0)
