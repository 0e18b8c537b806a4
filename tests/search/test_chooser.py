"""What comes next: what breaks a budget by costs that are known waits, what is under way is not proposed again, nothing is twice."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from paredown.search import chooser as chooser_module
from paredown.search.chooser import Chooser
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome, Stopped
from paredown.search.sampler import SamplerName
from paredown.search.surrogate import Seen, Surrogate
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration, Decode
from tests.search.toy import evaluate, given, open_study, outcome, toy_spec

SAMPLERS: list[SamplerName] = ["model", "tpe", "nsga2", "qmc", "random"]


def size_alone(configuration: Configuration) -> Mapping[str, float]:
    """As exact before an evaluation as behind it."""
    return {"size_bytes": evaluate(configuration, 0).value("size_bytes")}


def choose(
    folder: Path, sampler: SamplerName, count: int, foretell: Callable[[Configuration], Mapping[str, float]], size: str
) -> list[Candidate]:
    """So many candidates in a row of a study that has run twelve trials without budgets; all of them are under way."""
    with open_study(folder, toy_spec(sampler="random", trials=12)) as study:
        run_study(study, evaluate, given())
    with open_study(folder, toy_spec(sampler=sampler, trials=60, size=size)) as study:
        chooser = Chooser(study, deque(), sampler, foretell=foretell)
        found: list[Candidate] = []
        for _ in range(count):
            candidate = chooser.next(study.trials, found, math.inf)
            assert candidate is not None
            found.append(candidate)
        assert not {candidate.digest for candidate in found} & {trial.digest for trial in study.trials}
    return found


def test_the_model_repeats_nothing_in_sixty_trials(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(sampler="model", trials=60)) as study:
        assert run_study(study, evaluate, given(), foretell=size_alone) == "all 60 trials are done"
        assert len({trial.digest for trial in study.trials}) == len(study.trials) == 60


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_under_way_is_not_proposed_again(tmp_path: Path, sampler: SamplerName) -> None:
    found = choose(tmp_path, sampler, 12, size_alone, "16 MB")
    assert len({candidate.digest for candidate in found}) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_breaks_a_budget_on_size_waits_while_others_are_offered(tmp_path: Path, sampler: SamplerName) -> None:
    """A third of the space fits into 12 MB; six proposals in a row that do not are rare."""
    sizes = [size_alone(candidate.configuration)["size_bytes"] for candidate in choose(tmp_path, sampler, 8, size_alone, "12 MB")]
    assert all(size <= 12e6 for size in sizes)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_nothing_fits_the_least_bad_is_taken(tmp_path: Path, sampler: SamplerName, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilobyte: it is the smallest of those that the sampler offered."""
    offered: list[float] = []

    def find(*arguments: object) -> Candidate | None:
        found = find_unseen(*arguments)  # type: ignore[arg-type]
        if found is not None:
            offered.append(size_alone(found.configuration)["size_bytes"])
        return found

    find_unseen = chooser_module.find_unseen
    monkeypatch.setattr(chooser_module, "find_unseen", find)
    choose(tmp_path, sampler, 0, size_alone, "1 kB")  # runs the study
    offered.clear()
    (taken,) = choose(tmp_path, sampler, 1, size_alone, "1 kB")
    assert size_alone(taken.configuration)["size_bytes"] == min(offered)
    assert len(offered) == chooser_module._BEYOND_BUDGET


@pytest.mark.parametrize("sampler", ["model", "tpe"])
def test_a_study_with_a_size_budget_evaluates_little_beyond_it(tmp_path: Path, sampler: str) -> None:
    spec = toy_spec(sampler=sampler, trials=24, size="9 MB")
    with open_study(tmp_path, spec) as study:
        run_study(study, evaluate, given(), foretell=size_alone)
        beyond = [trial for trial in study.trials[3:] if size_alone(trial.configuration)["size_bytes"] > 9e6]
    assert len(beyond) <= 2  # where six proposals in a row break it


def test_costs_that_nobody_foretells_keep_nothing_back(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(sampler="random", trials=12, size="1 kB")) as study:
        assert run_study(study, evaluate, given()) == "all 12 trials are done"


def test_the_model_learns_from_stopped_trials_with_their_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval of the toy is two points wide: a standard deviation of 2 / 3.92. One stopped before it had figures tells nothing."""
    shown: list[tuple[Seen, ...]] = []

    class Listening(Surrogate):
        def __init__(self, knobs: object, objectives: object, seen: list[Seen], *rest: object) -> None:
            shown.append(tuple(seen))
            super().__init__(knobs, objectives, seen, *rest)  # type: ignore[arg-type]

    def raced(configuration: Configuration, number: int) -> Outcome:
        found = evaluate(configuration, number)
        if number == 5:
            raise Stopped("size 9 MB > 8 MB", Outcome(tuple(pair for pair in found.measurements if pair[0] == "size_bytes")))
        if number > 8:
            raise Stopped("dominated by trial 3", found)
        return found

    monkeypatch.setattr(chooser_module, "Surrogate", Listening)
    with open_study(tmp_path, toy_spec(sampler="model", trials=16)) as study:
        run_study(study, raced, given())
        trials = study.trials
    assert len({trial.digest for trial in trials}) == 16
    before_last = [trial for trial in trials[:-1] if trial.candidate.knobs and trial.number != 5]
    assert len(shown[-1]) == len(before_last)
    expected = [0.0 if one.state == "complete" else (2.0 / 3.92) ** 2 for one in before_last]
    assert [seen.noise for seen in shown[-1]] == pytest.approx(expected)
    assert {one.state for one in before_last} == {"complete", "stopped"}


def test_given_ones_come_first_and_once(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        first, second, third = given()
        chooser = Chooser(study, deque([first, second, first, third]), "random")
        done = Trial(0, "complete", third, outcome(0.0, 1.0, 1.0))
        assert chooser.next([done], [], math.inf) == first
        assert chooser.next([done], [first], math.inf) == second
        after = chooser.next([done], [first, second], math.inf)  # the first is under way, the third is done
        assert after is not None
        assert after.label == "search"


def test_what_ended_two_processes_is_not_proposed(tmp_path: Path) -> None:
    """Only one configuration of five is left, and it has ended two."""
    space = SearchSpace([LayersAxis("decoder", 6, (3, 2, 4, 1, 0), 2, 6)])
    points = [Candidate("search", space.resolve({"layers.decoder": depth}), (("layers.decoder", float(depth)),)) for depth in range(2, 7)]
    trials = [Trial(number, "complete", point, evaluate(point.configuration, 0)) for number, point in enumerate(points[:4])]
    lost = [Trial(number, "interrupted", points[4], None, 1.0, "the process ended") for number in (4, 5)]
    with open_study(tmp_path, toy_spec(), space=space) as study:
        chooser = Chooser(study, deque(), "tpe")
        once = chooser.next([*trials, lost[0]], [], math.inf)
        assert once is not None
        assert once.digest == points[4].digest
        assert chooser.next([*trials, *lost], [], math.inf) is None


def test_comparisons_come_once_the_search_is_on_its_way(tmp_path: Path) -> None:
    asides = [Candidate(f"aside {beam}", Configuration(decode=Decode(beam_size=beam))) for beam in (20, 21)]
    with open_study(tmp_path, toy_spec(sampler="random", trials=32)) as study:
        run_study(study, evaluate, given(), asides=asides)
        places = [trial.number for trial in study.trials if trial.label.startswith("aside")]
        run_study(study, evaluate, given(), asides=asides)  # nothing is left to do
        assert len(study.trials) == 32
    assert places == [24, 27]
