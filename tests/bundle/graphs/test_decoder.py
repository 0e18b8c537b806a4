"""The decoder graph: what onnxruntime makes of it, its caches, its candidates, and int8 beside fp32."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.graphs.architecture import read_architecture  # noqa: E402
from paredown.bundle.storage import BundleParts, assemble  # noqa: E402
from paredown.compress.network import compress_model, state_of  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from tests.bundle.models import shared_model  # noqa: E402
from tests.bundle.sessions import count_operators, multiplied_constants, open_session  # noqa: E402

LAYERS, HEADS, DK, TOKENS, STATES = 3, 2, 8, 8, 9
POOLS = [f"self_{part}_{layer}" for layer in range(LAYERS) for part in ("keys", "values")]
HIDDEN = -3e4


def parts_of(bits: int | None, fp32: bool = False) -> BundleParts:
    model = shared_model()
    paths = [layer.path for layer in model.inventory().layers] if bits else []
    configuration = Configuration(bits=tuple((path, bits or 8) for path in paths), scheme=Scheme(kernel="int8" if bits else "fp32"))
    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    return assemble(architecture, model.inventory(), state_of(model), compress_model(model, configuration), fp32)


def optimized(parts: BundleParts, which: str, folder: Path) -> onnx.ModelProto:
    open_session(getattr(parts, which), parts.tensors, folder / "optimized.onnx")
    return onnx.load(folder / "optimized.onnx", load_external_data=False)


def first_inputs(beams: int) -> dict[str, Any]:
    """The inputs of a first step of one utterance; `decode` adds the tokens."""
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {"position": np.zeros((1, 1, 1), np.int64), "k": np.array([TOKENS])}
    inputs |= {"node_mask": own_nodes(beams), "memory_mask": np.zeros((1, 1, beams, STATES), np.float32)}
    for layer in range(LAYERS):
        for part in ("keys", "values"):
            inputs[f"memory_{part}_{layer}"] = rng.standard_normal((1, HEADS, STATES, DK)).astype(np.float32)
            inputs[f"self_{part}_{layer}"] = np.zeros((1, HEADS, 0, DK), np.float32)
    return inputs


def own_nodes(beams: int) -> np.ndarray:
    """The mask of a step's own nodes: each beam sees its own."""
    return np.where(np.eye(beams), 0.0, HIDDEN).astype(np.float32)[None, None]


def next_inputs(inputs: dict[str, Any], grown: list[np.ndarray], order: list[int]) -> dict[str, Any]:
    """The inputs of the step behind `inputs`, whose outputs are `grown`: beam i continues row order[i]."""
    mask = np.concatenate([inputs["node_mask"][:, :, order], own_nodes(len(order))], axis=3)
    memory_mask = inputs["memory_mask"][:, :, order]
    following = inputs | dict(zip(POOLS, grown, strict=True)) | {"node_mask": mask, "memory_mask": memory_mask}
    return following | {"position": inputs["position"] + 1}


def decode(session: onnxruntime.InferenceSession, sequences: np.ndarray) -> list[np.ndarray]:
    """Log posteriors [beams, tokens] of every step of these sequences [beams, steps], one beam a sequence."""
    inputs = first_inputs(len(sequences))
    collected = []
    for step in range(sequences.shape[1]):
        inputs["tokens"] = sequences[None, :, step]
        log_probs, *grown = session.run(["log_probs", *(f"new_{name}" for name in POOLS)], inputs)
        inputs = next_inputs(inputs, grown, list(range(len(sequences))))
        collected.append(log_probs[0])
    return collected


def test_the_optimized_int8_decoder_multiplies_every_layer_in_int8(tmp_path: Path) -> None:
    model = optimized(parts_of(8), "decoder", tmp_path)
    # A block: q, k, v in one; out; cross q; cross out; w_1; w_2. Cross k and v are the encoder graph's. And the output layer.
    assert count_operators(model)["DynamicQuantizeMatMul"] == 6 * LAYERS + 1
    assert multiplied_constants(model) == []
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert max(sizes.values()) <= 48  # biases, scales and norms only: no weight was expanded behind our back


