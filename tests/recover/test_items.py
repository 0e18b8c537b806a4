"""The data mixture: what it takes, how often, and that no target comes twice for the same audio."""

from collections import Counter
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.models import Model
from paredown.recover.items import Item, describe_targets, gather_items
from paredown.recover.training_data import TrainingData
from paredown.space.training import Mixture
from tests.recover.audio import write_asr, write_model, write_split


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


def _text(model: Model, item: Item) -> str:
    return "".join(model.tokens[token] for token in item.tokens).replace("▁", " ").strip()


def test_references_are_the_split(model: Model, tmp_path: Path) -> None:
    split = write_split(tmp_path / "train")
    items = gather_items(model, TrainingData(split), Mixture())
    assert [item.utterance for item in items] == [utterance.id for utterance in split.utterances]
    assert [_text(model, item) for item in items] == [utterance.translation for utterance in split.utterances]
    assert {(item.origin, item.times) for item in items} == {("reference", 1)}
    spelled = ["".join(model.source_tokens[token] for token in item.source).replace("▁", " ").strip() for item in items]
    assert spelled == [str(utterance.text).lower().rstrip(".") for utterance in split.utterances]
    assert items[0].seconds == 0.5


def test_distilled_targets_repeat_neither_the_reference_nor_one_another(model: Model, tmp_path: Path) -> None:
    data = TrainingData(write_split(tmp_path / "train", 3))
    first, second, third = (item.tokens for item in gather_items(model, data, Mixture()))
    hypotheses = {"u0": [first, (3, 4), (3, 4), (5,)], "u1": [(4,), (3, 3)], "u2": []}
    items = gather_items(model, data, Mixture(distilled=10), hypotheses, nbest=4)
    distilled = [(item.utterance, item.tokens, item.times) for item in items if item.origin == "distilled"]
    assert distilled == [("u0", (3, 4), 10), ("u0", (5,), 10), ("u1", (4,), 10), ("u1", (3, 3), 10)]
    assert [item.tokens for item in items if item.origin == "reference"] == [first, second, third]
    best = gather_items(model, data, Mixture(distilled=1), hypotheses)
    assert [item.tokens for item in best if item.origin == "distilled"] == [(4,)]  # the best of u0 is its reference


def test_distillation_alone_keeps_hypotheses_that_equal_references(model: Model, tmp_path: Path) -> None:
    data = TrainingData(write_split(tmp_path / "train", 2))
    first = gather_items(model, data, Mixture())[0].tokens
    items = gather_items(model, data, Mixture(references=0, distilled=2), {"u0": [first]})
    assert [(item.tokens, item.times) for item in items] == [(first, 2)]


def test_unlabelled_audio_is_enough_for_distillation(model: Model, tmp_path: Path) -> None:
    data = TrainingData(write_split(tmp_path / "train", 3, text=None, translation=None))
    items = gather_items(model, data, Mixture(distilled=1), {"u0": [(3,)], "u2": [(4, 5)]})
    assert [(item.utterance, item.tokens, item.source) for item in items] == [("u0", (3,), ()), ("u2", (4, 5), ())]
    with pytest.raises(BadInput, match=r"no utterance of .* has a translation, and no teacher's hypothesis was taken"):
        gather_items(model, data, Mixture())


def test_out_of_domain_data_come_with_their_references(model: Model, tmp_path: Path) -> None:
    data = TrainingData(write_split(tmp_path / "train", 3), write_split(tmp_path / "other", 2, seed=1))
    items = gather_items(model, data, Mixture(references=2, out_of_domain=3))
    assert Counter((item.origin, item.times) for item in items) == {("reference", 2): 3, ("other", 3): 2}
    assert {item.audio.parent.name for item in items if item.origin == "other"} == {"other"}
    with pytest.raises(BadInput, match="out-of-domain data needs such data, got 3 times none"):
        gather_items(model, TrainingData(data.train), Mixture(out_of_domain=3))


def test_hypotheses_must_be_there(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the teacher's hypotheses, got none"):
        gather_items(model, TrainingData(write_split(tmp_path / "train", 2)), Mixture(distilled=1))


def test_an_asr_model_learns_what_is_said(tmp_path: Path) -> None:
    model = write_asr(tmp_path / "model")
    data = TrainingData(write_split(tmp_path / "train", 3, translation=None))
    items = gather_items(model, data, Mixture())
    assert ["".join(model.tokens[token] for token in item.tokens).replace("<space>", " ") for item in items] == ["ab", "cab d", "e"]
    assert {item.source for item in items} == {()}


def test_targets_are_told_apart_by_utterance_and_ids(model: Model) -> None:
    def described(*pairs: tuple[str, tuple[int, ...]]) -> bytes:
        return describe_targets([Item(name, Path("a.wav"), 1.0, "reference", tokens) for name, tokens in pairs])

    one = described(("a", (1, 2)), ("b", (3,)))
    assert one != described(("a", (1,)), ("b", (2, 3)))
    assert one != described(("b", (3,)), ("a", (1, 2)))
    assert one == described(("a", (1, 2)), ("b", (3,)))
