"""The parity gate: it passes every structure that the graphs cover, and fails, in the right place, where weights or graphs are wrong."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import paredown.bundle.parity.gate as parity  # noqa: E402
import paredown.bundle.parity.kernels as parity_kernels  # noqa: E402
from paredown.bundle.graphs.architecture import STRIDES  # noqa: E402
from paredown.bundle.parity.gate import ParityError, ParityReport, check_parity  # noqa: E402
from paredown.bundle.parity.run import OpenParts, open_parts, products_of  # noqa: E402
from paredown.bundle.storage import BundleParts, assemble  # noqa: E402
from paredown.compress.compress import CompressedModel  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.compress.tensors import Quantized  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.models.checkpoints import asr_config, write_checkpoint  # noqa: E402

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
    assert report.followed is not None


def every_layer(model: Model, kernel: Any, bits: int = 8) -> CompressedModel:
    scheme = Scheme(kernel=kernel)
    return compress_model(model, Configuration(bits=tuple((layer.path, bits) for layer in model.inventory().layers), scheme=scheme))


def count_multiplied(model: Model) -> int:
    """Layers that are multiplied as matrices whatever the kernel: all but embeddings and convolutions larger than a point."""
    return sum(layer.kind != "embedding" and set(layer.shape[2:]) <= {1} for layer in model.inventory().layers)


@pytest.mark.parametrize("structure", sorted(STRUCTURES))
def test_every_structure_rounds_as_torch_with_the_same_rounding(structure: str) -> None:
    encoder, conf = STRUCTURES[structure]
    decoder = {"normalize_before": conf.get("normalize_before", True), "concat_after": conf.get("concat_after", False)}
    model = make_model(encoder, decoder, **conf)
    report = check_parity(model, every_layer(model, "int8"), waveforms(14 * 160, 40_000))
    assert report.followed is not None
    # In int8 the second and later convolutions of the input layer are products as well.
    assert report.followed.layers == count_multiplied(model) + len(STRIDES[conf.get("input_layer", "conv2d6")]) - 1
    # Observed 2e-6 of the largest number (the limit is 1e-4), and 0.4 of what float32 may round.
    assert report.followed.max_input < 0.1
    assert report.followed.max_product < 0.7
    assert report.followed.noise is not None


@pytest.mark.parametrize(("kernel", "bits"), [("nbits", 8), ("nbits", 3), ("fp16", 8)])
def test_other_kernels_are_followed_too(kernel: str, bits: int) -> None:
    report = check_parity(shared_model(), every_layer(shared_model(), kernel, bits), waveforms(20_000))
    assert report.followed is not None
    assert report.followed.layers == count_multiplied(shared_model())
    assert (report.followed.noise is None) == (kernel == "fp16")


def test_fp32_has_nothing_to_follow() -> None:
    compressed = compress_model(shared_model(), Configuration(scheme=Scheme(kernel="fp32")))
    report = check_parity(shared_model(), compressed, waveforms(20_000))
    assert report.followed is None
    assert report.max_abs_ctc is None


@pytest.fixture(scope="module")
def asr_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_checkpoint(tmp_path_factory.mktemp("asr"), asr_config()))


def test_the_ctc_is_checked(asr_model: Model) -> None:
    report = check_parity(asr_model, every_layer(asr_model, "int8"), waveforms(20_000))
    assert report.max_abs_ctc is not None
    assert report.max_abs_ctc < TIGHT
    assert "CTC" in str(report)
    json.dumps(report.to_dict())


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, change: Any, fp32_too: bool) -> None:
    """Every bundle stores something else than the compressed model's `name`, as a fault of the export would have it."""

    def assemble_wrongly(*arguments: Any, **named: Any) -> BundleParts:
        parts = assemble(*arguments, **named)
        if named["fp32"] and not fp32_too:
            return parts
        tensors = dict(parts.tensors)
        tensors[name] = change(tensors[name])
        return replace(parts, tensors=tensors)

    monkeypatch.setattr(parity, "assemble", assemble_wrongly)


def shift(tensor: np.ndarray) -> np.ndarray:
    return tensor + np.float32(0.2) * np.sign(tensor)


FAULTS = {
    "encoder.encoders.1.self_attn.pos_bias_u": "in front of the input of encoder.encoders.1.self_attn.linear_out",
    "encoder.encoders.0.conv_module.pointwise_conv2.weight": "begins in the product of encoder.encoders.0.conv_module.pointwise_conv2,",
    "encoder.encoders.0.feed_forward.w_1.bias": "begins in the product of encoder.encoders.0.feed_forward.w_1,",
    "encoder.after_norm.weight": "behind the product of encoder.encoders.1.feed_forward.w_2 and in front of the input of decoder",
    "decoder.decoders.2.src_attn.linear_v.weight": "begins in the product of decoder.decoders.2.src_attn.linear_v,",
    "decoder.decoders.1.self_attn.linear_k.weight": "begins in the product of decoder.decoders.1.self_attn.linear_k,",
    "decoder.embed.0.weight": "in front of the input of decoder.decoders.0.self_attn.linear_q,",
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_wrong_weight_is_found_and_placed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, name, shift, fp32_too=True)
    compressed = compress_model(shared_model(), Configuration(scheme=Scheme(kernel="fp32")))
    with pytest.raises(ParityError, match=FAULTS[name]):
        check_parity(shared_model(), compressed, waveforms(20_000))


