"""The KL table: equal to the direct computation for every kind of layer of every encoder, and leaving no trace in the network."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from paredown.analysis.kl import measure_kl
from paredown.analysis.result import WIDTHS
from paredown.analysis.stages import Sample
from paredown.models.groups import build_inventory
from paredown.models.network import Network, build_network
from tests.analysis.direct_kl import direct_kl
from tests.models.checkpoints import ENCODERS, asr_config, random_state, st_config

SOS = 7
# Short enough that a batch rounds differently (3 tokens) and long enough that it does not, see `_Reference`.
LENGTHS = ((131, 14), (97, 3))
BAR = 1e-4  # what the table may differ from the direct computation, relatively


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As `measure_kl` runs: the oracle must not split its sums over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def network_of(encoder: str) -> Network:
    config = asr_config() if encoder == "asr" else st_config(encoder)
    network = build_network(config).eval()
    network.load_state_dict(random_state(config))
    with torch.no_grad():
        network.decoder.output_layer.weight.mul_(4)  # posteriors with peaks
    return network


def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(rng.standard_normal((frames, 20), dtype=np.float32), tuple(rng.integers(0, 7, tokens).tolist()))
        for frames, tokens in LENGTHS
    ]


def every_kind_of_layer(network: Network) -> list[str]:
    """All layers in front of, behind and in the second block of each stack."""
    paths = [layer.path for layer in build_inventory(network).layers]
    return [path for path in paths if "coders.0." not in path] + ["ctc.ctc_lo"] * (network.ctc is not None and "ctc.ctc_lo" not in paths)


@pytest.mark.parametrize("encoder", [*ENCODERS, "asr"])
def test_equals_the_direct_computation(encoder: str) -> None:
    network = network_of(encoder)
    layers, widths = every_kind_of_layer(network), (2, 5, 8)
    found = measure_kl(network, layers, samples(), SOS, widths=widths)
    expected = direct_kl(network, layers, samples(), SOS, widths)
    assert (expected[:, 0] > 0).all()  # every layer matters, or nothing is tested
    np.testing.assert_allclose(found, expected, rtol=BAR, atol=0)


def test_first_blocks_are_measured_too() -> None:
    network = network_of("conformer-latest")
    layers = [
        "encoder.encoders.0.feed_forward_macaron.w_1",
        "encoder.encoders.0.self_attn.linear_pos",
        "decoder.decoders.0.self_attn.linear_k",
    ]
    found = measure_kl(network, layers, samples(), SOS)
    np.testing.assert_allclose(found, direct_kl(network, layers, samples(), SOS, WIDTHS), rtol=BAR, atol=0)


def test_does_not_depend_on_threads_nor_on_what_else_is_measured() -> None:
    network = network_of("conformer-latest")
    layers = every_kind_of_layer(network)[:6]
    table = measure_kl(network, layers, samples(), SOS)
    assert np.array_equal(measure_kl(network, layers, samples(), SOS, threads=3), table)
    assert np.array_equal(measure_kl(network, layers[::-1], samples(), SOS)[::-1], table)
    assert np.array_equal(measure_kl(network, layers, samples(), SOS, widths=(8, 3)), table[:, [6, 1]])


def test_per_tensor_scales_give_another_table() -> None:
    network = network_of("transformer")
    layers = ["encoder.encoders.1.feed_forward.w_2"]
    per_channel = measure_kl(network, layers, samples(), SOS)
    assert (measure_kl(network, layers, samples(), SOS, granularity="tensor") != per_channel).all()


def test_the_network_stays_as_it_was() -> None:
    network = network_of("conformer-latest")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    threads = torch.get_num_threads()
    measure_kl(network, ["decoder.output_layer", "encoder.embed.conv.0"], samples(), SOS, threads=2)
    assert network.training
    assert not any("forward" in vars(module) for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert torch.get_num_threads() == threads
    network.eval()


def test_progress_counts_layers() -> None:
    calls: list[tuple[int, int]] = []
    layers = ["decoder.output_layer", "ctc.ctc_lo", "decoder.embed.0"]
    measure_kl(network_of("transformer"), layers, samples(), SOS, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_what_cannot_be_measured_is_named() -> None:
    network = network_of("transformer")
    with pytest.raises(ValueError, match="at least one utterance"):
        measure_kl(network, ["decoder.output_layer"], [], SOS)
    for path in ("decoder.output_layr", "decoder.decoders.1", "frontend.logmel"):
        with pytest.raises(ValueError, match=f"must be paths of weights in the network, got '{path}'"):
            measure_kl(network, ["decoder.output_layer", path], samples(), SOS)


def test_an_error_stops_the_rest() -> None:
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        measure_kl(network_of("transformer"), ["decoder.output_layer"] * 50, samples(), SOS, progress=stop)
    assert calls == [1]
    assert torch.get_num_threads() == threads
