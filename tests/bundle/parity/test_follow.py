"""The follower on a single layer: what it replaces, what it refuses, and whom it blames."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.parity.follow import Follower, ParityError, original_path  # noqa: E402
from paredown.bundle.parity.products import Product  # noqa: E402
from paredown.bundle.parity.rounding import Layer, multiply_codes, multiply_codes_saturating, round_activations  # noqa: E402
from paredown.compress.quantize import quantize  # noqa: E402

PATH = "encoder.encoders.0.feed_forward.w_1"


def follow(x: np.ndarray, output: np.ndarray, layer: Layer, given: np.ndarray | None = None) -> Any:
    """What a torch layer that follows a graph gives, whose product has the source x and this output."""
    product = Product("int8", (PATH,), (layer.factor,), "x", "y", has_bias=True)
    follower = Follower.of([product], {f"{PATH}.weight": layer.weight, f"{PATH}.bias": layer.bias}, {})
    network = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"encoders": torch.nn.ModuleList([torch.nn.Module()])})})
    inner = torch.nn.Module()
    inner.w_1 = torch.nn.Linear(x.shape[1], output.shape[1])
    network["encoder"]["encoders"][0].feed_forward = inner
    follower.attach(network, {"encoder": (0,)})
    follower.read({"x": x, "y": output.astype(np.float32)})
    with torch.no_grad():
        return inner.w_1(torch.from_numpy(x if given is None else given)[None])


def make_case() -> tuple[np.ndarray, Layer]:
    """Positive activations and codes of -127 and 127, so that sums of two products leave 16 bits."""
    rng = np.random.default_rng(0)
    weight = quantize(np.sign(rng.standard_normal((6, 8))).astype(np.float32), 8)
    return (np.abs(rng.standard_normal((5, 8))) + 1).astype(np.float32), Layer(weight, np.ones(6, np.float32), 0.5)


def test_torch_goes_on_with_the_graphs_product() -> None:
    x, layer = make_case()
    rounded = round_activations(x)
    expected = multiply_codes(rounded.codes, rounded, layer).values
    found = follow(x, expected, layer)
    assert found.shape == (1, 5, 6)
    np.testing.assert_allclose(found[0].numpy(), expected / layer.factor, rtol=1e-6)


def test_another_input_is_refused() -> None:
    x, layer = make_case()
    rounded = round_activations(x)
    with pytest.raises(ParityError, match=f"begins in front of the input of {PATH}, which is off by 1.0e-03"):
        follow(x, multiply_codes(rounded.codes, rounded, layer).values, layer, given=x + np.float32(1e-3) * x.max())


def test_a_nan_is_refused() -> None:
    x, layer = make_case()
    with pytest.raises(ParityError, match=f"in the product of {PATH}, which is off by inf"):
        follow(x, np.full((5, 6), np.nan), layer)


def test_a_processor_that_saturates_is_blamed() -> None:
    x, layer = make_case()
    rounded = round_activations(x)
    with pytest.raises(ParityError, match=f"in the product of {PATH}, .* saturate at 16 bits on this processor"):
        follow(x, multiply_codes_saturating(rounded.codes, rounded, layer), layer)


def test_it_is_not_blamed_for_other_faults() -> None:
    x, layer = make_case()
    rounded = round_activations(x)
    with pytest.raises(ParityError, match=f"in the product of {PATH}") as caught:
        follow(x, multiply_codes(rounded.codes, rounded, layer).values + 0.1, layer)
    assert "saturate" not in str(caught.value)


def test_paths_have_the_indices_of_the_model() -> None:
    keep = {"encoder": (0, 1), "decoder": (0, 2, 5)}
    assert original_path("decoder.decoders.1.self_attn.linear_q", keep) == "decoder.decoders.2.self_attn.linear_q"
    assert original_path("decoder.output_layer", keep) == "decoder.output_layer"
    assert original_path("encoder.encoders", keep) == "encoder.encoders"
    assert original_path("ctc.ctc_lo", keep) == "ctc.ctc_lo"
