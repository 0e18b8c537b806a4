"""Recovery inside the loop: who is trained how long, from which weights, and that a study with it can stop and go on."""

import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paredown.profilers.measurement import Measurement
from paredown.search import chooser as chooser_module
from paredown.search.budget import make_budget
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome, Rejected
from paredown.search.proposer import Observation, Proposer
from paredown.search.recovery import plain, rung_of
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from tests.search import toy
from tests.search.recovering_toy import DATA, evaluate, key, plain_digests, recovering, spec, steps_of


def run(folder: Path, trials: int, time: str | None = None, evaluator: Any = evaluate, **settings: Any) -> tuple[Trial, ...]:
    with toy.open_study(folder, spec(trials, time)) as study:
        run_study(study, evaluator, toy.given(), recovering=recovering(**settings), **({} if time is None else {"seconds_used": 0.0}))
        return study.trials


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, ...]:
    """A study of thirty-two trials that nothing stopped."""
    return run(tmp_path_factory.mktemp("through"), 32)


def by_rung(trials: tuple[Trial, ...]) -> Counter[int]:
    return Counter(rung_of(trial) for trial in trials if trial.configuration.trainings)


def test_all_but_the_uncompressed_model_are_trained_and_a_third_of_them_longer(trials: tuple[Trial, ...]) -> None:
    assert trials[0].configuration == toy.UNCOMPRESSED.configuration
    assert {steps_of(trial.configuration) for trial in trials[1:]} == {(10,), (10, 20), (10, 20, 60)}
    counts = by_rung(trials)
    assert counts[0] / 5 < counts[1] < counts[0] / 2  # a third, but for ranks that changed later
    assert all(stage.data == DATA for trial in trials for stage in trial.configuration.trainings)
    assert [stage.seed for stage in next(t for t in trials if rung_of(t) == 2).configuration.trainings] == [0, 1, 2]


def test_longer_training_is_one_stage_more_of_the_same(trials: tuple[Trial, ...]) -> None:
    numbered = {trial.number: trial for trial in trials}
    longer = [trial for trial in trials if rung_of(trial)]
    assert longer
    for trial in longer:
        source = numbered[int(trial.label.removeprefix("recovered longer (trial ").removesuffix(")"))]
        assert source.number < trial.number
        assert rung_of(source) == rung_of(trial) - 1
        *before, last, quantize = trial.configuration.schedule
        assert (*before, quantize) == source.configuration.schedule
        assert last == trial.configuration.trainings[-1]
        assert trial.candidate.knobs == source.candidate.knobs
        assert trial.outcome is not None
        assert source.outcome is not None
        assert trial.outcome.value("quality") >= source.outcome.value("quality")


def beats(one: Trial, other: Trial) -> bool:
    """Nowhere worse and somewhere better."""
    signs = {"quality": 1, "latency_ms@cpu": -1, "size_bytes": -1}
    here, there = ([sign * trial.outcome.value(name) for name, sign in signs.items()] for trial in (one, other) if trial.outcome)
    return here != there and all(ours >= theirs for ours, theirs in zip(here, there, strict=True))


def test_whoever_was_trained_longer_was_among_the_best_third_then_and_nobody_else_waited(trials: tuple[Trial, ...]) -> None:
    numbered = {trial.number: trial for trial in trials}
    for trial in trials[len(toy.given()) :]:
        before = [other for other in trials[: trial.number] if other.configuration.trainings]
        if not rung_of(trial):
            assert recovering().promotions(before, toy.toy_spec().objective_list, ()) == ()
            continue
        source = numbered[int(trial.label.removeprefix("recovered longer (trial ").removesuffix(")"))]
        rung = [other for other in before if rung_of(other) == rung_of(source)]
        assert sum(beats(other, source) for other in rung) < len(rung) // 3


def test_no_point_of_the_space_is_trained_shortly_twice(trials: tuple[Trial, ...]) -> None:
    shorts = plain_digests([trial.configuration for trial in trials if rung_of(trial) == 0])
    assert len(set(shorts)) == len(shorts)
    resolved = {toy.make_space().resolve(dict(trial.candidate.knobs)).digest for trial in trials if trial.candidate.knobs}
    assert resolved <= set(shorts)


