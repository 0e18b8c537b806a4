"""Static ranges against what layers really read, also where they are narrowed or made of two factors."""

from dataclasses import replace

import numpy as np
import pytest

from paredown.compress.calibrate import calibrate
from paredown.compress.calibration import Calibration, LayerRows
from paredown.compress.network import compress_model
from paredown.compress.ranges import Range
from paredown.compress.tensors import Quantized
from paredown.errors import BadInput
from paredown.models import Model
from paredown.space.configuration import Configuration, Kernel, Scheme
from tests.bundle.models import shared_model
from tests.bundle.test_outliers import utterances

FEED_FORWARD = "encoder.encoders.0.feed_forward"
STATIC = Scheme(activations="static")


def calibration_of(model: Model) -> Calibration:
    return calibrate(model.network, utterances(model), model.sos, "5" * 64)


@pytest.fixture(scope="module")
def heard() -> Calibration:
    return calibration_of(shared_model())


def static(scheme: Scheme = STATIC, bits: int = 8, **changes: object) -> Configuration:
    paths = [layer.path for layer in shared_model().inventory().layers]
    return Configuration(bits=tuple((path, bits) for path in paths), scheme=scheme, **changes)  # type: ignore[arg-type]


def test_every_product_has_the_range_of_what_it_reads(heard: Calibration) -> None:
    ranges = compress_model(shared_model(), static(), calibration=heard).ranges
    for layer in shared_model().inventory().layers:
        inputs = heard.inputs(layer.path)
        multiplied = layer.kind == "linear" or (layer.kind == "conv" and layer.shape[1] > 1)
        assert (layer.path in ranges) == multiplied
        if inputs is not None and multiplied:
            assert ranges[layer.path] == Range(min(float(inputs.least.min()), 0.0), max(float(inputs.most.max()), 0.0))
            assert ranges[layer.path].low <= inputs.rows.min()
            assert ranges[layer.path].high >= inputs.rows.max()
            assert {ranges[path] for path in inputs.paths} == {ranges[layer.path]}


def test_dynamic_activations_have_none(heard: Calibration) -> None:
    assert compress_model(shared_model(), static(Scheme(method="gptq")), calibration=heard).ranges == {}


@pytest.mark.parametrize("kernel", ["fp32", "fp16"])
def test_layers_of_another_kernel_have_none(heard: Calibration, kernel: Kernel) -> None:
    path = f"{FEED_FORWARD}.w_1"
    silent = replace(heard, rows=tuple(entry for entry in heard.rows if path not in entry.paths))
    assert path not in compress_model(shared_model(), static(kernels=((path, kernel),)), calibration=silent).ranges
    with pytest.raises(BadInput, match=f"static activations need a range .* has none of {path}"):
        compress_model(shared_model(), static(), calibration=silent)


def test_nor_have_layers_without_codes(heard: Calibration) -> None:
    configuration = Configuration(bits=((f"{FEED_FORWARD}.w_1", 8), (f"{FEED_FORWARD}.w_2", 16)), scheme=STATIC)
    assert set(compress_model(shared_model(), configuration, calibration=heard).ranges) == {f"{FEED_FORWARD}.w_1"}


def test_static_activations_need_a_calibration() -> None:
    with pytest.raises(BadInput, match=r"static activations need a calibration \(utterances that the model hears\), got none"):
        compress_model(shared_model(), static())


def test_a_narrowed_layer_has_the_range_of_what_stays(heard: Calibration) -> None:
    compressed = compress_model(shared_model(), static(width=((FEED_FORWARD, 5),)), calibration=heard)
    inputs, kept = heard.inputs(f"{FEED_FORWARD}.w_2"), compressed.cuts[f"{FEED_FORWARD}.w_2.weight"].indices
    assert inputs is not None
    found = compressed.ranges[f"{FEED_FORWARD}.w_2"]
    assert found == Range(min(float(inputs.least[kept].min()), 0.0), max(float(inputs.most[kept].max()), 0.0))
    assert found != compress_model(shared_model(), static(), calibration=heard).ranges[f"{FEED_FORWARD}.w_2"]


def test_the_second_factor_has_the_range_of_what_the_first_gives(heard: Calibration) -> None:
    path = f"{FEED_FORWARD}.w_2"
    compressed = compress_model(shared_model(), static(rank=((path, 3),), width=((FEED_FORWARD, 7),)), calibration=heard)
    inputs, kept = heard.inputs(path), compressed.cuts[f"{path}.weight"].indices
    down = compressed.tensors[f"{path}.down.weight"]
    assert inputs is not None
    assert isinstance(down, Quantized)
    given = inputs.rows[:, kept] @ down.dequantize().T
    assert compressed.ranges[f"{path}.up"] == Range(float(given.min()), float(given.max()))
    assert compressed.ranges[f"{path}.down"].high == pytest.approx(float(inputs.most[kept].max()))
    assert path not in compressed.ranges


@pytest.mark.parametrize("ends", [(0.1, 1.0), (-1.0, -0.1), (float("nan"), 1.0), (-1.0, float("inf"))])
def test_a_range_holds_0_and_is_finite(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a range of activations must be finite and hold 0, got"):
        Range(*ends)


def test_every_unit_has_extremes() -> None:
    rows = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="each unit has a range, got 3 units, 2 and 3 ends"):
        LayerRows(("a",), rows, rows[:, 0], rows[:, 0], rows[0, :2], rows[0])
