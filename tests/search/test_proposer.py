"""Proposals: that each sampler really learns from the history and from the budgets, and is a function of them and the seed.

A sampler that fell back to random would pass any test that only looks at ranges; here the same seed meets two histories.
"""

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from paredown.errors import BadInput
from paredown.search import sampler as sampler_module
from paredown.search.distributions import distributions_of
from paredown.search.objective import Objective
from paredown.search.proposer import Observation, Proposer, in_view
from paredown.search.quiet import quiet_optuna
from paredown.search.sampler import SamplerName, choose_sampler, population_size
from paredown.search.seeding import sampler_seed
from paredown.space.knobs import FloatKnob, IntKnob, Knob

KNOBS: tuple[Knob, ...] = (FloatKnob("bits.average", 2.5, 8.0), IntKnob("layers.decoder", 2, 6), FloatKnob("sparsity.ctc", 0.0, 0.9, 0.05))
OBJECTIVES = (Objective("quality", "maximize", "chrF"), Objective("size_bytes", "minimize", "bytes", "log"))
LEARNING: list[SamplerName] = ["tpe", "gp", "nsga2", "nsga3"]


def history(quality: Callable[[float], float], violation: Callable[[float], float] | None = None, points: int = 24) -> list[Observation]:
    """Points drawn at random; every one has the same size, so that quality alone says which are good."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(points):
        bits, layers, sparsity = rng.uniform(2.5, 8.0), int(rng.integers(2, 7)), float(rng.integers(0, 19)) * 0.05
        knobs = (("bits.average", bits), ("layers.decoder", layers), ("sparsity.ctc", round(sparsity, 10)))
        violations = () if violation is None else (violation(bits), -1.0)
        found.append(Observation(knobs, (quality(bits), 1e6), violations))
    return found


def ask(name: SamplerName, known: list[Observation], seed: int) -> dict[str, float]:
    return Proposer(KNOBS, OBJECTIVES, name, seed, 40, known).ask()


@pytest.mark.parametrize("name", [*LEARNING, "qmc", "random"])
def test_equal_history_and_seed_give_equal_proposals_in_range(name: SamplerName) -> None:
    pytest.importorskip("torch") if name == "gp" else None
    one, two = (ask(name, history(lambda bits: bits), seed=1) for _ in range(2))
    assert one == two
    for knob in KNOBS:
        assert knob.checked(one[knob.name]) == pytest.approx(one[knob.name])
    assert isinstance(one["layers.decoder"], int)


@pytest.mark.parametrize("name", LEARNING)
def test_the_history_moves_the_proposal(name: SamplerName) -> None:
    pytest.importorskip("torch") if name == "gp" else None
    seeds = range(1 if name == "gp" else 8)
    high = [ask(name, history(lambda bits: bits), seed)["bits.average"] for seed in seeds]
    low = [ask(name, history(lambda bits: -bits), seed)["bits.average"] for seed in seeds]
    assert np.mean(high) > np.mean(low) + 1.0  # of a range of 5.5; equal seeds, so a sampler that does not look gives 0


@pytest.mark.parametrize("name", LEARNING)
def test_the_budgets_move_the_proposal(name: SamplerName) -> None:
    """Quality says many bits, the budget says at most four: proposals follow the budget."""
    pytest.importorskip("torch") if name == "gp" else None
    seeds = range(1 if name == "gp" else 8)
    free = [ask(name, history(lambda bits: bits), seed)["bits.average"] for seed in seeds]
    bound = [ask(name, history(lambda bits: bits, lambda bits: bits - 4.0), seed)["bits.average"] for seed in seeds]
    assert np.mean(bound) < np.mean(free) - 1.0


@pytest.mark.parametrize("name", ["random", "qmc"])
def test_some_samplers_look_at_nothing(name: SamplerName) -> None:
    assert ask(name, history(lambda bits: bits), 5) == ask(name, history(lambda bits: -bits), 5)


def test_the_sequence_is_that_of_optuna_in_one_study() -> None:
    """Its own sampler counts in the study; ours is told where it is, and a trial that asks again takes a point of nobody else."""
    with quiet_optuna():
        whole = optuna.samplers.QMCSampler(scramble=True, seed=sampler_seed(7, 0))
        study = optuna.create_study(sampler=whole)
        study.add_trial(create_trial(value=0.0, params=dict(history(lambda bits: bits)[0].knobs), distributions=distributions_of(KNOBS)))
        expected = [study.ask(distributions_of(KNOBS)).params for _ in range(20)]
    found = [Proposer(KNOBS, OBJECTIVES, "qmc", 7, 16, [], index=index) for index in range(16)]
    assert [proposer.ask() for proposer in found] == [pytest.approx(point) for point in expected[:16]]
    for index in range(4):
        found[index].tell_known(None)
        assert found[index].ask() == pytest.approx(expected[16 + index])


def test_different_seeds_differ() -> None:
    assert ask("tpe", history(lambda bits: bits), 1) != ask("tpe", history(lambda bits: bits), 2)


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "qmc", "random"])
def test_a_known_point_is_told_and_another_is_asked(name: SamplerName) -> None:
    known = history(lambda bits: bits)
    proposer = Proposer(KNOBS, OBJECTIVES, name, 1, 40, known)
    first = proposer.ask()
    proposer.tell_known(known[0])
    second = proposer.ask()
    proposer.tell_known(None)  # a rejected one teaches nothing, and is no error
    assert first != second
    assert proposer.ask() != second


def test_what_is_known_of_a_repeated_point_changes_the_next_proposal() -> None:
    """Told that the point is by far the best, the sampler comes back to it; told nothing, it keeps away."""
    history_of_all = history(lambda bits: bits)
    proposals = []
    for known in (Observation((), (100.0, 1e5)), None):
        for seed in range(6):
            proposer = Proposer(KNOBS, OBJECTIVES, "tpe", seed, 40, history_of_all)
            proposer.ask()
            for _ in range(3):
                proposer.tell_known(known)
                proposer.ask()
            proposals.append(proposer.ask())
    assert proposals[:6] != proposals[6:]


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_what_is_being_evaluated_moves_the_proposal_away(name: SamplerName) -> None:
    """What it would answer is already under way, ten times over."""
    pytest.importorskip("torch") if name == "gp" else None
    moved = 0
    for seed in range(1 if name == "gp" else 12):
        free = ask(name, history(lambda bits: bits), seed)
        waiting = [tuple(free.items())] * 10
        moved += Proposer(KNOBS, OBJECTIVES, name, seed, 40, history(lambda bits: bits), waiting).ask() != free
    assert moved >= (1 if name == "gp" else 6)  # tpe draws candidates at random, of which some seeds offer no better one


def test_observations_without_some_knobs_do_not_make_tpe_blind() -> None:
    """Grouped, it still learns of the knobs that are there; Optuna's intersection of all would be empty."""
    sparse = [Observation((), (bits, 1e6)) for bits in (1.0, 2.0)]
    high = [ask("tpe", [*history(lambda bits: bits), *sparse], seed)["bits.average"] for seed in range(8)]
    low = [ask("tpe", [*history(lambda bits: -bits), *sparse], seed)["bits.average"] for seed in range(8)]
    assert np.mean(high) > np.mean(low) + 1.0


