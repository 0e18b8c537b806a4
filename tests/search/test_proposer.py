"""Proposals: that each sampler really learns from the history and from the budgets, and is a function of them and the seed.

A sampler that fell back to random would pass any test that only looks at ranges; here the same seed meets two histories.
"""

from collections.abc import Callable

import numpy as np
import pytest

from paredown.errors import BadInput
from paredown.search import sampler as sampler_module
from paredown.search.objective import Objective
from paredown.search.proposer import Observation, Proposer
from paredown.search.sampler import SamplerName, choose_sampler, population_size
from paredown.space.knobs import FloatKnob, IntKnob, Knob

KNOBS: tuple[Knob, ...] = (FloatKnob("bits.average", 2.5, 8.0), IntKnob("layers.decoder", 2, 6), FloatKnob("sparsity.ctc", 0.0, 0.9, 0.05))
OBJECTIVES = (Objective("quality", "maximize", "chrF"), Objective("size_bytes", "minimize", "bytes", "log"))
LEARNING: list[SamplerName] = ["tpe", "gp", "nsga2"]


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


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2", "random"])
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


def test_random_looks_at_nothing() -> None:
    assert ask("random", history(lambda bits: bits), 5) == ask("random", history(lambda bits: -bits), 5)


def test_different_seeds_differ() -> None:
    assert ask("tpe", history(lambda bits: bits), 1) != ask("tpe", history(lambda bits: bits), 2)


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
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
    history_of_all = history(lambda bits: bits)
    proposals = []
    for known in (history_of_all[0], None):
        proposer = Proposer(KNOBS, OBJECTIVES, "tpe", 1, 40, history_of_all)
        proposer.ask()
        proposer.tell_known(known)
        proposals.append(proposer.ask())
    assert proposals[0] != proposals[1]


def test_costs_reach_the_sampler_as_logarithms() -> None:
    """Hypervolume and the Gaussian processes would else weigh bytes by their unit; only the sampler's own study shows it."""
    proposer = Proposer(KNOBS, OBJECTIVES, "tpe", 1, 40, history(lambda bits: bits, points=1))
    (seen,) = proposer._study.trials
    assert seen.values == [pytest.approx(seen.params["bits.average"]), pytest.approx(np.log(1e6))]


def test_auto_needs_torch_for_gp_and_leaves_it_for_long_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "find_spec", lambda name: object())
    assert choose_sampler("auto", 60) == "gp"
    assert choose_sampler("auto", 1000) == "tpe"
    monkeypatch.setattr(sampler_module, "find_spec", lambda name: None)
    assert choose_sampler("auto", 60) == "tpe"
    with pytest.raises(BadInput, match="sampler gp needs torch"):
        choose_sampler("gp", 60)


def test_nsga2_gets_several_generations() -> None:
    assert [population_size(trials) for trials in (10, 60, 1000)] == [8, 12, 50]
