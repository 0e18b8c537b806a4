"""What a study trains on; and that longer recoveries really go on from the weights behind the shorter ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.recover.execute import recovery_digest
from paredown.search.recovery import Recovering
from paredown.search.spec import StudySpec
from paredown.search.study_file import make_spec
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import uncompressed
from paredown.trials.recoveries import recovery_key
from paredown.trials.recovering import hear_teacher, kept_training, make_recovering, open_training
from paredown.trials.space import uniform_bits
from tests.commands.tiny import write_model, write_split
from tests.search.toy import outcome


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    for name in ("train", "other"):
        write_split(folder / name, utterances=3 if name == "train" else 2)
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Model:
    return load_model(place / "model")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


def spec_of(place: Path, data: dict[str, str] | None = None, **recovery: Any) -> StudySpec:
    value = {
        "name": "tiny",
        "model": {"path": str(place / "model")},
        "data": {"train": str(place / "train")} | (data or {}),
        "space": {"layers": {"decoder": [2, 4]}},
        "recovery": {"short_steps": 2, "long_steps": 6} | recovery,
    }
    return make_spec(value)


def recovering_of(place: Path, model: Model, **recovery: Any) -> Recovering:
    spec = spec_of(place, **recovery)
    found = make_recovering(spec, open_training(spec, model.task), model, uncompressed(model))
    assert found is not None
    return found


def test_studies_without_the_table_train_nothing(place: Path, model: Model) -> None:
    spec = spec_of(place).model_copy(update={"recovery": None})
    assert open_training(spec, model.task) is None
    assert make_recovering(spec, None, model, uncompressed(model)) is None


def test_identity_names_data_and_settings(place: Path, model: Model) -> None:
    spec = spec_of(place, {"other": str(place / "other")}, mixture={"out_of_domain": 2})
    data = open_training(spec, model.task)
    assert data is not None
    assert data.other is not None
    recovering = make_recovering(spec, data, model, uncompressed(model))
    assert recovering is not None
    described = recovering.describe()
    assert (described["train split"], described["other split"]) == (data.train.digest, data.other.digest)
    assert (described["recovery rungs"], described["recovery mixture out_of_domain"]) == ([2.0, 6.0], 2)
    assert json.loads(json.dumps(described)) == described


def unlabelled(folder: Path, place: Path) -> str:
    folder.mkdir()
    rows = [{"id": "u0", "audio": str(place / "train" / "0.wav")}]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def test_audio_without_references_is_enough_for_hypotheses_alone(place: Path, model: Model, tmp_path: Path) -> None:
    audio = unlabelled(tmp_path / "audio", place)
    with pytest.raises(BadInput, match="every utterance needs a text or a translation"):
        open_training(spec_of(place, {"train": audio}), model.task)
    data = open_training(spec_of(place, {"train": audio}, mixture={"references": 0, "distilled": 1}), model.task)
    assert data is not None
    assert len(data.train) == 1


def test_references_must_be_of_the_models_task(place: Path, model: Model, tmp_path: Path) -> None:
    rows = [{"id": "u0", "audio": str(place / "train" / "0.wav"), "text": "x"}]
    (tmp_path / "asr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput, match="utterance u0 has no translation"):
        open_training(spec_of(place, {"train": str(tmp_path / "asr.jsonl")}), model.task)


def test_data_that_is_gone_is_missed_only_where_something_is_trained(place: Path, model: Model) -> None:
    gone = spec_of(place, {"train": str(place / "nowhere.jsonl")})
    assert kept_training(gone, model.task) is None
    assert kept_training(spec_of(place), model.task) is not None
    with pytest.raises(BadInput, match=r"nowhere\.jsonl"):
        open_training(gone, model.task)
    with pytest.raises(BadInput, match=r"recovery needs data\.train"):
        make_recovering(gone, None, model, uncompressed(model))


def trial(number: int, configuration: Configuration) -> Trial:
    return Trial(number, "complete", Candidate("search", configuration), outcome(-1.0, 10.0, 100.0))


def test_a_longer_recovery_goes_on_from_the_weights_behind_the_shorter_one(place: Path, model: Model) -> None:
    """The prefix of its schedule has the key of the shorter one, so it lies in the cache; so do those that differ in bits alone."""
    recovering = recovering_of(place, model)
    eight, four = (uniform_bits(model.inventory(), bits, uncompressed(model).decode) for bits in (8, 4))
    first = recovering.prepare(Candidate("search", eight), []).configuration
    known = [trial(number, first) for number in (1, 2, 3)]
    (longer,) = recovering.promotions(known, spec_of(place).objective_list, ())
    place_of_first = longer.configuration.schedule.index(first.trainings[0])
    assert recovery_digest(model.digest, longer.configuration, place_of_first) == recovery_key(model.digest, first)
    assert recovery_key(model.digest, longer.configuration) != recovery_key(model.digest, first)
    shared = recovering.prepare(Candidate("search", four), known).configuration
    assert shared.schedule == first.schedule
    assert recovery_key(model.digest, shared) == recovery_key(model.digest, first)


def test_bits_are_part_of_training_that_knows_them(place: Path, model: Model) -> None:
    recovering = recovering_of(place, model, kind="qat")
    eight, four = (uniform_bits(model.inventory(), bits, uncompressed(model).decode) for bits in (8, 4))
    first = recovering.prepare(Candidate("search", eight), []).configuration
    second = recovering.prepare(Candidate("search", four), [trial(1, first)]).configuration
    assert second.inherited == recovery_key(model.digest, first)
    assert recovery_key(model.digest, replace(second, bits=eight.bits)) != recovery_key(model.digest, second)


def test_adapters_without_their_package_are_refused(place: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paredown.recover.adapters.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="peft"):
        recovering_of(place, model, kind="lora")


def test_the_teacher_is_heard_before_the_first_trial(place: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr("paredown.trials.training_batches.batches_of", lambda *given: heard.append(given))
    for kind, expected in (("fine-tune", 0), ("distill", 1)):
        spec = spec_of(place, kind=kind)
        data = open_training(spec, model.task)
        recovering = make_recovering(spec, data, model, uncompressed(model))
        assert recovering is not None
        hear_teacher(recovering, data, model, Silent())
        assert len(heard) == expected
    assert heard[0][1:4] == (Configuration().input, recovering.stage(0), data)
    hear_teacher(None, None, model, Silent())
    assert len(heard) == 1


class Silent:
    def line(self, text: str) -> None:
        """Nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Nothing."""