def test_the_optimized_int8_encoder_multiplies_every_matrix_in_int8(tmp_path: Path) -> None:
    model = optimized(parts_of(8), "encoder", tmp_path)
    # A block: macaron 2, q k v, out, pointwise 2, feed-forward 2; and input layer, all positions, all memory keys and values.
    expected = {"DynamicQuantizeMatMul": 8 * 2 + 3, "MatMulIntegerToFloat": 1, "Conv": 1 + 2}
    assert {name: count_operators(model)[name] for name in expected} == expected
    assert multiplied_constants(model) == []


def test_the_fp32_graph_of_quantized_weights_has_no_int8(tmp_path: Path) -> None:
    model = optimized(parts_of(8, fp32=True), "decoder", tmp_path)
    operators: Counter[str] = count_operators(model)
    assert operators["DynamicQuantizeMatMul"] == 0
    assert operators["MatMul"] == 6 * LAYERS + 1
    assert len(multiplied_constants(model)) == 6 * LAYERS + 1  # so that its emptiness above means something


def test_graphs_are_small() -> None:
    parts = parts_of(8)
    assert max(len(parts.encoder.serialize()), len(parts.decoder.serialize())) < 30_000
    assert parts_of(8).decoder.serialize() == parts.decoder.serialize()


def test_int8_activations_move_the_posteriors_only_a_little() -> None:
    sequences = np.random.default_rng(1).integers(0, TOKENS, (3, 5))
    (exact, rounded) = (decode(open_session(parts.decoder, parts.tensors), sequences) for parts in (parts_of(8, fp32=True), parts_of(8)))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(exact, rounded, strict=True))
    # Observed 0.02. Activations rounded to 1/255 of their range leave a percent or so of logits near one; a wrong scale moves them by ones.
    assert 1e-5 < difference < 0.1


def test_candidates_are_the_best_log_posteriors() -> None:
    parts = parts_of(None)
    session = open_session(parts.decoder, parts.tensors)
    inputs = first_inputs(4) | {"tokens": np.array([[1, 2, 3, 4]]), "k": np.array([3])}
    scores, ids, log_probs = session.run(["scores", "ids", "log_probs"], inputs)
    np.testing.assert_allclose(np.exp(log_probs.astype(np.float64)).sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(scores, -np.sort(-log_probs, axis=-1)[..., :3])
    np.testing.assert_array_equal(np.take_along_axis(log_probs, ids, axis=-1), scores)


def test_the_mask_says_which_hypothesis_a_beam_continues() -> None:
    parts = parts_of(None)
    session = open_session(parts.decoder, parts.tensors)
    inputs = first_inputs(2) | {"tokens": np.array([[1, 5]])}
    grown = session.run([f"new_{name}" for name in POOLS], inputs)
    inputs = next_inputs(inputs, grown, [1, 0, 1]) | {"tokens": np.array([[2, 2, 2]])}
    (swapped,) = session.run(["log_probs"], inputs)
    expected = decode(session, np.array([[5, 2], [1, 2], [5, 2]]))[1]
    # Other rows of a batch, and nodes that a beam does not see, change nothing at fp32 but the blocking of sums.
    np.testing.assert_allclose(swapped[0], expected, atol=1e-6)
    assert np.abs(swapped[0, 0] - swapped[0, 1]).max() > 1e-3


def test_utterances_of_a_batch_do_not_see_each_other() -> None:
    parts = parts_of(None)
    session = open_session(parts.decoder, parts.tensors)
    alone = first_inputs(2) | {"tokens": np.array([[1, 5]])}
    other = {name: value[:, :, ::-1] if name.startswith("memory_") else value for name, value in alone.items()}
    other |= {"tokens": np.array([[3, 2]]), "position": np.full((1, 1, 1), 4)}
    both = {name: value if name == "k" else np.concatenate([value, other[name]]) for name, value in alone.items()}
    both["memory_mask"] = both["memory_mask"].copy()
    for part in ("keys", "values"):  # the second utterance has five frames less, behind a mask
        for layer in range(LAYERS):
            both[f"memory_{part}_{layer}"][1, :, 4:] = 7.0
            other[f"memory_{part}_{layer}"] = other[f"memory_{part}_{layer}"][:, :, :4]
    both["memory_mask"][1, :, :, 4:] = HIDDEN
    other["memory_mask"] = other["memory_mask"][..., :4]
    (together,) = session.run(["log_probs"], both)
    apart = [session.run(["log_probs"], inputs)[0][0] for inputs in (alone, other)]
    np.testing.assert_allclose(together, np.stack(apart), atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3
