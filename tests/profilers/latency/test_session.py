"""How a session goes: what is run when, when it stops, and what it says about itself; on a faked machine."""

import gc
import json
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.profilers.latency.effort import CHEAP, STRICT, Effort
from paredown.profilers.latency.session import Loaded, Subject, measure_latency
from paredown.profilers.latency.warmup import Run
from paredown.profilers.machine_load import MachineWatch
from tests.profilers.faked_machine import Cost, Machine, measure

ONE_LOAD = "one load of each: where it lies in memory, 1 to 4 %, is not in the interval"
PAIR: dict[str, Cost] = {"base": lambda item: 20.0, "again": lambda item: 20.0}


def test_drift_cancels_by_interleaving() -> None:
    """The machine throttles to a third of its speed while it is measured; run one after the other, 0.8 looks slower."""

    def throttle(now_s: float) -> float:
        return 1.0 + min(2.0, now_s / 3.0)

    costs: dict[str, Cost] = {"base": lambda item: 10.0, "faster": lambda item: 8.0}
    effort = Effort(repeats=5, warmup=0)
    interleaved = measure(Machine(throttle), costs, 40, effort)["faster"].free
    # Two neighbouring runs start at most 0.03 s apart, in which the speed changes by up to 1 %.
    assert interleaved.ratio == pytest.approx(0.8, rel=0.01)
    machine = Machine(throttle)
    one = measure(machine, {"base": costs["base"]}, 40, effort)["base"].free
    other = measure(machine, {"faster": costs["faster"]}, 40, effort)["faster"].free
    assert other.median_ms / one.median_ms > 1.2  # the trap this is about


def test_every_candidate_goes_first_about_equally_often() -> None:
    machine = Machine()
    measure(machine, {"a": lambda item: 1.0, "b": lambda item: 1.0}, 50, Effort(repeats=4, warmup=0))
    pairs = [machine.calls[index : index + 2] for index in range(0, len(machine.calls), 2)]
    assert all(first[1] == second[1] and first[0] != second[0] for first, second in pairs)  # same utterance, both candidates
    assert 70 <= sum(first[0] == "a" for first, _ in pairs) <= 130  # 200 fair coins: four standard deviations (7) to either side
    orders = {tuple(item for _, item in machine.calls[begin : begin + 100 : 2]) for begin in range(0, 400, 100)}
    assert len(orders) == 4  # utterances come in another order each time
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_warm_up_is_not_timed() -> None:
    result = measure(Machine(cold=100.0), {"base": lambda item: 10.0}, 2, Effort(repeats=2))["base"]
    assert result.free.median_ms == max(result.free.samples) == pytest.approx(10.0)
    assert result.conditions is not None
    assert (result.conditions.warmup_runs, result.conditions.steady) == (7, True)


def test_the_longest_utterance_warms_up_first() -> None:
    machine = Machine()
    measure(machine, {"base": lambda item: 10.0}, 3, Effort(), seconds=(2.0, 1.0, 3.0))
    assert [item for _, item in machine.calls[:7]] == [2, 1, 1, 1, 1, 1, 1]


def test_with_one_load_nothing_is_loaded_anew() -> None:
    machine = Machine()
    measure(machine, PAIR, 6, Effort(repeats=4, width=0.5))
    assert sorted(machine.loads) == ["again", "base"]