@pytest.mark.parametrize("most", [8, 11, 40])
def test_the_view_is_the_front_and_an_even_spread(most: int) -> None:
    rng = np.random.default_rng(2)
    known = [
        Observation((), (float(quality), float(size)), (float(miss),))
        for quality, size, miss in rng.uniform(0.1, 1.0, (60, 3)) - [0, 0, 0.5]
    ]
    places = in_view(known, OBJECTIVES, most)
    assert places == sorted(set(places))
    assert len(places) == most
    feasible = [place for place, seen in enumerate(known) if seen.violations[0] <= 0]
    front = [
        place
        for place in feasible
        if not any(
            known[o].values[0] >= known[place].values[0] and known[o].values[1] <= known[place].values[1] and o != place for o in feasible
        )
    ]
    assert set(front[-(most // 2) :]) <= set(places)
    rest = [place for place in range(60) if place not in front[-(most // 2) :]]
    gaps = np.diff([rest.index(place) for place in places if place in rest])
    assert gaps.max() - gaps.min() <= 1


def test_the_view_is_whole_where_it_may_be_and_empty_where_nothing_is_looked_at() -> None:
    known = history(lambda bits: bits)
    assert in_view(known, OBJECTIVES, None) == in_view(known, OBJECTIVES, 24) == list(range(24))
    assert in_view(known, OBJECTIVES, 0) == []


def test_costs_reach_the_sampler_as_logarithms() -> None:
    """Hypervolume and the Gaussian processes would else weigh bytes by their unit; only the sampler's own study shows it."""
    proposer = Proposer(KNOBS, OBJECTIVES, "tpe", 1, 40, history(lambda bits: bits, points=1))
    (seen,) = proposer._study.trials
    assert seen.values == [pytest.approx(seen.params["bits.average"]), pytest.approx(np.log(1e6))]


def test_auto_is_the_model_and_leaves_it_for_long_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch or without."""
    for found in (object(), None):
        monkeypatch.setattr(sampler_module, "find_spec", lambda name, found=found: found)
        assert [choose_sampler("auto", trials) for trials in (1, 200, 201)] == ["model", "model", "tpe"]
        assert choose_sampler("model", 1000) == "model"
    with pytest.raises(BadInput, match="sampler gp needs torch"):
        choose_sampler("gp", 60)


def test_nsga2_gets_several_generations() -> None:
    assert [population_size(trials) for trials in (10, 60, 1000)] == [8, 12, 50]
