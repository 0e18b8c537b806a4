"""Stages: what cannot matter costs little, what matters is measured as in full, and nothing is computed twice."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paredown.data import Split  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.measurement import Measurement  # noqa: E402
from paredown.search.budget import Budget, make_budget  # noqa: E402
from paredown.search.loop import Board  # noqa: E402
from paredown.search.objective import Objective  # noqa: E402
from paredown.search.outcome import Stopped  # noqa: E402
from paredown.space.configuration import Configuration, Decode  # noqa: E402
from paredown.trials.evaluation import Evaluator, uncompressed  # noqa: E402
from paredown.trials.foreseen import Foreseen  # noqa: E402
from paredown.trials.kept import Kept  # noqa: E402
from paredown.trials.records import Records  # noqa: E402
from paredown.trials.staged import StagedEvaluator  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402
from tests.trials.scripted import MACHINE, REFERENCE_MS, Script, bits_of, evaluator, write_texts  # noqa: E402

UTTERANCES = 80
OBJECTIVES = (
    Objective("quality", "maximize", "chrF"),
    Objective("latency_ms@cpu", "minimize", "ms", "log"),
    Objective("size_bytes", "minimize", "bytes", "log"),
)
SAME = ("quality", "chrf", "size_bytes", "params", "macs")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return write_texts(tmp_path_factory.mktemp("split"), UTTERANCES)


@pytest.fixture
def workshop(model: Model) -> Iterator[Workshop]:
    with Workshop(model) as opened:
        yield opened


class EqualLatency:
    """A predictor for which every configuration is as quick as the uncompressed model: bytes decide who costs more."""

    fingerprint = "a target"

    def predict(self, operations: Any, structure: Any, utterances: Sequence[Any], fingerprint: str) -> Measurement:
        return Measurement(10.0, "ms", (9.0, 11.0), provenance="estimated")


class Study:
    """Stages over a script, with their own count of what is decoded and timed; two of them may share a folder of records."""

    def __init__(self, workshop: Workshop, split: Split, records: Path, racing: bool = True, budgets: Sequence[Budget] = ()) -> None:
        predictor: Any = EqualLatency()
        self.script = Script()
        self.full: Evaluator = evaluator(workshop, self.script, split)
        self.foreseen = Foreseen(self.full, predictor)
        self.stages: list[str] = []
        board = Board(lambda number, stage: self.stages.append(stage))
        kept = Kept(self.full, Records(records), MACHINE, ["latency_ms@cpu"])
        self.evaluate = StagedEvaluator(self.full, self.foreseen, kept, OBJECTIVES, budgets, 0, board, racing)


def test_over_a_budget_nothing_is_built(workshop: Workshop, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = bits_of(workshop.model, 8)
    size_bytes = workshop.foretell(candidate).size_bytes
    study = Study(workshop, split, tmp_path, budgets=[make_budget("size", f"{size_bytes - 1} B")])
    _ = study.full.reference
    built: list[Configuration] = []
    build = workshop.build
    monkeypatch.setattr(workshop, "build", lambda configuration: built.append(configuration) or build(configuration))
    with pytest.raises(Stopped, match=r"size <= .* is missed: ") as stopped:
        study.evaluate(candidate, 1)
    assert stopped.value.partial.value("size_bytes") == size_bytes
    assert stopped.value.partial.estimated == ("latency_ms@cpu",)
    assert (study.stages, built) == (["screen"], [])
    assert not study.script.decoded_by(candidate)
    within = Study(workshop, split, tmp_path, budgets=[make_budget("size", f"{size_bytes} B")])
    assert within.evaluate(candidate, 1).value("size_bytes") == size_bytes


@pytest.mark.parametrize(("limit", "stops"), [("71 ms", True), ("73 ms", False)])
def test_a_predicted_latency_stops_only_what_is_sure(workshop: Workshop, split: Split, tmp_path: Path, limit: str, stops: bool) -> None:
    """Between 72 and 88 ms, as predicted."""
    study = Study(workshop, split, tmp_path, budgets=[make_budget("latency@cpu", limit)])
    if stops:
        with pytest.raises(Stopped, match="latency@cpu <= 71 ms is missed: 80 ms"):
            study.evaluate(bits_of(workshop.model, 8), 1)
    else:
        study.evaluate(bits_of(workshop.model, 8), 1)


def raced(study: Study, model: Model, damage: float) -> Configuration:
    """The uncompressed model and a good small configuration are finished; the larger one that is given back is damaged so."""
    study.evaluate(uncompressed(model), 0)
    study.evaluate(study.script.set(bits_of(model, 4), 0.1), 1)
    return study.script.set(bits_of(model, 8), damage)


def test_the_clearly_worse_is_raced_out(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    study = Study(workshop, split, tmp_path)
    candidate = raced(study, workshop.model, 0.7)
    with pytest.raises(Stopped, match=f"dominated by trial 1 on .* of {UTTERANCES} utterances") as stopped:
        study.evaluate(candidate, 2)
    decoded = study.script.decoded_by(candidate)
    assert 0 < len(decoded) < UTTERANCES / 2
    assert set(decoded.values()) == {1}
    assert study.script.timed_of(candidate) == 0
    partial = stopped.value.partial
    assert partial.value("quality") < -20
    assert partial.value("size_bytes") == workshop.foretell(candidate).size_bytes
    assert not (workshop.folder / candidate.digest[:16]).exists()


def test_the_slightly_worse_is_beaten_before_it_is_measured(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    """What subsets cannot tell, the whole split does: a rival is better and costs no more, so nothing is timed."""
    study = Study(workshop, split, tmp_path)
    candidate = raced(study, workshop.model, 0.14)
    with pytest.raises(Stopped, match="dominated by trial 1 on"):
        study.evaluate(candidate, 2)
    assert study.script.timed_of(candidate) == 0


def test_a_good_one_is_decoded_and_measured_once(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    study = Study(workshop, split, tmp_path)
    candidate = raced(study, workshop.model, 0.02)
    outcome = study.evaluate(candidate, 2)
    assert dict(study.script.decoded_by(candidate)) == {utterance.id: 1 for utterance in split.utterances}
    assert study.script.timed_of(candidate) == 1
    assert outcome.estimated == ()
    assert outcome.value("latency_ms@cpu") == pytest.approx(0.5 * REFERENCE_MS)
    assert study.stages[-1] == "measure"
    assert any(stage.startswith("race, ") for stage in study.stages)


def test_a_quality_budget_ends_a_race_without_a_rival(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    study = Study(workshop, split, tmp_path, budgets=[make_budget("quality", -5.0)])
    candidate = study.script.set(bits_of(workshop.model, 4), 0.7)
    with pytest.raises(Stopped, match=r"breaks the budget quality >= -5"):
        study.evaluate(candidate, 1)
    assert len(study.script.decoded_by(candidate)) < UTTERANCES


def test_what_the_records_hold_is_not_computed_again(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    first = Study(workshop, split, tmp_path)
    candidates = [first.script.set(bits_of(workshop.model, bits), 0.05 * (9 - bits)) for bits in (8, 6, 4)]
    before = [first.evaluate(each, number) for number, each in enumerate(candidates, 1)]
    again = Study(workshop, split, tmp_path)
    after = [again.evaluate(each, number) for number, each in enumerate(candidates, 1)]
    for candidate, old, new in zip(candidates, before, after, strict=True):
        assert again.script.decoded_by(candidate) == {}
        assert again.script.timed_of(candidate) == 0
        assert [old.value(name) for name in SAME] == [new.value(name) for name in SAME]
        assert new.value("latency_ms@cpu") == pytest.approx(old.value("latency_ms@cpu"))


def test_what_was_raced_out_goes_on_where_it_was_left(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    study = Study(workshop, split, tmp_path)
    candidate = raced(study, workshop.model, 0.7)
    with pytest.raises(Stopped):
        study.evaluate(candidate, 2)
    heard = set(study.script.decoded_by(candidate))
    other = Study(workshop, split, tmp_path, racing=False)
    other.script.set(candidate, 0.7)
    other.evaluate(candidate, 1)
    assert set(other.script.decoded_by(candidate)) == {utterance.id for utterance in split.utterances} - heard


def test_without_racing_everything_is_decoded(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    study = Study(workshop, split, tmp_path, racing=False)
    candidate = raced(study, workshop.model, 0.7)
    assert study.evaluate(candidate, 2).value("quality") < -20
    assert len(study.script.decoded_by(candidate)) == UTTERANCES
    assert study.script.timed_of(candidate) == 1


@pytest.mark.parametrize("racing", [True, False])
def test_it_ends_where_a_full_evaluation_does(workshop: Workshop, split: Split, tmp_path: Path, racing: bool) -> None:
    study = Study(workshop, split, tmp_path, racing)
    for number, candidate in enumerate([uncompressed(workshop.model), study.script.set(bits_of(workshop.model, 4), 0.2, 0.9)]):
        staged, full = study.evaluate(candidate, number), study.full(candidate, number)
        assert set(staged.measurement_of) == set(full.measurement_of)
        for name in SAME:
            assert staged.measurement_of[name] == full.measurement_of[name]
        assert staged.value("latency_ms@cpu") == pytest.approx(full.value("latency_ms@cpu"))


def test_an_earlier_run_races_against_new_candidates(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    first = Study(workshop, split, tmp_path)
    good = first.script.set(bits_of(workshop.model, 4), 0.1)
    latency_ms = first.evaluate(good, 1).value("latency_ms@cpu")
    later = Study(workshop, split, tmp_path)
    later.evaluate.remember(1, good, latency_ms)
    candidate = later.script.set(bits_of(workshop.model, 8), 0.7)
    with pytest.raises(Stopped, match="dominated by trial 1"):
        later.evaluate(candidate, 2)
    assert later.script.decoded_by(good) == {}


def test_while_no_latency_is_foretold_nobody_is_taken_for_quicker(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    """A smaller and better trial may take longer: until some were measured, it stops nobody."""
    study = Study(workshop, split, tmp_path)
    study.foreseen._predictor = None
    candidate = raced(study, workshop.model, 0.7)
    study.evaluate(candidate, 2)
    assert study.script.timed_of(candidate) == 1


def test_who_does_more_work_is_no_rival_whatever_latency_is_foretold(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    """Foretold latencies are equal and the rival has fewer bytes and more quality, but the candidate follows one hypothesis alone."""
    study = Study(workshop, split, tmp_path)
    whole = raced(study, workshop.model, 0.7)
    candidate = study.script.set(replace(whole, decode=Decode(beam_size=1)), 0.7)
    assert workshop.foretell(candidate).size_bytes > workshop.foretell(bits_of(workshop.model, 4)).size_bytes
    study.evaluate(candidate, 2)
    assert len(study.script.decoded_by(candidate)) == UTTERANCES
    assert study.script.timed_of(candidate) == 1
