"""Calibration of a model on a split: made once, kept by what determines it, and the same whenever it is made again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.compress.calibration import Calibration
from paredown.data import load_split
from paredown.models import Model, load_model
from paredown.trials.calibrating import HYPOTHESES, calibrate_model, calibration_digest, read_layer_rows, read_utterances
from paredown.trials.decoding import Decoder
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_model, write_split


class Told:
    """Remembers the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, what: str, done: int, total: int) -> None:
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    write_split(folder / "data", 3)
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Model:
    return load_model(place / "model")


def test_it_is_made_once_and_made_again_the_same(place: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load_split(place / "data")
    told, threads = Told(), torch.get_num_threads()
    with Decoder(1) as decoder, Workshop(model) as workshop:
        made = []
        for cache in ("one", "one", "two", "two"):
            monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / cache))
            torch.set_num_threads(1 + len(made))  # which must not show
            if len(made) == 3:
                [kept] = (tmp_path / cache / "calibration").iterdir()
                kept.write_bytes(kept.read_bytes()[:-50])  # a damaged file counts as absent
            made.append(calibrate_model(model, split, workshop, decoder, told))
        rows = read_layer_rows(model, split, workshop, decoder)
    torch.set_num_threads(threads)
    assert ["cache" in line for line in told.lines] == [False, True, False, False]
    for other in made[1:]:
        assert (other.digest, other.utterances) == (made[0].digest, 3)
        for one, two in zip(made[0].moments, other.moments, strict=True):
            np.testing.assert_array_equal(one.matrix, two.matrix)
    assert [entry.paths for entry in rows] == [entry.paths for entry in made[0].rows]
    [kept] = (tmp_path / "two" / "calibration").iterdir()
    assert kept.name == f"{made[0].digest}.npz"
    assert Calibration.load(kept).digest == made[0].digest


def test_its_digest_follows_model_and_data(place: Path, model: Model) -> None:
    split = load_split(place / "data")
    digests = {calibration_digest(digest, data) for digest in (model.digest, "another") for data in (split, split.first(2))}
    assert len(digests) == 4
    assert calibration_digest(model.digest, load_split(place / "data")) in digests


def test_the_decoder_is_led_along_the_hypotheses_of_the_model(place: Path, model: Model) -> None:
    split = load_split(place / "data")
    with Decoder(1) as decoder, Workshop(model) as workshop:
        heard = read_utterances(model, split, workshop, decoder)
    assert len(heard) == 3
    for utterance in heard:
        assert 1 < len(utterance.hypotheses) <= HYPOTHESES
        assert len(set(utterance.hypotheses)) == len(utterance.hypotheses)
        assert utterance.features.shape[1] == model.frontend.n_mels
