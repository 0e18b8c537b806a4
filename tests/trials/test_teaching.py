"""Hypotheses of the uncompressed model: those of the runtime, kept in chunks."""

from pathlib import Path

import pytest

from paredown.data import load_split
from paredown.models import Model, load_model
from paredown.runtime import Translator
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.evaluation import uncompressed
from paredown.trials.teaching import TeachSettings, _usable, teach
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_model, write_split
from tests.trials.telling import Quiet


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def _all(hypothesis: Hypothesis) -> list[list[int]]:
    return [list(ids) for ids in (hypothesis.ids, *hypothesis.alternatives)]


def test_hypotheses_are_the_runtime_s_and_are_kept(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("paredown.trials.teaching.CHUNK", 2)
    monkeypatch.setattr("paredown.trials.teaching._usable", _all)  # a random network seldom stops before it is cut off
    split, settings, told = load_split(write_split(tmp_path / "train", 5)), TeachSettings(beam_size=4, nbest=3), Quiet()
    found = teach(model, split, told, settings, workers=1)
    with Workshop(model) as workshop:
        translator = Translator.from_bundle(workshop.build(uncompressed(model)), beam_size=4)
    expected = {}
    for utterance in split.utterances:
        result = translator.translate(utterance.audio, nbest=3)
        expected[utterance.id] = [list(each.ids) for each in (result, *result.alternatives)]
    assert found == expected
    assert all(len(each) == 3 for each in expected.values())
    assert told.lines == [f"teacher: decoding 5 utterances of {split.name}"]

    (kept,) = (tmp_path / "cache" / "hypotheses").iterdir()
    assert sorted(file.name for file in kept.iterdir()) == ["00000.json", "00001.json", "00002.json"]
    (kept / "00001.json").write_text("[[")  # a chunk that is damaged is decoded again, the others are not
    lengths = []
    decode = Decoder.decode

    def count(self: Decoder, *arguments: object) -> tuple[Hypothesis, ...]:
        hypotheses = decode(self, *arguments)  # type: ignore[arg-type]
        lengths.append(len(hypotheses))
        return hypotheses

    monkeypatch.setattr(Decoder, "decode", count)
    assert teach(model, split, Quiet(), settings, workers=1) == expected
    assert lengths == [2]
    assert teach(model, split, Quiet(), settings, workers=1) == expected
    assert lengths == [2]


def test_a_search_that_was_cut_off_teaches_nothing() -> None:
    assert _usable(Hypothesis("a", (1,), hit_cap=True, alternatives=((2,),))) == []
    assert _usable(Hypothesis("", (), hit_cap=False, alternatives=((2,),))) == []
    assert _usable(Hypothesis("a", (1,), hit_cap=False, alternatives=((2,), ()))) == [[1], [2]]


def test_more_hypotheses_than_beams_are_refused() -> None:
    with pytest.raises(ValueError, match=r"nbest must lie in \[1, beam size\], got 3 of 2"):
        TeachSettings(beam_size=2, nbest=3)
