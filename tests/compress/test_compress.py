"""Configurations applied to weights: what stays, what is zero, what is quantized."""

import numpy as np
import pytest

from paredown.compress.calibration import Calibration, LayerMoment
from paredown.compress.compress import CalibratedOn, CompressedModel, compress
from paredown.compress.gptq import quantize_calibrated
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized
from paredown.errors import BadInput
from paredown.space.configuration import Configuration, Scheme
from paredown.space.inventory import Inventory, LayerInfo

BLOCKS = 3
FEED_FORWARD = tuple(f"decoder.decoders.{block}.feed_forward.w_{part}" for block in range(BLOCKS) for part in (1, 2))
NORMS = tuple(f"decoder.decoders.{block}.norm3.weight" for block in range(BLOCKS))
LAYERS = (
    LayerInfo("encoder.embed.conv.0", "encoder.subsampling", (4, 1, 3, 3), "conv"),
    *(LayerInfo(path, "decoder.feed_forward", (8, 6), "linear") for path in FEED_FORWARD),
    LayerInfo("decoder.output_layer", "decoder.output", (9, 6), "linear"),
)
INVENTORY = Inventory(LAYERS, (*((name, 6) for name in NORMS), ("decoder.output_layer.bias", 9)), (("encoder", 0), ("decoder", BLOCKS)))
GROUPS = {"decoder.feed_forward": (*(f"{path}.weight" for path in FEED_FORWARD), *NORMS), "encoder.subsampling": ()}


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    state = {f"{layer.path}.weight": rng.standard_normal(layer.shape, dtype=np.float32) for layer in LAYERS}
    state |= {name: rng.standard_normal(size, dtype=np.float32) for name, size in INVENTORY.vectors}
    return state | {"ctc.ctc_lo.weight": rng.standard_normal((2, 2), dtype=np.float32)}


def compressed(**parts: tuple) -> CompressedModel:
    return compress(weights(), INVENTORY, GROUPS, Configuration(**parts))


def test_an_empty_configuration_keeps_every_parameter_that_inference_needs() -> None:
    found = compressed()
    expected = weights()
    del expected["ctc.ctc_lo.weight"]
    assert found.tensors.keys() == expected.keys()
    assert all(np.array_equal(found.tensors[name], value) for name, value in expected.items())
    assert found.keep == {"encoder": (), "decoder": (0, 1, 2)}


def test_dropped_blocks_are_gone_and_the_others_keep_their_names() -> None:
    found = compressed(keep=(("decoder", (0, 2)),))
    assert not any(".decoders.1." in name for name in found.tensors)
    assert "decoder.decoders.2.feed_forward.w_1.weight" in found.tensors
    assert found.keep["decoder"] == (0, 2)


def test_only_layers_with_bits_are_quantized() -> None:
    found = compressed(bits=((FEED_FORWARD[0], 3),))
    layer = found.tensors[f"{FEED_FORWARD[0]}.weight"]
    direct = quantize(weights()[f"{FEED_FORWARD[0]}.weight"], 3)
    assert isinstance(layer, Quantized)
    assert np.array_equal(layer.codes, direct.codes)
    assert np.array_equal(layer.scales, direct.scales)
    assert layer.mask is None
    assert sum(isinstance(tensor, Quantized) for tensor in found.tensors.values()) == 1


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_pruning_then_quantizing_is_what_quantizing_the_pruned_weight_gives(share: float, granularity: str) -> None:
    configuration = Configuration(
        bits=((FEED_FORWARD[0], 4), (FEED_FORWARD[3], 2)),
        sparsity=(("decoder.feed_forward", share),),
        scheme=Scheme(granularity=granularity),
    )
    found = compress(weights(), INVENTORY, GROUPS, configuration)
    for path, bits in configuration.bits:
        layer = found.tensors[f"{path}.weight"]
        assert isinstance(layer, Quantized)
        assert layer.mask is not None
        direct = quantize(weights()[f"{path}.weight"], bits, granularity, layer.mask)
        assert np.array_equal(layer.codes, direct.codes)
        assert np.array_equal(layer.scales, direct.scales)


def test_sparsity_ranks_the_kept_part_of_the_group_as_one_and_reaches_its_norms() -> None:
    found = compressed(keep=(("decoder", (0, 2)),), sparsity=(("decoder.feed_forward", 0.5),))
    members = [name for name in GROUPS["decoder.feed_forward"] if ".decoders.1." not in name]
    before = np.concatenate([np.abs(weights()[name]).ravel() for name in members])
    after = np.concatenate([np.abs(found.tensors[name]).ravel() for name in members])
    assert np.count_nonzero(after == 0) == round(0.5 * before.size)
    assert before[after == 0].max() <= before[after != 0].min()
    assert any((found.tensors[name] == 0).any() for name in NORMS if name in found.tensors)
    assert np.array_equal(found.tensors["decoder.output_layer.weight"], weights()["decoder.output_layer.weight"])