def change_one_code(tensor: Quantized) -> Quantized:
    codes = tensor.codes.copy()
    index = (1,) * codes.ndim
    codes[index] += 1 if codes[index] < 0 else -1
    return replace(tensor, codes=codes)


def change_one_scale(tensor: Quantized) -> Quantized:
    scales = tensor.scales.copy()
    scales[2] *= np.float32(1.001)
    return replace(tensor, scales=scales)


def transpose(tensor: Quantized) -> Quantized:
    return replace(tensor, codes=np.ascontiguousarray(tensor.codes.T))


def change_one_number(tensor: np.ndarray) -> np.ndarray:
    return tensor + np.float32(0.01) * (np.arange(tensor.size) == 1).reshape(tensor.shape)


INT8_FAULTS: list[tuple[str, Any]] = [
    ("encoder.embed.conv.2.weight", change_one_code),
    ("encoder.embed.out.0.weight", change_one_scale),
    ("encoder.encoders.0.self_attn.linear_pos.weight", change_one_code),
    ("encoder.encoders.0.self_attn.linear_k.weight", transpose),
    ("encoder.encoders.1.conv_module.pointwise_conv1.bias", change_one_number),
    ("encoder.encoders.1.feed_forward_macaron.w_2.weight", change_one_scale),
    ("decoder.decoders.0.src_attn.linear_k.weight", change_one_code),
    ("decoder.decoders.1.self_attn.linear_out.weight", transpose),
    ("decoder.decoders.2.feed_forward.w_1.bias", change_one_number),
    ("decoder.output_layer.weight", change_one_code),
]


@pytest.mark.parametrize(("name", "change"), INT8_FAULTS, ids=[f"{change.__name__} of {name}" for name, change in INT8_FAULTS])
def test_a_fault_of_the_int8_graph_alone_is_found_and_placed(name: str, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, name, change, fp32_too=False)
    path = name.removesuffix(".weight").removesuffix(".bias")
    with pytest.raises(ParityError, match=f"int8 kernels must give .* it begins in the product of {path},"):
        check_parity(shared_model(), every_layer(shared_model(), "int8"), waveforms(20_000))


@pytest.mark.parametrize("kernel", ["int8", "nbits", "fp16"])
def test_so_is_a_fault_between_products(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large enough for half precision; the other kernels would show a hundredth of it."""
    change = lambda tensor: tensor + np.float32(0.5)  # noqa: E731
    spoil(monkeypatch, "encoder.encoders.1.norm_ff.bias", change, fp32_too=False)
    block = "encoder.encoders.1"
    place = f"behind the product of {block}.conv_module.pointwise_conv2 and in front of the input of {block}.feed_forward.w_1,"
    with pytest.raises(ParityError, match=place):
        check_parity(shared_model(), every_layer(shared_model(), kernel), waveforms(20_000))


@pytest.mark.parametrize("kernel", ["nbits", "fp16"])
def test_so_is_a_fault_of_the_other_kernels(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "decoder.decoders.1.self_attn.linear_out.weight", transpose, fp32_too=False)
    with pytest.raises(ParityError, match=f"{kernel}.* kernels must .* in the product of decoder.decoders.1.self_attn.linear_out,"):
        check_parity(shared_model(), every_layer(shared_model(), kernel), waveforms(20_000))


def test_so_is_a_fault_of_the_ctc(asr_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "ctc.ctc_lo.weight", change_one_code, fp32_too=False)
    with pytest.raises(ParityError, match=r"it begins in the product of ctc\.ctc_lo,"):
        check_parity(asr_model, every_layer(asr_model, "int8"), waveforms(20_000))


def test_a_layer_that_no_product_computes_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the graph had fallen back to floats there."""
    path = "decoder.decoders.0.feed_forward.w_1"

    def overlook(parts: BundleParts) -> dict[str, Any]:
        return {name: [product for product in found if path not in product.paths] for name, found in products_of(parts).items()}

    monkeypatch.setattr(parity_kernels, "products_of", overlook)
    with pytest.raises(ParityError, match=f"it begins in {path}, for which the graphs have no product of kernel int8"):
        check_parity(shared_model(), every_layer(shared_model(), "int8"), waveforms(20_000))


def test_graphs_that_differ_from_their_copies_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies that show their products are right, the graphs that the bundle gets are not: only the run from end to end can tell."""

    def open_wrongly(parts: BundleParts, products: Any = None) -> OpenParts:
        if products is None:
            tensors = dict(parts.tensors)
            tensors["encoder.after_norm.weight"] = tensors["encoder.after_norm.weight"] * np.float32(2)
            parts = replace(parts, tensors=tensors)
        return open_parts(parts, products)

    monkeypatch.setattr(parity_kernels, "open_parts", open_wrongly)
    with pytest.raises(ParityError, match="each layer does, but from end to end states are off by"):
        check_parity(shared_model(), every_layer(shared_model(), "int8"), waveforms(20_000))


@pytest.mark.parametrize("differences", [(2e-4, 0.0), (0.0, 2e-4), (float("nan"), 0.0), (0.0, float("nan")), (0.0, 0.0, 2e-4)])
def test_differences_beyond_the_limit_fail_and_so_does_nan(differences: tuple[float, ...]) -> None:
    assert ParityReport(9e-5, 9e-5, 9e-5).passed
    assert not ParityReport(*differences).passed
