"""Lessons as they travel: the same model and data elsewhere, and who is asked to train."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")

from paredown.data import Utterance, load_split
from paredown.data.split import Split
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.recover.training_data import TrainingData
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.training import Training
from paredown.trials.lessons import Lessons, lay_model, lay_splits, learn
from paredown.trials.recoveries import Recovery, Work, recover, recovery_folder, take_in
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_model, write_split
from tests.trials.telling import Quiet


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return TrainingData(load_split(write_split(tmp_path_factory.mktemp("data"), 4)))


def scheduled(data: TrainingData, stages: int = 1) -> Configuration:
    training = Training("fine-tune", data.digest, steps=2, rate=1e-2, batch_s=2.0)
    return Configuration(schedule=(*TRANSFORMATIONS[:-1], *[training] * stages, TRANSFORMATIONS[-1]))


class Academy:
    """Another machine: a cache of its own, from which recoveries come back."""

    def __init__(self, here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Work, tuple[str, ...]]] = []
        self._here, self._cache, self._patch = here, cache, monkeypatch

    def train(self, work: Work, wanted: Sequence[str]) -> None:
        self.asked.append((work, tuple(wanted)))
        with Lessons(1, lambda folder: None) as lessons:
            self._patch.setenv("PAREDOWN_CACHE", str(self._cache))
            learn(lessons.make(work))
            found = [(digest, recovery_folder(digest)) for digest in wanted]
            self._patch.setenv("PAREDOWN_CACHE", str(self._here))
            for digest, folder in found:
                take_in(digest, folder)

    def hear(self, work: Work, stage: Training) -> None:
        raise AssertionError("nobody was to hear a teacher")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_trained_elsewhere_is_what_this_machine_trains(
    model: Model, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    academy = Academy(tmp_path / "cache", tmp_path / "other", monkeypatch)
    short, long = scheduled(data), scheduled(data, 2)
    with Workshop(model, Recovery(data, Quiet(), academy)) as workshop:
        workshop.train(short)
        workshop.build(short)
        assert [len(wanted) for _, wanted in academy.asked] == [1]  # once: building finds it
        shutil.rmtree(tmp_path / "other")  # the longer one runs on a machine that has nothing yet
        workshop.train(long)
        workshop.train(Configuration())
    (_, (first,)), (work, wanted) = academy.asked
    assert list(work.starts) == [first]
    assert len(wanted) == 1
    there = {digest: bytes_of(recovery_folder(digest)) for digest in (first, *wanted)}
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "third"))
    recover(model, long, Recovery(data, Quiet()))
    for digest, files in there.items():
        assert files.keys() == bytes_of(recovery_folder(digest)).keys()
        assert files["weights.npz"] == bytes_of(recovery_folder(digest))["weights.npz"]


def test_what_nobody_brought_is_not_trained_here_instead(model: Model, data: TrainingData) -> None:
    class Idle(Academy):
        def __init__(self) -> None:
            pass

        def train(self, work: Work, wanted: Sequence[str]) -> None:
            return None

    with pytest.raises(RuntimeError, match="trained elsewhere must be in the cache"):
        recover(model, scheduled(data), Recovery(data, Quiet(), Idle()))


def test_a_damaged_recovery_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="must arrive as it was made, abc did not"):
        take_in("abc", tmp_path / "folder")


def test_a_model_is_the_same_from_its_files_alone(model: Model, tmp_path: Path) -> None:
    lay_model(model, tmp_path)
    found = load_model(tmp_path)
    assert found.digest == model.digest
    assert (found.tokens, found.token_type) == (model.tokens, model.token_type)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(model.files)


def test_splits_keep_their_digests(tmp_path: Path) -> None:
    train = load_split(write_split(tmp_path / "train", 3))
    unlabelled = Split("other", tuple(Utterance(each.id, each.audio, None, None) for each in train.utterances))
    (tmp_path / "laid").mkdir()
    lay_splits({"train": train, "other": unlabelled}, tmp_path / "laid")
    assert load_split(tmp_path / "laid" / "train").digest == train.digest
    assert load_split(tmp_path / "laid" / "other", labelled=False).digest == unlabelled.digest


def test_what_lessons_share_is_laid_out_once(model: Model, data: TrainingData) -> None:
    laid: list[Path] = []
    with Lessons(1, laid.append) as lessons:
        first = lessons.make(Work(model, model, scheduled(data), data))
        second = lessons.make(Work(model, model, scheduled(data, 2), data))
        assert (first.model, first.teacher, first.data) == (second.model, second.model, second.data)
        assert laid == [first.model, first.data]
        assert all(folder.is_dir() for folder in laid)
    assert not any(folder.exists() for folder in laid)