def test_a_memo_changes_nothing_and_spares_the_second_time() -> None:
    memo: dict = {}
    bits = tuple((layer.path, 4) for layer in LAYERS)
    plain = compress(weights(), INVENTORY, GROUPS, Configuration(bits=bits))
    for _ in range(2):
        found = compress(weights(), INVENTORY, GROUPS, Configuration(bits=bits), memo)
        assert all(np.array_equal(found.tensors[f"{path}.weight"].codes, plain.tensors[f"{path}.weight"].codes) for path, _ in bits)
    assert len(memo) == len(LAYERS)
    again = compress(weights(), INVENTORY, GROUPS, Configuration(bits=bits), memo)
    assert again.tensors["decoder.output_layer.weight"] is memo["decoder.output_layer", 4, "channel", "rtn"]
    pruned = Configuration(bits=bits, sparsity=(("decoder.feed_forward", 0.5),))
    compress(weights(), INVENTORY, GROUPS, pruned, memo)
    assert all(layer.mask is None for layer in memo.values())


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        ({"bits": (("decoder.decoders.9.feed_forward.w_1", 4),)}, "bits must name layers of the model"),
        ({"bits": ((FEED_FORWARD[2], 4),), "keep": (("decoder", (0, 2)),)}, "bits must name layers of kept blocks"),
        ({"keep": (("decoder", (0, 3)),)}, r"decoder, 0 to 2, got \(0, 3\)"),
        ({"sparsity": (("encoder.subsampling", 0.5),)}, r"\(decoder.feed_forward\), got 'encoder.subsampling'"),
        ({"sparsity": (("ctc", 0.5),)}, "got 'ctc'"),
    ],
)
def test_what_the_model_does_not_have_is_refused(parts: dict, rule: str) -> None:
    with pytest.raises(BadInput, match=rule) as caught:
        compressed(**parts)
    assert "\n" not in str(caught.value)


def test_with_kernel_fp16_what_is_not_quantized_has_the_numbers_of_half_precision() -> None:
    path = FEED_FORWARD[0]
    found = compressed(bits=((path, 3),), scheme=Scheme(kernel="fp16"), sparsity=(("decoder.feed_forward", 0.3),))
    plain = compressed(bits=((path, 3),), sparsity=(("decoder.feed_forward", 0.3),))
    layer, expected = found.tensors.pop(f"{path}.weight"), plain.tensors.pop(f"{path}.weight")
    assert np.array_equal(layer.dequantize(), expected.dequantize())
    for name, tensor in found.tensors.items():
        assert tensor.dtype == np.float32
        assert np.array_equal(tensor, plain.tensors[name].astype(np.float16))
    state = weights() | {"decoder.output_layer.bias": np.full(9, -7e4, np.float32)}
    with pytest.raises(BadInput, match=r"half precision takes weights of at most 65504, got 7e\+04 in decoder.output_layer.bias"):
        compress(state, INVENTORY, GROUPS, Configuration(scheme=Scheme(kernel="fp16")))


def test_weights_that_do_not_fit_the_inventory_are_refused() -> None:
    state = weights()
    del state["decoder.output_layer.bias"]
    with pytest.raises(ValueError, match=r"'decoder.output_layer.bias' is missing"):
        compress(state, INVENTORY, GROUPS, Configuration())
    state = weights() | {"decoder.output_layer.weight": np.zeros((6, 9), np.float32)}
    with pytest.raises(ValueError, match=r"decoder.output_layer.weight must hold 54 numbers as \(9, 6\)"):
        compress(state, INVENTORY, GROUPS, Configuration())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_in_a_line(value: float) -> None:
    state, configuration = weights(), Configuration(rank=((FEED_FORWARD[0], 2),))
    state[f"{FEED_FORWARD[0]}.weight"][1, 2] = value
    with pytest.raises(BadInput, match=f"weights must be finite, got {value} in {FEED_FORWARD[0]}.weight"):
        compress(state, INVENTORY, GROUPS, configuration)


def calibration() -> Calibration:
    """Moments of the feed-forwards, none of the convolution and the output layer."""
    inputs = np.random.default_rng(1).standard_normal((50, 6), dtype=np.float32)
    return Calibration((LayerMoment(FEED_FORWARD, inputs.T @ inputs / 50),), (), "abc", 50)


CALIBRATED = Configuration(
    bits=tuple((layer.path, 3) for layer in LAYERS), sparsity=(("decoder.feed_forward", 0.4),), scheme=Scheme(method="gptq")
)


def test_the_calibrated_method_weighs_every_layer_by_its_moment() -> None:
    found, state = compress(weights(), INVENTORY, GROUPS, CALIBRATED, calibration=calibration()), weights()
    for layer in LAYERS:
        name = f"{layer.path}.weight"
        tensor = found.tensors[name]
        assert isinstance(tensor, Quantized)
        direct = quantize_calibrated(state[name], 3, calibration().moment(layer.path), mask=tensor.mask)
        assert np.array_equal(tensor.codes, direct.codes)
        assert np.array_equal(tensor.scales, direct.scales)
        assert (tensor.mask is not None) == (layer.path in FEED_FORWARD)
    assert found.calibrated_on == CalibratedOn("abc", 50)


def test_a_memo_keeps_methods_apart_and_no_masked_layer() -> None:
    memo: dict = {}
    for _ in range(2):
        compress(weights(), INVENTORY, GROUPS, CALIBRATED, memo, calibration())
    assert set(memo) == {("encoder.embed.conv.0", 3, "channel", "gptq"), ("decoder.output_layer", 3, "channel", "gptq")}
    nearest = compress(weights(), INVENTORY, GROUPS, Configuration(bits=CALIBRATED.bits), memo)
    assert np.array_equal(nearest.tensors["decoder.output_layer.weight"].codes, quantize(weights()["decoder.output_layer.weight"], 3).codes)
    assert len(memo) == 2 + len(LAYERS)
    assert nearest.calibrated_on is None


def test_the_calibrated_method_needs_a_calibration() -> None:
    with pytest.raises(BadInput, match=r"method gptq needs a calibration .*, got none") as caught:
        compress(weights(), INVENTORY, GROUPS, CALIBRATED)
    assert "\n" not in str(caught.value)
    nothing = compress(weights(), INVENTORY, GROUPS, Configuration(scheme=Scheme(method="gptq")), calibration=calibration())
    assert nothing.calibrated_on is None  # there is no layer that it would tell anything about
