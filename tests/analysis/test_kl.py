"""The KL table: equal to the direct computation for every kind of layer of every encoder, and leaving no trace in the network."""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
import torch

from paredown.analysis import stages
from paredown.analysis.allocation_kl import AllocationMeter
from paredown.analysis.kl import measure_kl
from paredown.analysis.result import WIDTHS
from paredown.analysis.stages import Sample
from paredown.compress.quantize import quantize
from paredown.models.groups import build_inventory
from paredown.models.network import Network, build_network
from paredown.space.inventory import block_of
from tests.analysis.direct_kl import direct_kl
from tests.analysis.whole_network import changed, direct_divergence
from tests.models.checkpoints import ENCODERS, asr_config, random_state, st_config

SOS = 7
# Short enough that a batch rounds differently (3 tokens) and long enough that it does not, see `_Reference`.
LENGTHS = ((131, 14), (97, 3))
BAR = 1e-4  # what the table may differ from the direct computation, relatively


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


@pytest.mark.parametrize("encoder", ["conformer-latest", "asr"])
def test_around_an_allocation_equals_the_direct_computation(encoder: str) -> None:
    network = network_of(encoder)
    around = dict.fromkeys(every_kind_of_layer(network)[::2], 4) | {"decoder.output_layer": 3}
    layers = ["encoder.embed.conv.0", "encoder.encoders.1.self_attn.linear_q", "decoder.output_layer", "decoder.embed.0"]
    found = measure_kl(network, layers, samples(), SOS, widths=(2, 4), around=around)
    for row, path in enumerate(layers):
        for column, bits in enumerate((2, 4)):
            other = changed(network, quantize_all(around | {path: bits}))
            assert found[row, column] == pytest.approx(direct_divergence(network, other, samples(), SOS), rel=BAR, abs=0)
    whole = AllocationMeter(network, samples(), SOS).divergence(around)
    assert whole == pytest.approx(direct_divergence(network, changed(network, quantize_all(around)), samples(), SOS), rel=BAR)
    own = measure_kl(network, ["decoder.output_layer"], samples(), SOS, widths=(3,), around=around)
    assert own[0, 0] == pytest.approx(whole, rel=BAR)


def quantize_all(allocation: Mapping[str, int]) -> Callable[[Network], None]:
    def change(network: Network) -> None:
        for path, bits in allocation.items():
            weight = network.get_parameter(f"{path}.weight").data
            weight.copy_(torch.from_numpy(quantize(weight.numpy(), bits).dequantize()))

    return change


@pytest.mark.parametrize("encoder", ["conformer-latest", "asr"])
def test_the_encoders_output_as_printed(encoder: str) -> None:
    """Eq. 7: softmax over channels, mean over frames; what lies behind the encoder has no divergence."""
    network, widths = network_of(encoder), (2, 5)
    layers = every_kind_of_layer(network)
    found = measure_kl(network, layers, samples(), SOS, widths=widths, measure="encoder_output")

    def outputs(other: Network) -> torch.Tensor:
        with torch.inference_mode():
            frames = [other.encode(torch.tensor(one.features)[None], torch.tensor([len(one.features)]))[0][0] for one in samples()]
        return torch.log_softmax(torch.cat(frames).double(), dim=-1)

    log_p = outputs(network)
    for row, path in enumerate(layers):
        if not path.startswith("encoder."):
            assert (found[row] == 0).all()
            continue
        for column, bits in enumerate(widths):
            log_q = outputs(changed(network, quantize_all({path: bits})))
            expected = (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean().item()
            assert found[row, column] == pytest.approx(expected, rel=BAR, abs=0)


def suffix(network: Network, path: str) -> int:
    """Blocks that stand behind the beginning of the block that a layer lies in: the fewest that must be computed anew."""
    encoder, decoder, block = len(network.encoder.encoders), len(network.decoder.decoders), block_of(path)
    if path.startswith("encoder."):
        return encoder - (block[1] if block else 0) + decoder
    if path.startswith("decoder."):
        return 0 if path == "decoder.output_layer" else decoder - (block[1] if block else 0)
    return 0


@pytest.mark.parametrize("encoder", [*ENCODERS, "asr"])
def test_evaluates_no_block_but_those_behind_the_layer(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every width of a layer, for every utterance, side by side or one after the other: rows that leave blocks are counted."""
    network = network_of(encoder)
    layers, rows = [layer.path for layer in build_inventory(network).layers], 0

    def count(name: str) -> None:
        plain = getattr(stages, name)

        def counted(*arguments: object) -> stages.EncoderState:
            nonlocal rows
            state: stages.EncoderState = plain(*arguments)
            rows += len(state[0] if isinstance(state, tuple) else state)
            return state

        monkeypatch.setattr(stages, name, counted)

    count("encoder_block")
    count("decoder_block")
    measure_kl(network, [], samples(), SOS)
    references, rows = rows, 0  # which no layer changes
    measure_kl(network, layers, samples(), SOS)
    assert rows - references == len(WIDTHS) * len(LENGTHS) * sum(suffix(network, path) for path in layers)