def test_stopping_and_going_on_gives_the_study_that_ran_through(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    for stop in (3, 11, 19, 32):
        parts = run(tmp_path, stop)
    assert [trial.configuration for trial in parts] == [trial.configuration for trial in trials]


@pytest.mark.parametrize("rung", [0, 1])
def test_a_process_killed_in_training_changes_nothing(rung: int, tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    def dying(configuration: Configuration, number: int) -> Outcome:
        if number > 5 and len(configuration.trainings) == rung + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(configuration, number)

    child = multiprocessing.get_context("fork").Process(target=run, args=(tmp_path, 14, None, dying))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    complete = [trial for trial in run(tmp_path, 14) if trial.state == "complete"]
    assert [trial.configuration for trial in complete] == [trial.configuration for trial in trials[:14]]


def test_most_start_from_the_nearest_that_was_recovered_before(trials: tuple[Trial, ...]) -> None:
    started = [trial for trial in trials if trial.configuration.inherited is not None]
    assert started
    for trial in started:
        sources = [
            other.number for other in trials if other.configuration.trainings and key(other.configuration) == trial.configuration.inherited
        ]
        assert sources
        assert min(sources) < trial.number


def test_without_inheritance_all_start_from_the_model(tmp_path: Path) -> None:
    assert all(trial.configuration.inherited is None for trial in run(tmp_path, 12, inherit=False))


def short(configuration: Configuration, number: int = 1, **settings: Any) -> Trial:
    prepared = recovering(**settings).prepare(Candidate("search", configuration), [])
    return Trial(number, "complete", prepared, evaluate(prepared.configuration, 0))


def test_configurations_that_differ_in_what_follows_training_share_it() -> None:
    eight, four = (Configuration(bits=(("decoder.decoders.0.feed_forward.w_1", bits),)) for bits in (8, 4))
    known = short(eight)
    prepared = recovering().prepare(Candidate("search", four), [known]).configuration
    assert prepared.schedule == known.configuration.schedule
    assert prepared.inherited is None
    dropped = replace(four, keep=(("decoder", (0, 1, 2, 3, 4)),))
    other = recovering().prepare(Candidate("search", dropped), [known]).configuration
    assert other.inherited == key(known.configuration)
    assert other.schedule[1:6] == ("drop", "narrow", "factorize", "prune", other.trainings[0])
    assert plain(other) == dropped


def test_training_that_knows_of_bits_is_not_shared_but_inherited() -> None:
    """As the key of quantization-aware training has them."""
    aware = replace(recovering(kind="qat"), key=lambda configuration: configuration.digest)
    eight, four = (Configuration(bits=(("decoder.decoders.0.feed_forward.w_1", bits),)) for bits in (8, 4))
    known = Trial(1, "complete", aware.prepare(Candidate("search", eight), []), evaluate(eight, 0))
    assert aware.prepare(Candidate("search", four), [known]).configuration.inherited == known.configuration.digest


def test_what_starts_from_a_supernet_stays_with_it() -> None:
    first = f"supernet:{'9' * 64}"
    of_supernet = Configuration(schedule=(first, *TRANSFORMATIONS), keep=(("decoder", (0, 1, 2, 3, 5)),))
    prepared = recovering().prepare(Candidate("search", of_supernet), [short(Configuration())]).configuration
    assert prepared.schedule[:2] == (first, "drop")
    assert plain(prepared) == of_supernet
    of_model = Configuration(keep=(("decoder", (0, 1, 2, 4, 5)),))
    known = Trial(1, "complete", Candidate("search", prepared), evaluate(prepared, 0))
    assert recovering().prepare(Candidate("search", of_model), [known]).configuration.inherited is None


def test_the_sampler_learns_from_short_recoveries_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[Observation]] = []

    class Listening(Proposer):
        def __init__(self, *given: Any) -> None:
            told.append(list(given[5]))
            super().__init__(*given)

    monkeypatch.setattr(chooser_module, "Proposer", Listening)
    found = run(tmp_path, 20)
    assert by_rung(found)[1] > 0
    shorts = [trial for trial in found if rung_of(trial) == 0 and trial.candidate.knobs and trial.outcome]
    learned = [(one.knobs, one.values[0]) for one in told[-1]]
    assert learned == [(t.candidate.knobs, t.outcome.value("quality")) for t in shorts if t.outcome][: len(learned)]
    assert len(learned) >= len(shorts) - 1


def test_what_misses_a_budget_on_size_is_not_trained_longer_and_what_misses_quality_is() -> None:
    """Three trials let one go on: the best by quality is too large."""
    dropped = (Configuration(keep=(("decoder", tuple(range(blocks))),)) for blocks in (5, 4, 3))
    known = [short(configuration, number) for number, configuration in enumerate(dropped)]
    objectives = toy.toy_spec().objective_list
    budgets = [make_budget("size", "13 MB"), make_budget("quality", "-0.1")]
    assert [one.label for one in recovering().promotions(known, objectives, [])] == ["recovered longer (trial 0)"]
    assert [one.label for one in recovering().promotions(known, objectives, budgets)] == ["recovered longer (trial 1)"]


def test_too_many_word_errors_are_mended_by_training_like_any_quality() -> None:
    """At most so many, as costs are, but no cost: the one that misses it by most is the best, and is trained longer."""
    known = []
    for number, blocks in enumerate((5, 4, 3)):
        trial = short(Configuration(keep=(("decoder", tuple(range(blocks))),)), number)
        assert trial.outcome is not None
        errors = Measurement(40.0 - number, "WER")
        known.append(replace(trial, outcome=Outcome((*trial.outcome.measurements, ("wer", errors)))))
    budgets = [make_budget("quality", 30, "wer")]
    assert budgets[0].direction == "minimize"
    assert [one.label for one in recovering().promotions(known, toy.toy_spec().objective_list, budgets)] == ["recovered longer (trial 0)"]


def test_a_longer_recovery_that_was_interrupted_comes_first_and_is_given_up_after_two(tmp_path: Path) -> None:
    def faulty(configuration: Configuration, number: int) -> Outcome:
        if len(configuration.trainings) == 2:
            raise OSError("disk full")
        return evaluate(configuration, number)

    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            run(tmp_path, 12, evaluator=faulty)
    first, second = (trial for trial in run(tmp_path, 6) if trial.state == "interrupted")
    assert first.configuration == second.configuration
    assert first.configuration not in [trial.configuration for trial in run(tmp_path, 12) if trial.state == "complete"]


def test_who_stops_a_study_gives_nothing_up_and_the_time_counts(tmp_path: Path) -> None:
    """Three times in the same longer recovery, 20 s each; it is the next that is complete, and 60 s are gone."""
    clock = Clock()

    def stopped(configuration: Configuration, number: int) -> Outcome:
        clock.now_s += 20.0
        if len(configuration.trainings) == 2:
            raise KeyboardInterrupt
        return evaluate(configuration, number)

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt), toy.open_study(tmp_path, spec(12)) as study:
            run_study(study, stopped, toy.given(), clock=clock, recovering=recovering())
    with toy.open_study(tmp_path, spec(12, "5 min")) as study:
        begun = study.trials
        run_study(study, evaluate, toy.given(), clock=Clock(), recovering=recovering())
        found = study.trials
    first = begun[-1]
    assert [trial.state for trial in begun[-3:]] == ["interrupted"] * 3
    assert {trial.digest for trial in begun[-3:]} == {first.digest} == {found[len(begun)].digest}
    assert found[len(begun)].state == "complete"
    with toy.open_study(tmp_path / "short", spec(12)) as study, pytest.raises(KeyboardInterrupt):
        run_study(study, stopped, toy.given(), clock=clock, recovering=recovering())
    with toy.open_study(tmp_path / "short", spec(12, f"{20 * len(begun[:-2])} s")) as study:
        why = run_study(study, evaluate, toy.given(), clock=Clock(), recovering=recovering())
    assert "is spent" in why


