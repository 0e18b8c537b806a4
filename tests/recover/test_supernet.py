"""Training at random widths: a prefix is a narrower layer, draws hang on the step alone, and every width is drawn."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.models.network import build_network
from paredown.recover.loss import read_weights
from paredown.recover.run import Run
from paredown.recover.schedule import Schedule
from paredown.recover.supernet import PrefixFeedForward, SampledWidths, Sampling, open_widths
from paredown.recover.trainer import TrainSettings, train
from tests.models.checkpoints import st_config
from tests.recover.streams import make_source

CANDIDATES = (1, 6, 12, 24)
PATHS = 6  # feed-forwards of the tiny conformer: two for each encoder block, one for each decoder block


def _network() -> torch.nn.Module:
    torch.manual_seed(5)
    return build_network(st_config())


def test_a_prefix_is_the_narrower_feed_forward() -> None:
    network = _network().eval()
    original = network.get_submodule("decoder.decoders.0.feed_forward")
    narrow = torch.nn.Sequential(torch.nn.Linear(16, 6), torch.nn.ReLU(), torch.nn.Linear(6, 16))
    with torch.no_grad():
        narrow[0].weight.copy_(original.w_1.weight[:6])  # type: ignore[union-attr,index]
        narrow[0].bias.copy_(original.w_1.bias[:6])  # type: ignore[union-attr,index]
        narrow[2].weight.copy_(original.w_2.weight[:, :6])  # type: ignore[union-attr,index]
        narrow[2].bias.copy_(original.w_2.bias)  # type: ignore[union-attr,arg-type]
    layer = PrefixFeedForward(original).eval()  # type: ignore[arg-type]
    values = torch.randn(2, 5, 16)
    torch.testing.assert_close(layer(values), original(values))
    layer.units = 6
    torch.testing.assert_close(layer(values), narrow(values))


@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer", "transformer"])
def test_opened_network_has_the_same_names_and_computes_the_same(encoder: str) -> None:
    torch.manual_seed(5)
    network = build_network(st_config(encoder)).eval()
    features, names = torch.randn(1, 90, 20), list(network.state_dict())
    expected, _ = network.encode(features, torch.tensor([90]))
    layers = open_widths(network)
    found, _ = network.encode(features, torch.tensor([90]))
    assert torch.equal(expected, found)
    assert list(network.state_dict()) == names
    assert not any(layer.training for layer in layers.values())
    for layer in layers.values():
        layer.units = 1
    assert not torch.equal(network.encode(features, torch.tensor([90]))[0], expected)


def test_widths_hang_on_the_step_alone() -> None:
    layers = open_widths(_network())  # type: ignore[arg-type]
    assert len(layers) == PATHS
    candidates = dict.fromkeys(layers, CANDIDATES)

    def widths(step: int, seed: int = 0) -> list[int]:
        SampledWidths(layers, candidates, seed)(step)
        return [layer.units for layer in layers.values()]

    drawn = [widths(step) for step in range(30)]
    assert [widths(step) for step in reversed(range(30))] == drawn[::-1]
    assert [widths(step, seed=1) for step in range(30)] != drawn
    assert {units for row in drawn for units in row} == set(CANDIDATES)


def test_shares_of_whole_smallest_and_equal_networks() -> None:
    rng, sampling = np.random.default_rng(0), Sampling(whole=0.2, smallest=0.1, same=0.3)
    rows = [tuple(sampling.draw([11] * 22, rng)) for _ in range(3000)]
    names = {(10,): "whole", (0,): "smallest"}
    kinds = Counter(names.get(tuple(set(row)), "same" if len(set(row)) == 1 else "own") for row in rows)
    shares = {kind: count / len(rows) for kind, count in kinds.items()}
    error = 0.03  # three standard errors
    assert shares["whole"] == pytest.approx(0.2 + 0.3 / 11, abs=error)
    assert shares["smallest"] == pytest.approx(0.1 + 0.3 / 11, abs=error)
    assert shares["same"] == pytest.approx(0.3 * 9 / 11, abs=error)
    means = [sum(row) / 220 for row in rows if len(set(row)) > 1]
    assert min(means) < 0.3 < 0.7 < max(means)  # small networks and large ones, not those of middle size alone


def test_without_tilt_all_candidates_are_alike() -> None:
    rng, sampling = np.random.default_rng(1), Sampling(whole=0.0, smallest=0.0, same=0.0, most_tilted=0.0)
    counts = Counter(index for _ in range(500) for index in sampling.draw([4] * 10, rng))
    assert all(count == pytest.approx(1250, abs=100) for count in counts.values())


def test_sampling_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 0 and at most 1 together"):
        Sampling(whole=0.6, same=0.5)
    with pytest.raises(ValueError, match="a tilt at least 0"):
        Sampling(most_tilted=-1.0)


def _train(folder: Path, until: int, *, resume: bool = False) -> Run:
    network = _network()
    layers = open_widths(network)  # type: ignore[arg-type]
    widths = SampledWidths(layers, dict.fromkeys(layers, CANDIDATES), seed=3)
    settings = TrainSettings(Schedule(8, 2, 2, 3e-3), read_weights(st_config()), sos=7, autocast=False, dropout_pool_values=2**17)
    return train(network, make_source(until), settings, folder, resume=resume, before_step=widths)  # type: ignore[arg-type]


def test_resumed_supernet_equals_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", 8)
    _train(tmp_path / "parts", 5)
    resumed = _train(tmp_path / "parts", 8, resume=True)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name])
    plain = build_network(st_config()).state_dict()
    assert list(plain) == list(whole.average.state)  # an ordinary checkpoint
