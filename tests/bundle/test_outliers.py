"""Activation outliers: a planted one is found and nothing else, and the bundle that falls back is nearer to fp32."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from paredown.bundle.outliers import LIMIT, Outlier, find_outliers, measure_rounding, rounding_error, with_fallbacks
from paredown.bundle.write import write_bundle
from paredown.compress.calibrate import read_rows
from paredown.compress.calibration import LayerRows
from paredown.compress.compress import CompressedModel
from paredown.compress.layer_calls import Utterance
from paredown.compress.network import compress_model
from paredown.models import Model
from paredown.runtime.bundle_files import read_manifest
from paredown.runtime.session import Graph, SessionSettings
from paredown.runtime.weights import Weights
from paredown.space.configuration import Configuration, Scheme
from tests.bundle.models import make_model, shared_model

QKV = tuple(f"encoder.encoders.1.self_attn.linear_{part}" for part in "qkv")
W1 = "encoder.encoders.0.feed_forward.w_1"
HYPOTHESES = ((2, 3, 4, 5), (3, 4))


def utterances(model: Model, count: int = 3) -> list[Utterance]:
    rng = np.random.default_rng(0)
    shapes = ((70 + 20 * number, model.frontend.n_mels) for number in range(count))
    return [Utterance(2 * rng.standard_normal(shape, dtype=np.float32), HYPOTHESES) for shape in shapes]


def planted(norm: str, paths: tuple[str, ...], unit: int = 5, times: float = 100.0) -> Model:
    """The shared model with one unit of a normalization a hundred times as large, and weights behind it as small as 8 bits hold them.

    So it counts about as much as any other unit, and its weights are rounded without an error: what is left is the activations' doing.
    """
    model = make_model()
    with torch.no_grad():
        for name in ("weight", "bias"):
            model.network.get_parameter(f"{norm}.{name}")[unit] *= times
        for path in paths:
            weight = model.network.get_parameter(f"{path}.weight")
            weight[:, unit] = 0
            weight[:, unit] = weight.abs().amax(1) / 127
    return model


def at_8_bits(model: Model, **changes: object) -> CompressedModel:
    bits = tuple((layer.path, 8) for layer in model.inventory().layers)
    return compress_model(model, Configuration(bits=bits, **changes))  # type: ignore[arg-type]


def found_in(model: Model, compressed: CompressedModel) -> tuple[Outlier, ...]:
    return find_outliers(model.inventory(), compressed, read_rows(model.network, utterances(model), model.sos))


def test_a_healthy_model_has_none() -> None:
    assert found_in(shared_model(), at_8_bits(shared_model())) == ()


def test_the_planted_layer_is_found_and_nothing_else() -> None:
    model = planted("encoder.encoders.0.norm_ff", (W1,))
    [outlier] = found_in(model, at_8_bits(model))
    assert (outlier.path, outlier.with_path) == (W1, None)
    assert outlier.error > 2 * LIMIT


def test_layers_that_read_the_same_fall_back_together() -> None:
    model = planted("encoder.encoders.1.norm_mha", QKV)
    compressed = at_8_bits(model)
    outliers = found_in(model, compressed)
    assert tuple(sorted(outlier.path for outlier in outliers)) == tuple(sorted(QKV))
    values = compressed.tensors[f"{QKV[2]}.weight"]
    codes = values.codes.copy()  # type: ignore[union-attr]
    codes[:, 5] = 127  # the large unit is nearly all that it reads then, and that is rounded well
    tensors = {**compressed.tensors, f"{QKV[2]}.weight": replace(values, codes=codes)}  # type: ignore[type-var]
    mixed = {outlier.path: outlier for outlier in found_in(model, replace(compressed, tensors=tensors))}
    assert set(mixed) == set(QKV)
    assert mixed[QKV[2]].error < LIMIT
    assert mixed[QKV[2]].with_path in QKV[:2]
    assert "it reads what" in str(mixed[QKV[2]])
    assert mixed[QKV[0]].with_path is None


def test_what_is_left_of_a_layer_is_looked_at() -> None:
    """Of a narrowed layer the inputs that stay, of a factorized one both factors; no layer is passed over."""
    model, rows = shared_model(), read_rows(shared_model().network, utterances(shared_model()), shared_model().sos)
    whole, first = W1.removesuffix(".w_1"), "encoder.encoders.0.self_attn"
    compressed = at_8_bits(model, width=((whole, 9),), heads=((first, (1,)),), rank=((f"{whole}.w_2", 4),))
    measured = measure_rounding(model.inventory(), compressed, rows)
    assert measured.keys() == measure_rounding(model.inventory(), at_8_bits(model), rows).keys()
    entry = next(entry for entry in rows if f"{first}.linear_out" in entry.paths)
    weight = compressed.tensors[f"{first}.linear_out.weight"].dequantize().T  # type: ignore[union-attr]
    results = entry.rows[:, 8:] @ weight
    expected = np.linalg.norm(rounding_error(entry)[:, 8:] @ weight) / np.linalg.norm(results - results.mean(axis=0))
    assert measured[f"{first}.linear_out"] == pytest.approx(expected, rel=1e-4)
    assert 0 < measured[f"{whole}.w_2"] < LIMIT


def test_an_outlier_of_a_factorized_layer_is_found() -> None:
    model = planted("encoder.encoders.0.norm_ff", (W1,))
    [outlier] = found_in(model, at_8_bits(model, rank=((W1, 12),)))
    assert outlier.path == W1
    assert outlier.error > LIMIT


def test_only_layers_that_compute_in_int8_are_looked_at() -> None:
    model = planted("encoder.encoders.0.norm_ff", (W1,))
    assert found_in(model, at_8_bits(model, kernels=((W1, "fp32"),))) == ()
    assert found_in(model, at_8_bits(model, scheme=Scheme(kernel="nbits"))) == ()
    assert found_in(model, compress_model(model, Configuration(scheme=Scheme(kernel="fp32")))) == ()
    rows = read_rows(model.network, utterances(model), model.sos)
    measured = measure_rounding(model.inventory(), at_8_bits(model), rows)
    kinds = {layer.path: layer for layer in model.inventory().layers}
    fp32 = {path for path, layer in kinds.items() if layer.kind == "embedding" or (layer.kind == "conv" and layer.shape[1] == 1)}
    assert {path for path in kinds if path not in measured} == fp32
    dropped = at_8_bits(shared_model())
    fewer = replace(dropped, tensors={name: tensor for name, tensor in dropped.tensors.items() if W1 not in name})
    assert W1 not in measure_rounding(shared_model().inventory(), fewer, rows)


def encode(folder: Path, features: np.ndarray) -> np.ndarray:
    manifest = read_manifest(folder)
    weights = Weights(folder / "weights.bin", manifest.tensors)
    graph = Graph(folder / manifest.encoder.file, weights.initializers(manifest.encoder.initializers), SessionSettings(1))
    return graph.run(("encoder_out",), {"features": features})[0]


def test_the_bundle_that_falls_back_is_nearer_to_fp32(tmp_path: Path) -> None:
    model = planted("encoder.encoders.0.norm_ff", (W1,))
    compressed = at_8_bits(model)
    configuration = with_fallbacks(compressed.configuration, found_in(model, compressed))
    assert configuration.kernels == ((W1, "fp32"),)
    forms = {"plain": compressed, "fallen": replace(compressed, configuration=configuration)}
    bundles = {name: write_bundle(model, form, tmp_path / name) for name, form in forms.items()}
    distances = {}
    for name, bundle in bundles.items():
        inputs = [heard.features for heard in utterances(model)]
        differences = [encode(bundle, features) - model.encode(torch.from_numpy(features)).numpy() for features in inputs]
        distances[name] = np.sqrt(np.mean([np.square(difference).mean() for difference in differences]))
    assert distances["fallen"] < 0.5 * distances["plain"]
    assert (tmp_path / "plain" / "weights.bin").read_bytes() == (tmp_path / "fallen" / "weights.bin").read_bytes()


def test_fallbacks_stand_beside_exceptions_that_are_there() -> None:
    configuration = Configuration(bits=(("a", 8), ("b", 8), ("c", 4)), kernels=(("a", "nbits"),))
    changed = with_fallbacks(configuration, [Outlier("b", 0.5), Outlier("c", 0.1, "b")])
    assert changed.kernels == (("a", "nbits"), ("b", "fp32"), ("c", "fp32"))
    assert replace(changed, kernels=configuration.kernels) == configuration
    assert with_fallbacks(configuration, ()) == configuration


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_rounding_is_onnxruntimes_own(shift: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((6, 40)) * 10.0 ** rng.integers(-3, 3, (6, 1)) + shift
    values = np.concatenate([values, np.zeros((1, 40))]).astype(np.float32)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 40]) for name in "xy"]
    graph = helper.make_graph(nodes, "round", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (values, values[:1], values[5:], values[6:], np.abs(values), -np.abs(values)):
        ends_of_call = np.full((2, len(rows)), [[rows.min()], [rows.max()]], np.float32)
        change = rounding_error(LayerRows(("a",), rows, *ends_of_call, rows.min(axis=0), rows.max(axis=0)))
        expected = session.run(None, {"x": rows})[0] - rows
        step = (max(rows.max(), 0) - min(rows.min(), 0)) / 255
        np.testing.assert_allclose(change, expected, atol=1e-5 * step + 1e-12)


def test_a_layer_that_reads_nothing_is_no_outlier() -> None:
    model = copy.copy(shared_model())
    compressed, zeros = at_8_bits(model), np.zeros((4, 16), np.float32)
    silent = LayerRows((W1,), zeros, zeros[:, 0], zeros[:, 0], zeros[0], zeros[0])
    assert measure_rounding(model.inventory(), compressed, [silent]) == {W1: 0.0}
