"""Teacher-forced loss of a bundle: the network's own loss, and who is surely worse by it."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.analysis.stages import Sample  # noqa: E402
from paredown.data import load_split  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.trials import decoding  # noqa: E402
from paredown.trials.evaluation import uncompressed  # noqa: E402
from paredown.trials.forced_loss import (  # noqa: E402
    MARGIN,
    compare,
    digest_items,
    find_better,
    from_measurement,
    read_items,
    to_measurement,
)
from paredown.trials.teacher_forced import read_references  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model, write_split  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def torch_losses(model: Model, samples: tuple[Sample, ...]) -> list[float]:
    """By ESPnet's own encoder and decoder, one utterance at a time: negative log-likelihood of the tokens and the end."""
    network, found = model.network, []
    sos = eos = len(model.tokens) - 1
    with torch.no_grad():
        for sample in samples:
            features = torch.from_numpy(np.asarray(sample.features))[None]
            states, lengths, *_ = network.encoder(features, torch.tensor([features.shape[1]]))
            inputs, targets = torch.tensor([[sos, *sample.tokens]]), torch.tensor([*sample.tokens, eos])
            logits, _ = network.decoder(states, lengths, inputs, torch.tensor([inputs.shape[1]]))
            found.append(-float(torch.log_softmax(logits[0], -1)[torch.arange(len(targets)), targets].sum()))
    return found


def test_the_loss_of_the_uncompressed_bundle_is_the_networks(model: Model, tmp_path: Path) -> None:
    split = load_split(write_split(tmp_path / "data", 3))
    items = read_items(model, split)
    with Workshop(model) as workshop:
        found = decoding._force(workshop.build(uncompressed(model)), items)
    expected = dict(zip((one.audio for one in split.utterances), torch_losses(model, read_references(model, split)), strict=True))
    assert [nats for nats, _ in found] == pytest.approx([expected[audio] for audio, _ in items], rel=1e-4)  # fp32 in another order
    assert [count for _, count in found] == [len(ids) + 1 for _, ids in items]


def test_a_measurement_keeps_the_losses() -> None:
    losses = ((12.5, 7), (3.0, 2))
    figure = to_measurement(losses)
    assert figure.value == pytest.approx(15.5 / 9)
    assert from_measurement(figure) == losses


def test_items_are_told_by_what_they_hold(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"sound")
    one, other = ((tmp_path / "a", (1, 2)),), ((tmp_path / "b", (1, 2)),)
    assert digest_items(one) == digest_items(other)
    assert digest_items(one) != digest_items(((tmp_path / "a", (1, 3)),))


def test_only_who_is_surely_worse_by_the_margin_is_found() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 20, 16).tolist()
    rival = tuple((2.0 * count, count) for count in tokens)

    def worse_by(nats: float, noise: float) -> tuple[tuple[float, int], ...]:
        return tuple(((2.0 + nats + noise * rng.normal()) * count, count) for count in tokens)

    assert find_better(worse_by(MARGIN + 0.3, 0.05), {4: rival}) is not None
    assert find_better(worse_by(MARGIN + 0.3, 5.0), {4: rival}) is None  # too unsure
    assert find_better(worse_by(MARGIN - 0.05, 0.001), {4: rival}) is None  # sure, but not by enough
    assert find_better(worse_by(1.0, 0.05), {}) is None
    found = find_better(worse_by(1.0, 0.05), {4: rival, 5: tuple((1.5 * count, count) for count in tokens)})
    assert found is not None
    assert found[0] == 5


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    rng, kept, repeats = np.random.default_rng(1), 0, 2000
    for _ in range(repeats):
        tokens = rng.integers(5, 20, 16)
        apart = 0.2 * tokens + rng.normal(0, 1.0, 16) * np.sqrt(tokens)
        candidate = tuple((float(each), int(count)) for each, count in zip(apart, tokens, strict=True))
        kept += compare(candidate, tuple((0.0, int(count)) for count in tokens)).least <= 0.2
    assert kept / repeats == pytest.approx(0.99, abs=0.01)  # one-sided 99 %; of 2,000 draws 0.2 % is one standard error
