"""The teacher's posteriors are those of ESPnet's network, whatever the batches, and a pass that was killed goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.errors import BadInput
from paredown.models import Model
from paredown.recover.items import Item, gather_items
from paredown.recover.teacher import TeacherSettings, find_posteriors, plan_work, posteriors_key
from paredown.recover.training_data import TrainingData
from paredown.runtime.audio import read_audio
from paredown.space.training import Mixture
from tests.recover.audio import write_model, write_split

DIGESTS = {"reference": "r", "distilled": "r", "other": "o"}
ALL = TeacherSettings(k=9, batch_s=0.1)  # the whole vocabulary, one utterance a batch: no padding
HYPOTHESES = {"u0": [(3, 4, 5), (6,)], "u3": [(7, 7)]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def items(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))
        return gather_items(model, TrainingData(write_split(tmp_path_factory.mktemp("train"))), Mixture(distilled=1), HYPOTHESES, nbest=2)


@torch.no_grad()
def _dense(model: Model, item: Item) -> tuple[torch.Tensor, list[int]]:
    """Log-posteriors [positions, tokens] and the source CTC's best path, by the network itself on this utterance alone."""
    network = model.network
    features = model.features(read_audio(item.audio, 16_000))
    states, steps = network.encode(features[None], torch.tensor([len(features)]))
    inputs = torch.tensor([[model.sos, *item.tokens]])
    logits, _ = network.decoder(states, steps, inputs, torch.tensor([inputs.shape[1]]))
    assert network.source_ctc is not None
    path = network.source_ctc.argmax(states)[0].unique_consecutive()
    return torch.log_softmax(logits[0], -1), path[path != 0].tolist()


def test_posteriors_are_the_network_s_own(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    found = find_posteriors(model, items, DIGESTS, ALL, tmp_path)
    assert len(found) == len(items) == 11
    for number, item in enumerate(items):
        expected, heard = _dense(model, item)
        ids, logs = found.top_k(number)
        assert ids.shape == (len(item.tokens) + 1, 9)
        assert np.array_equal(np.sort(ids, axis=1), np.tile(np.arange(9), (len(ids), 1)))
        # float16 keeps 11 bits: 0.001 of a logarithm of 2
        assert np.allclose(logs, np.take_along_axis(expected.numpy(), ids, axis=1), atol=2e-3)
        assert list(found.heard(number)) == heard


def test_the_best_come_first_and_are_the_best(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    found = find_posteriors(model, items, DIGESTS, replace(ALL, k=3), tmp_path)
    for number, item in enumerate(items):
        expected = np.sort(_dense(model, item)[0].numpy(), axis=1)[:, ::-1][:, :3]
        assert np.allclose(found.top_k(number)[1], expected, atol=2e-3)


def test_batches_change_little_and_the_network_not_at_all(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    """Padding reaches the last frames of shorter utterances through convolutions, so their posteriors move a bit."""
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    strides = {name: value.stride() for name, value in model.network.named_parameters()}
    alone, together = (find_posteriors(model, items, DIGESTS, replace(ALL, batch_s=each), tmp_path) for each in (0.1, 100.0))
    assert len(plan_work(items, model.network, replace(ALL, batch_s=100.0), model.frontend)) == 1
    for number in range(len(items)):
        left, right = (
            np.take_along_axis(logs, np.argsort(ids, axis=1), axis=1) for ids, logs in (p.top_k(number) for p in (alone, together))
        )
        assert np.abs(left - right).max() < 0.3
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert {name: value.stride() for name, value in model.network.named_parameters()} == strides
    assert not model.network.training


def test_targets_of_one_utterance_share_its_encoding(model: Model, items: tuple[Item, ...]) -> None:
    work = plan_work(items, model.network, TeacherSettings(batch_s=2.0), model.frontend)
    assert sorted(number for batch in work for number in batch.items) == list(range(len(items)))
    assert sum(len(batch.files) for batch in work) == 8
    for batch in work:
        assert [items[number].audio for number in batch.items] == [batch.files[row] for row in batch.rows]
        longest_s = max(items[number].seconds for number in batch.items)
        assert len(batch.files) == 1 or len(batch.files) * longest_s <= 2.0


def test_another_mixture_finds_what_was_made(
    model: Model, items: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_posteriors(model, items, DIGESTS, ALL, tmp_path)

    def compute(*_: object) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr("paredown.recover.teacher._compute", compute)
    references = [item for item in items if item.origin == "reference"]
    assert len(find_posteriors(model, references, DIGESTS, ALL, tmp_path)) == 8
    assert len(find_posteriors(model, [replace(item, times=7) for item in references], DIGESTS, ALL, tmp_path)) == 8
    with pytest.raises(AssertionError):
        find_posteriors(model, references[1:], DIGESTS, ALL, tmp_path)
    with pytest.raises(AssertionError):
        find_posteriors(model, references, {"reference": "another"}, ALL, tmp_path)


def test_a_pass_that_was_killed_goes_on(model: Model, items: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paredown.recover.teacher.SHARD_BATCHES", 2)
    references = tuple(item for item in items if item.origin == "reference")
    counts: list[int] = []

    def killed(done: int, total: int) -> None:
        assert total == 8
        counts.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_posteriors(model, references, DIGESTS, ALL, tmp_path / "parts", killed)
    resumed: list[int] = []
    found = find_posteriors(model, references, DIGESTS, ALL, tmp_path / "parts", lambda done, _: resumed.append(done))
    assert (counts, resumed) == ([1, 2, 3, 4, 5], [5, 6, 7, 8])  # two whole shards stayed
    whole = find_posteriors(model, references, DIGESTS, ALL, tmp_path / "whole")
    for number in range(len(references)):
        assert all(np.array_equal(left, right) for left, right in zip(found.top_k(number), whole.top_k(number), strict=True))
        assert found.heard(number) == whole.heard(number)
    (folder,) = (path for path in (tmp_path / "parts" / "posteriors").iterdir() if path.suffix != ".lock")
    assert folder.name == posteriors_key(model, references, "r", ALL)


def test_a_damaged_folder_is_made_again(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    references = items[:3]
    first = find_posteriors(model, references, DIGESTS, ALL, tmp_path).top_k(0)[1].copy()
    (tmp_path / "posteriors" / posteriors_key(model, references, "r", ALL) / "ids.npy").write_bytes(b"")
    assert np.array_equal(find_posteriors(model, references, DIGESTS, ALL, tmp_path).top_k(0)[1], first)


def test_an_utterance_that_is_too_short_has_none(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    short = replace(items[0], seconds=0.02)
    found = find_posteriors(model, [short, items[1]], DIGESTS, ALL, tmp_path)
    assert (found.top_k(0)[0] == -1).all()
    assert found.top_k(0)[0].shape == (len(short.tokens) + 1, 9)
    assert (found.top_k(1)[0] >= 0).all()


def test_audio_that_cannot_be_read_is_one_line(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(BadInput, match=r"bad\.wav") as caught:
        find_posteriors(model, [replace(items[0], audio=tmp_path / "bad.wav")], DIGESTS, ALL, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_bfloat16_stays_near(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    exact, rough = (find_posteriors(model, items[:4], DIGESTS, replace(ALL, autocast=each), tmp_path) for each in (False, True))
    for number in range(4):
        left, right = (np.take_along_axis(logs, np.argsort(ids, axis=1), axis=1) for ids, logs in (p.top_k(number) for p in (exact, rough)))
        assert 0 < np.abs(left - right).max() < 0.1  # 8 bits of mantissa