@given(items=st.integers(1, 30), repeats=st.integers(1, 4), loads=st.integers(1, 9), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_every_utterance_is_timed_as_often_as_asked(items: int, repeats: int, loads: int, seed: int) -> None:
    """At least: blocks are of one size, so that the last one goes on into the next round."""
    machine = Machine()
    effort = Effort(repeats=repeats, loads=loads, warmup=0)
    result = measure(machine, PAIR, items, effort, seed)["again"]
    times = np.bincount([item for name, item in machine.calls if name == "base"], minlength=items)
    assert repeats <= times.min() <= times.max() <= times.min() + 1 or loads > items * repeats
    assert times.min() >= repeats
    assert result.free.runs == times.sum() == loads * effort.visits(items)
    assert result.conditions is not None
    assert (result.conditions.loads, result.conditions.stopped) == (loads, "effort")
    assert sorted(machine.loads) == sorted(["again", "base"] * loads)


def test_a_load_that_is_slow_where_it_lies_shows_in_the_interval_only_if_it_is_loaded_anew() -> None:
    """Runs are exact, loads differ by 2 %: one pair of loads is sure of a wrong ratio, twelve are not."""
    misses = {1: 0, 12: 0}
    for seed in range(20):
        for loads in misses:
            effort = Effort(repeats=2, loads=loads, warmup=0)
            low, high = measure(Machine(noise=0.002, load_noise=0.02, seed=seed), PAIR, 12, effort, seed)["again"].free.ratio_ci95
            misses[loads] += not low <= 1.0 <= high
    assert misses[1] >= 15
    assert misses[12] <= 4  # nominal 1; 5 or more of 20 come by chance once in 390 times


def conditions_of(machine: Machine, effort: Effort, costs: dict[str, Cost] | None = None, items: int = 12) -> tuple[str, int, int]:
    latency = measure(machine, costs or PAIR, items, effort)["base"]
    assert latency.conditions is not None
    return latency.conditions.stopped, latency.conditions.loads, latency.free.runs


def test_it_stops_when_the_interval_is_narrow_and_looks_only_where_blocks_have_doubled() -> None:
    assert conditions_of(Machine(noise=0.001), Effort(loads=4, width=0.04, warmup=0)) == ("narrow", 4, 12)
    stopped, loads, runs = conditions_of(Machine(noise=0.05), Effort(loads=4, width=0.04, warmup=0))
    assert (stopped, runs) == ("narrow", 3 * loads)
    assert loads in (8, 16, 32, 64)


class LoadsNoted(Machine):
    """Notes the time at which each load began."""

    def __init__(self) -> None:
        super().__init__(noise=0.3, load_s=0.5)
        self.began_s: list[float] = []

    def candidate(self, name: str, cost: Cost, tokens: int = 10) -> Run:
        self.began_s.append(self.now_s)
        return super().candidate(name, cost, tokens)


def test_no_block_is_loaded_when_the_time_is_spent() -> None:
    """Wherever the limit falls: in a block, at its end or in a load, both loads of the last block began before it."""
    for seconds in np.linspace(7.0, 10.0, 40).tolist():  # one repeat of all takes 4 s
        machine = LoadsNoted()
        latency = measure(machine, PAIR, 4, Effort(loads=4, width=0.001, seconds=seconds, warmup=5))["again"]
        assert latency.conditions is not None
        assert latency.conditions.stopped == "time"
        assert machine.began_s[-2] < seconds


def test_it_stops_when_the_time_is_spent() -> None:
    machine = Machine(noise=0.3, load_s=0.1)
    assert conditions_of(machine, Effort(loads=4, width=0.001, seconds=5.0, warmup=0))[0] == "time"
    assert 5.0 <= machine.now_s < 5.5  # what had begun: loads of 0.2 s, and a visit of about 0.04 s
    # One repeat of everything is timed however long it takes.
    assert conditions_of(Machine(noise=0.3), Effort(repeats=3, seconds=1e-3, warmup=0)) == ("time", 1, 12)


def test_it_stops_when_utterances_were_repeated_as_often_as_allowed() -> None:
    assert conditions_of(Machine(noise=0.3), Effort(repeats=2, most_repeats=3, width=0.001, warmup=0)) == ("repeats", 1, 36)
    assert conditions_of(Machine(noise=0.3), Effort(loads=4, most_repeats=2, width=0.001, warmup=0)) == ("repeats", 8, 24)


def test_it_stops_when_only_more_utterances_would_help() -> None:
    """Half of the utterances are twice as fast in the candidate: their median is uncertain however often they are run."""
    costs: dict[str, Cost] = {"base": lambda item: 20.0, "other": lambda item: 10.0 + 10.0 * (item % 2)}
    assert conditions_of(Machine(noise=0.001), Effort(repeats=2, loads=4, width=0.04, warmup=0), costs)[0] == "utterances"


def test_the_reference_alone_is_repeated_until_its_level_is_sure() -> None:
    """Utterances differ a hundredfold, which no repeat changes."""
    costs: dict[str, Cost] = {"base": lambda item: 1.0 + 9.0 * item}
    assert conditions_of(Machine(noise=0.001), Effort(width=0.04, warmup=0), costs) == ("narrow", 1, 24)  # once tells nothing
    latency = measure(Machine(noise=0.05), costs, 12, Effort(width=0.04, warmup=0))["base"]
    assert latency.conditions is not None
    assert latency.conditions.width is not None
    assert latency.conditions.width <= 0.04 < (latency.free.ci95_ms[1] - latency.free.ci95_ms[0]) / latency.free.median_ms
    assert latency.free.ratio_ci95 == (1.0, 1.0)


def test_stopping_when_it_is_narrow_leaves_the_interval_honest(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 times A against A, runs and loads differ by chance, looked at as often as it takes: 1 lies inside as often as it says."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # 32,000 collections of whatever other tests have imported take minutes
    hits, widths, runs = 0, [], []
    effort = Effort(loads=8, width=0.06, warmup=0, most_repeats=40)
    for seed in range(2000):
        result = measure(Machine(noise=0.03, load_noise=0.02, seed=seed), PAIR, 8, effort, seed)["again"].free
        hits += result.ratio_ci95[0] <= 1.0 <= result.ratio_ci95[1]
        widths.append(result.ratio_ci95[1] - result.ratio_ci95[0])
        runs.append(result.runs)
    assert 1840 <= hits <= 1960  # 92 to 98 %; a standard deviation is 10
    assert max(widths) < 0.07
    assert len(set(runs)) > 1  # it did stop at different times


def test_a_slowdown_of_five_percent_is_found() -> None:
    costs: dict[str, Cost] = {"base": lambda item: 20.0, "slower": lambda item: 21.0}
    effort = Effort(repeats=2, loads=12, width=0.036, warmup=0)
    results = [measure(Machine(noise=0.02, load_noise=0.015, seed=seed), costs, 8, effort, seed)["slower"].free for seed in range(50)]
    assert sum(result.ratio_ci95[0] > 1.0 for result in results) >= 45
    assert np.median([result.ratio for result in results]) == pytest.approx(1.05, abs=0.005)


def test_a_machine_that_throttles_is_reported() -> None:
    def throttle(now_s: float) -> float:
        return 1.0 + 0.1 * min(1.0, now_s / 10.0)

    hot = measure(Machine(throttle, noise=0.01), PAIR, 12, Effort(repeats=24, warmup=0))["base"].conditions
    cool = measure(Machine(noise=0.01), PAIR, 12, Effort(repeats=24, warmup=0))["base"].conditions
    assert hot is not None
    assert cool is not None
    assert hot.drifted
    assert hot.drift is not None
    assert hot.drift.change == pytest.approx(0.065, abs=0.01)  # about 10 % over all of it, two thirds of that between the thirds' middles
    assert any("slower meanwhile" in line for line in hot.warnings)
    assert (cool.drifted, cool.warnings) == (False, (ONE_LOAD,))


def test_who_else_used_the_machine_is_reported() -> None:
    moments = iter([MachineWatch(0.0, 0.0, 0.0), MachineWatch(3.0, 2.0, 10.0)])
    machine = Machine()
    subject = Subject({"base": machine.loader("base", lambda item: 1.0)}, "base", 3)
    found = measure_latency(subject, CHEAP, np.random.default_rng(0), cores=(1,), clock=machine.clock, watch=lambda: next(moments))
    conditions = found["base"].conditions
    assert conditions is not None
    assert (conditions.others_share, conditions.disturbed, conditions.cores) == (pytest.approx(0.1), True, (1,))
    assert conditions.seconds == pytest.approx(machine.now_s)
    assert conditions.warnings == (ONE_LOAD, "others had 10 % of the machine")
    assert json.loads(json.dumps(found["base"].to_dict()))["conditions"]["disturbed"] is True


def test_equal_seeds_give_equal_orders() -> None:
    calls = []
    for _ in range(2):
        machine = Machine()
        measure(machine, {"a": lambda item: 1.0, "b": lambda item: 2.0}, 9, Effort(repeats=2), seed=5)
        calls.append(machine.calls)
    assert calls[0] == calls[1]


def test_garbage_collection_rests_inside_and_comes_back_after_an_error() -> None:
    states = []

    def run(item: int) -> int:
        states.append(gc.isenabled())
        raise RuntimeError("fault")

    with pytest.raises(RuntimeError, match="fault"):
        measure_latency(Subject({"a": lambda: Loaded(run)}, "a", 1), Effort(), np.random.default_rng(0))
    assert states == [False]
    assert gc.isenabled()


def test_loads_are_let_go_when_they_are_replaced_and_at_the_end() -> None:
    """Without waiting for a garbage collection: a load is a whole model."""
    alive: list[weakref.ref[Callable[[int], int]]] = []
    most = 0

    def load() -> Loaded:
        nonlocal most

        def run(item: int) -> int:
            return 1

        alive.append(weakref.ref(run))
        most = max(most, sum(entry() is not None for entry in alive))
        return Loaded(run)

    gc.disable()
    try:
        measure_latency(Subject({"a": load, "b": load}, "a", 3), Effort(loads=5), np.random.default_rng(0))
        assert not any(entry() is not None for entry in alive)
    finally:
        gc.enable()
    assert (len(alive), most) == (10, 3)  # one more than there are candidates, while it takes its predecessor's place


def test_impossible_requests_are_refused() -> None:
    def load() -> Loaded:
        return Loaded(lambda item: 1)

    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 1 utterance, got 0"):
        Subject({"a": load}, "a", 0)
    with pytest.raises(ValueError, match="one of a, got 'b'"):
        Subject({"a": load}, "b", 1)
    with pytest.raises(ValueError, match=r"duration above 0 s, got \[1.0\]"):
        Subject({"a": load}, "a", 2, seconds=(1.0,))
    with pytest.raises(ValueError, match="candidate a must run at 16 tokens"):
        measure_latency(Subject({"a": load}, "a", 1, fixed_tokens=16), CHEAP, rng)
    with pytest.raises(ValueError, match="must take time"):
        measure_latency(Subject({"a": load}, "a", 1), CHEAP, rng, clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Effort(repeats=0), "repeats must be at least 1, got 0"),
        (lambda: Effort(repeats=3, most_repeats=2), "at least the 3 repeats, got 2"),
        (lambda: Effort(loads=0), "loads must be at least 1, got 0"),
        (lambda: Effort(width=0.0), "above 0, got 0"),
        (lambda: Effort(seconds=0.0), "above 0 s, got 0"),
        (lambda: Effort(warmup=-1), "at least 0, got -1"),
    ],
)
def test_impossible_efforts_are_refused(make: Callable[[], Effort], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_strict_asks_for_a_narrower_interval_than_it_promises() -> None:
    assert STRICT.width is not None
    assert STRICT.width < 0.04
    assert CHEAP.width is None
