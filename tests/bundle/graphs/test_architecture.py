"""Architectures read off ESPnet configs."""

import inspect
from typing import Any

import pytest

from paredown.bundle.graphs.architecture import LEAST_FRAMES, read_architecture
from paredown.errors import BadInput

torch = pytest.importorskip("torch")

from paredown.models.espnet import TooShortUttError  # noqa: E402
from paredown.models.network import ENCODERS, build_network  # noqa: E402
from tests.models.checkpoints import st_config  # noqa: E402


def defaults_of(kind: type) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(kind.__init__).parameters.items()}


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_what_a_config_leaves_out_is_espnets_default(kind: str) -> None:
    espnet = defaults_of(ENCODERS[kind])
    encoder = read_architecture({"encoder": kind}, 80, 10).encoder
    assert encoder.blocks == espnet["num_blocks"]
    assert encoder.width == espnet["output_size"]
    assert encoder.heads == espnet["attention_heads"]
    assert encoder.input_layer == espnet["input_layer"]
    assert encoder.normalize_before == espnet.get("normalize_before", True)
    assert encoder.positions == {"conformer": "relative_legacy", "e_branchformer": "relative", "transformer": "absolute"}[kind]


@pytest.mark.parametrize("input_layer", sorted(LEAST_FRAMES))
def test_least_frames_are_those_that_espnet_takes(input_layer: str) -> None:
    config = st_config(encoder_conf={"output_size": 16, "num_blocks": 1, "linear_units": 8, "input_layer": input_layer})
    encoder = build_network(config | {"frontend_conf": {"n_mels": 40}}).encoder.eval()
    least = LEAST_FRAMES[input_layer]
    assert encoder(torch.zeros(1, least, 40), torch.tensor([least]))[0].shape[1] >= 1
    with pytest.raises(TooShortUttError):
        encoder(torch.zeros(1, least - 1, 40), torch.tensor([least - 1]))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"encoder": "rnn"}, "encoder must be one of conformer"),
        ({"encoder_conf": {"qk_norm": True}}, "encoder_conf.qk_norm must be False"),
        ({"encoder_conf": {"positionwise_layer_type": "conv1d"}}, "positionwise_layer_type must be 'linear'.*got 'conv1d'"),
        ({"encoder_conf": {"input_layer": "linear"}}, "input_layer must be one of conv2d.*got 'linear'"),
        ({"encoder_conf": {"pos_enc_layer_type": "conv", "selfattention_layer_type": "selfattn"}}, "got conv.selfattn"),
        ({"encoder_conf": {"activation_type": "gelu"}}, "activation_type must be one of swish.*got 'gelu'"),
        ({"decoder_conf": {"qk_norm": True}}, "decoder_conf.qk_norm must be False"),
        ({"decoder_conf": {"use_output_layer": False}}, "use_output_layer must be True"),
    ],
)
def test_parts_without_a_graph_are_named(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadInput, match=rule):
        read_architecture({"encoder": "conformer", **changes}, 80, 10)
