"""The parity gate: it passes every structure that the graphs cover, and fails, in the right place, where weights or graphs are wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import paredown.bundle.parity as parity  # noqa: E402
from paredown.bundle.parity import ParityError, ParityReport, check_parity  # noqa: E402
from paredown.bundle.storage import BundleParts, assemble  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402

# Observed 3e-6 at most: float32 sums in another order, through a few layers whose outputs are near one.
TIGHT = 1e-5
GATING = {"cgmlp_linear_units": 24, "cgmlp_conv_kernel": 5}
ABSOLUTE = {"pos_enc_layer_type": "abs_pos", "selfattention_layer_type": "selfattn"}
SCALED = {"pos_enc_layer_type": "scaled_abs_pos", "selfattention_layer_type": "selfattn"}
STRUCTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "conformer": ("conformer", {}),
    "legacy positions": ("conformer", {"rel_pos_type": "legacy", "input_layer": "conv2d"}),
    "absolute positions": ("conformer", {**ABSOLUTE, "activation_type": "hardtanh", "input_layer": "conv2d8"}),
    "scaled absolute positions": ("conformer", {**SCALED, "activation_type": "selu", "input_layer": "conv2d2"}),
    "triangular positions": ("conformer", {"zero_triu": True}),
    "without macaron and convolution": ("conformer", {"macaron_style": False, "use_cnn_module": False, "activation_type": "tanh"}),
    "normalized behind": ("conformer", {"normalize_before": False, "num_blocks": 1, "activation_type": "relu", "input_layer": "conv2d1"}),
    "concatenated": ("conformer", {"concat_after": True}),
    "transformer": ("transformer", {"input_layer": "conv2d"}),
    "transformer normalized behind": ("transformer", {"input_layer": "conv2d2", "normalize_before": False, "concat_after": True}),
    "e_branchformer": ("e_branchformer", {**GATING, "use_ffn": True, "macaron_ffn": True}),
    "e_branchformer bare": ("e_branchformer", {**GATING, "use_linear_after_conv": True, "gate_activation": "tanh"}),
    "e_branchformer legacy": ("e_branchformer", {**GATING, "rel_pos_type": "legacy", "input_layer": "conv2d8"}),
    "e_branchformer absolute": ("e_branchformer", {**GATING, "pos_enc_layer_type": "abs_pos", "attention_layer_type": "selfattn"}),
}


def waveforms(*samples: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(0, 0.1, count).astype(np.float32) for count in samples]


@pytest.mark.parametrize("structure", sorted(STRUCTURES))
def test_every_structure_computes_what_espnet_computes(structure: str) -> None:
    encoder, conf = STRUCTURES[structure]
    decoder = {"normalize_before": conf.get("normalize_before", True), "concat_after": conf.get("concat_after", False)}
    model = make_model(encoder, decoder, **conf)
    # 15 frames is the least that any input layer takes (one state), 2.5 s gives a few dozen.
    report = check_parity(model, compress_model(model, Configuration(scheme=Scheme(kernel="fp32"))), waveforms(14 * 160, 40_000))
    assert max(report.max_abs_encoder, report.max_abs_decoder) < TIGHT


def mixed_configuration() -> Configuration:
    """Some layers in bits, some in fp32; a decoder block dropped; sparse groups."""
    layers = [layer.path for layer in shared_model().inventory().layers if "decoders.1." not in layer.path]
    bits = tuple((path, 2 + index % 7) for index, path in enumerate(layers) if index % 5)
    return Configuration(keep=(("decoder", (0, 2)),), bits=bits, sparsity=(("encoder.conv", 0.5), ("decoder.feed_forward", 0.7)))


def test_compressed_weights_pass_too() -> None:
    report = check_parity(shared_model(), compress_model(shared_model(), mixed_configuration()), waveforms(30_000))
    assert max(report.max_abs_encoder, report.max_abs_decoder) < TIGHT


FAULTS = {
    "encoder.encoders.1.self_attn.pos_bias_u": "begins in encoder.encoders.1",
    "encoder.encoders.0.conv_module.pointwise_conv2.weight": "begins in encoder.encoders.0",
    "encoder.after_norm.weight": "begins in encoder.encoders.0 or before it",
    "decoder.decoders.2.src_attn.linear_v.weight": "begins in decoder.decoders.2",
    "decoder.decoders.1.self_attn.linear_k.weight": "begins in decoder.decoders.1",
    "decoder.embed.0.weight": "begins in decoder.decoders.0 or before it",
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_wrong_weight_is_found_and_placed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(*arguments: Any, **named: Any) -> BundleParts:
        parts = assemble(*arguments, **named)
        tensors = dict(parts.tensors)
        if name in tensors:
            tensors[name] = tensors[name] + np.float32(0.05) * np.sign(tensors[name])
        return replace(parts, tensors=tensors)

    monkeypatch.setattr(parity, "assemble", spoil)
    compressed = compress_model(shared_model(), Configuration(scheme=Scheme(kernel="fp32")))
    with pytest.raises(ParityError, match=FAULTS[name]):
        check_parity(shared_model(), compressed, waveforms(20_000))


@pytest.mark.parametrize("differences", [(2e-4, 0.0), (0.0, 2e-4), (float("nan"), 0.0), (0.0, float("nan"))])
def test_differences_beyond_the_limit_fail_and_so_does_nan(differences: tuple[float, float]) -> None:
    assert ParityReport(9e-5, 9e-5).passed
    assert not ParityReport(*differences).passed
