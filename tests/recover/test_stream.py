"""The stream: every item as often as it is to come, in buckets of like length, the same from wherever it is resumed."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.models import Model
from paredown.recover.batch import Batch, Position
from paredown.recover.items import Item, gather_items
from paredown.recover.loss import joint_loss, read_weights
from paredown.recover.stream import Course, ItemStream, StreamSettings, choose_items, plan_pass, source_of, stream_items
from paredown.recover.top_k import Posteriors, write_posteriors
from paredown.recover.training_data import TrainingData
from paredown.space.training import Mixture
from tests.models.checkpoints import st_config
from tests.recover.audio import write_asr, write_model, write_split


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def items(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))
        return gather_items(model, TrainingData(write_split(tmp_path_factory.mktemp("train"), shortest_s=1.0)), Mixture())


def _course(model: Model, items: tuple[Item, ...], posteriors: Posteriors | None = None) -> Course:
    return choose_items(items, model.network, model.frontend, posteriors)


def _settings(model: Model, batch_s: float = 4.0, seed: int = 0) -> StreamSettings:
    return StreamSettings(model.frontend, batch_s, seed=seed)


def _same(left: Batch, right: Batch) -> bool:
    tensors = ("features", "frames", "tokens", "token_lengths", "source_tokens", "source_lengths")
    equal = all(torch.equal(getattr(left, name), getattr(right, name)) for name in tensors)
    return equal and (left.audio_s, left.position) == (right.audio_s, right.position)


def _targets(batch: Batch) -> list[tuple[int, ...]]:
    return [tuple(row[:length].tolist()) for row, length in zip(batch.tokens, batch.token_lengths, strict=True)]


@settings(max_examples=40, deadline=None)
@given(seconds=st.lists(st.floats(0.1, 12.0), min_size=1, max_size=150), epoch=st.integers(0, 4), batch_s=st.floats(1.0, 60.0))
def test_a_plan_holds_everything_once_within_the_batch(seconds: list[float], epoch: int, batch_s: float) -> None:
    plan = plan_pass(np.array(seconds), epoch, StreamSettings(None, batch_s))  # type: ignore[arg-type]
    assert sorted(place for batch in plan for place in batch) == list(range(len(seconds)))
    for batch in plan:
        longest_s = max(seconds[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest_s <= batch_s


def test_batches_are_of_like_length_and_passes_differ() -> None:
    seconds = np.random.default_rng(0).uniform(0.5, 8.0, 2_000)
    config = StreamSettings(None, 60.0)  # type: ignore[arg-type]
    plans = [plan_pass(seconds, epoch, config) for epoch in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert plans[0] != plan_pass(seconds, 0, replace(config, seed=1))
    padded = sum(len(batch) * seconds[batch].max() for batch in plans[0])
    assert padded < 1.1 * seconds.sum()
    firsts = [seconds[batch].mean() for batch in plans[0]]
    assert abs(np.corrcoef(firsts, np.arange(len(firsts)))[0, 1]) < 0.2  # short and long ones in any order


def test_a_pass_takes_every_item_as_often_as_it_says(model: Model, items: tuple[Item, ...]) -> None:
    course = _course(model, tuple(replace(item, times=1 + number % 3) for number, item in enumerate(items)))
    found: Counter[tuple[int, ...]] = Counter()
    for batch in ItemStream(course, _settings(model), Position()):
        assert isinstance(batch, Batch)
        found.update(_targets(batch))
        if batch.position.epoch == 1:
            break
    assert found == Counter({item.tokens: item.times for item in course.items})
    assert batch.position == Position(epoch=1, batches_before=batch.position.batches_before)


def test_a_batch_holds_features_and_ids_of_its_items(model: Model, items: tuple[Item, ...]) -> None:
    by_target = {item.tokens: item for item in items}
    for batch in islice(ItemStream(_course(model, items), _settings(model), Position()), 4):
        assert isinstance(batch, Batch)
        chosen = [by_target[target] for target in _targets(batch)]
        assert batch.audio_s == pytest.approx(sum(item.seconds for item in chosen))
        assert [tuple(row[:n].tolist()) for row, n in zip(batch.source_tokens, batch.source_lengths, strict=True)] == [
            item.source for item in chosen
        ]
        assert batch.frames.tolist() == [int(item.seconds * 16_000) // 100 + 1 for item in chosen]
        assert batch.features.shape[:2] == (len(chosen), max(batch.frames.tolist()))
        assert batch.teacher is None


def test_a_resumed_stream_goes_on_as_the_whole_one_did(model: Model, items: tuple[Item, ...]) -> None:
    """Over two passes, through the background process, from every third position."""
    source = source_of(_course(model, items), _settings(model))
    torch.manual_seed(7)
    whole = list(islice(source(Position()), 9))
    assert {batch.position.epoch for batch in whole} >= {0, 1}
    state = torch.get_rng_state()
    for start in (2, 5):
        for expected, found in zip(whole[start + 1 :], source(whole[start].position), strict=False):
            assert _same(expected, found)
    torch.manual_seed(7)
    assert torch.equal(state, torch.get_rng_state())  # nobody drew from the global generator


def test_a_stream_does_not_continue_with_other_items(model: Model, items: tuple[Item, ...]) -> None:
    position = next(stream_items(_course(model, items), _settings(model), Position())).position
    with pytest.raises(ValueError, match=f"a stream of 3 items cannot continue at a position of one of {len(items)}"):
        next(stream_items(_course(model, items[:3]), _settings(model), position))


def test_audio_that_cannot_be_read_is_one_line(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    course = _course(model, (replace(items[0], audio=tmp_path / "bad.wav"),))
    with pytest.raises(BadInput, match=r"bad\.wav") as caught:
        next(stream_items(course, _settings(model), Position()))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_heard_is_left_out_and_counted(model: Model, items: tuple[Item, ...]) -> None:
    short = replace(items[0], seconds=0.06)
    wordy = replace(items[1], source=(3,) * 40)  # 1.6 s at 26 states a second
    silent = replace(items[2], source=())
    course = choose_items([short, wordy, silent, items[3]], model.network, model.frontend)
    assert [item.source for item in course.items] == [(), (), items[3].source]
    assert (course.targets, course.left_out, course.unspelled) == ((1, 2, 3), 1, 1)
    assert course.describe() == (
        "1 of 4 utterances are too short for their targets: left out; 1 too short to spell what is said: they train without the source CTC"
    )
    assert choose_items([items[3]], model.network, model.frontend).describe() is None
    with pytest.raises(BadInput, match="utterances that the network can hear, got 1, all too short"):
        choose_items([short], model.network, model.frontend)


def test_a_coarser_frontend_hears_less(model: Model, items: tuple[Item, ...]) -> None:
    wordy = replace(items[0], source=(3, 4) * 12)  # 1.0 s: 26 states at a hop of 100 samples, 13 at 200
    assert choose_items([wordy], model.network, model.frontend).unspelled == 0
    assert choose_items([wordy], model.network, replace(model.frontend, hop_samples=200)).unspelled == 1


def test_the_output_ctc_must_have_room_for_the_target(tmp_path: Path) -> None:
    model = write_asr(tmp_path)
    item = Item("u", tmp_path / "a.wav", 1.0, "reference", (3, 4) * 12)
    assert choose_items([item], model.network, model.frontend).left_out == 0
    longer = replace(item, tokens=(3, 4) * 14)
    assert choose_items([item, longer], model.network, model.frontend).left_out == 1


def test_the_teacher_comes_with_the_batch(model: Model, items: tuple[Item, ...], tmp_path: Path) -> None:
    """Ids that name their item: those of the batch's rows are those of its targets, whichever were left out."""
    lengths = [len(item.tokens) + 1 for item in items]
    ids = np.concatenate([np.full((length, 2), number, np.int16) for number, length in enumerate(lengths)])
    heard = [[number % 5 + 3] for number in range(len(items))]
    write_posteriors(tmp_path / "p", ids, np.full(ids.shape, -0.5, np.float16), heard, lengths)
    posteriors = Posteriors.load(tmp_path / "p", len(items))
    numbers = {item.tokens: number for number, item in enumerate(items)}
    some = (replace(items[0], seconds=0.01), *(replace(item, source=()) for item in items[1:]))
    course = choose_items(some, model.network, model.frontend, posteriors, source_from_teacher=True)
    assert [item.source for item in course.items] == [tuple(each) for each in heard[1:]]
    for batch in islice(stream_items(course, _settings(model), Position()), 4):
        assert batch.teacher is not None
        for row, target in enumerate(_targets(batch)):
            assert (batch.teacher.ids[row, : len(target) + 1] == numbers[target]).all()
            assert (batch.teacher.ids[row, len(target) + 1 :] == -1).all()
        moved = batch.to(torch.device("meta"))
        assert moved.teacher is not None
        assert (moved.features.device.type, moved.teacher.logs.device.type) == ("meta", "meta")


def test_a_batch_trains(model: Model, items: tuple[Item, ...]) -> None:
    batch = next(stream_items(_course(model, items), _settings(model), Position()))
    network = model.network
    loss = joint_loss(network, network.normalized(batch.features, batch.frames), batch, read_weights(st_config()), model.sos)
    assert torch.isfinite(loss.total)


def test_impossible_settings_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="a batch must hold more than 0 s"):
        StreamSettings(model.frontend, 0.0)