def test_a_longer_recovery_that_is_rejected_is_not_tried_again(tmp_path: Path) -> None:
    def strict(configuration: Configuration, number: int) -> Outcome:
        if len(configuration.trainings) == 2:
            raise Rejected("its graph differs from torch by 0.01")
        return evaluate(configuration, number)

    found = run(tmp_path, 14, evaluator=strict)
    rejected = [trial.digest for trial in found if trial.state == "rejected"]
    assert len(set(rejected)) == len(rejected) > 1


class Clock:
    """A second for each step of training."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def evaluate(self, configuration: Configuration, number: int) -> Outcome:
        self.now_s += 1.0 + (steps_of(configuration) or (0,))[-1]
        return evaluate(configuration, number)


def test_training_counts_as_time_and_nothing_longer_starts_that_would_not_fit(tmp_path: Path) -> None:
    clock = Clock()
    with toy.open_study(tmp_path, spec(60, "3 min")) as study:
        why = run_study(study, clock.evaluate, toy.given(), clock=clock, recovering=recovering())
        found = study.trials
    assert clock.now_s <= 180.0
    assert sum(trial.seconds for trial in found) == clock.now_s
    assert by_rung(found)[1] > 0
    assert by_rung(found)[2] == 0  # sixty steps, expected to take 66 s from the short ones, and time is short by then
    assert "are left and a trial takes 11 s" in why


def test_expected_lengths_scale_with_training_until_one_is_known() -> None:
    known = [replace(short(Configuration(), number), seconds=12.0) for number in (1, 2)]
    rule = recovering()
    (longer,) = rule.promotions([*known, replace(known[0], number=3)], toy.toy_spec().objective_list, ())
    assert rule.expected_seconds(longer, []) is None
    assert rule.expected_seconds(longer, known) == 24.0
    assert rule.expected_seconds(longer, [*known, Trial(4, "complete", longer, None, 21.0)]) == 21.0
