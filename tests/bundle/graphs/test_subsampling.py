"""The unfolded convolution against the convolution it stands for."""

import numpy as np
import pytest

from paredown.bundle.graphs.architecture import LEAST_FRAMES, EncoderArchitecture
from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.subsampling import build_subsampling, output_path
from paredown.bundle.storage import channels_last
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Tensor
from tests.bundle.sessions import count_operators, run, shapes

MELS, WIDTH = 33, 6
KERNELS = {"conv2d": (3, 3), "conv2d1": (3, 3), "conv2d2": (3, 3), "conv2d6": (3, 5), "conv2d8": (3, 3, 3)}
BANDS = {"conv2d": 7, "conv2d1": 29, "conv2d2": 14, "conv2d6": 4, "conv2d8": 3}

SECOND, THIRD = "encoder.embed.conv.2", "encoder.embed.conv.4"
CASES = [*((input_layer, [SECOND]) for input_layer in KERNELS), ("conv2d8", [SECOND, THIRD]), ("conv2d8", [THIRD])]


def tensors_of(input_layer: str) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    tensors: dict[str, Tensor] = {}
    for index, kernel in enumerate(KERNELS[input_layer]):
        path = f"encoder.embed.conv.{2 * index}"
        tensors[f"{path}.weight"] = rng.standard_normal((WIDTH, WIDTH if index else 1, kernel, kernel)).astype(np.float32) / kernel
        tensors[f"{path}.bias"] = rng.standard_normal(WIDTH).astype(np.float32)
    path = output_path(architecture_of(input_layer))
    tensors[f"{path}.weight"] = rng.standard_normal((WIDTH, WIDTH * BANDS[input_layer])).astype(np.float32) / 5
    return tensors | {f"{path}.bias": rng.standard_normal(WIDTH).astype(np.float32)}


def architecture_of(input_layer: str) -> EncoderArchitecture:
    return EncoderArchitecture("conformer", 1, WIDTH, 2, input_layer, "relative", "swish")


def unfolded(tensors: dict[str, Tensor], input_layer: str, paths: list[str], bits: int | None) -> tuple[Graph, dict[str, Tensor]]:
    """The graph with these convolutions unfolded, in int8 where `bits` are given, and the tensors that it wants."""
    kernels = {path: tensors[f"{path}.weight"].shape[2] for path in paths}
    stored = dict(tensors)
    for path in paths:
        weight = stored[f"{path}.weight"]
        stored[f"{path}.weight"] = channels_last(weight if bits is None else quantize(weight, bits))
    builder = GraphBuilder("input", WeightLayout(shapes(stored), {} if bits is None else dict.fromkeys(paths, "int8"), kernels))
    features = builder.input("features", ["frames", MELS])
    builder.output(build_subsampling(builder, architecture_of(input_layer), features, MELS, 2.0), "y", ["states", WIDTH])
    return builder.build(), stored


@pytest.mark.parametrize("frames", [0, 1, 40])
@pytest.mark.parametrize(("input_layer", "paths"), CASES)
def test_an_unfolded_convolution_is_the_convolution(input_layer: str, paths: list[str], frames: int) -> None:
    tensors = tensors_of(input_layer)
    features = np.random.default_rng(frames).standard_normal((LEAST_FRAMES[input_layer] + frames, MELS)).astype(np.float32)
    plain, _ = unfolded(tensors, input_layer, [], None)
    (expected,) = run(plain, tensors, {"features": features})
    graph, stored = unfolded(tensors, input_layer, paths, None)
    (got,) = run(graph, stored, {"features": features})
    assert "Gather" in count_operators(graph.model)
    np.testing.assert_allclose(got, expected, atol=2e-5)  # sums of up to 150 products in another order
    graph, stored = unfolded(tensors, input_layer, paths, 8)
    (got,) = run(graph, stored, {"features": features})
    assert count_operators(graph.model)["MatMulIntegerToFloat"] == len(paths)
    # Weights and activations each rounded to 1/127 and 1/255 of their range: a few percent of the output's spread at worst.
    assert np.abs(got - expected).max() < 0.08 * np.abs(expected).max()
