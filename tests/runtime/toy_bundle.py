"""A bundle that is small enough to compute by hand: two graphs with the inputs and outputs of real ones, and the same in NumPy.

The decoder averages the nodes of its self-attention and the memory instead of attending to them; so its scores depend on every token
so far and on every frame, and a mask that shows the wrong nodes changes them.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from paredown.bundle.pack import pack
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Tensor
from paredown.runtime.bundle_files import SCHEMA, Initializer
from paredown.runtime.features import Frontend
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import seal

HEADS, UNITS, MELS = 2, 3, 10
WIDTH = HEADS * UNITS
TOKENS = ("<blank>", "<unk>", "▁ein", "▁Hund", "▁be", "ll", "t", ".", "▁die", "▁Kat", "ze", "<sos/eos>")
EOS = len(TOKENS) - 1
FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=256, win_length=256, hop_samples=128, n_mels=MELS, fmin_hz=0.0, fmax_hz=8_000.0)
INITIALIZERS = {
    "encoder": (Initializer("project", "float_transposed", ("encoder.weight",)),),
    "decoder": (
        Initializer("codes", "codes", ("embed.weight",)),
        Initializer("scales", "scales_column", ("embed.weight",)),
        Initializer("output", "float_transposed", ("output.weight",)),
        Initializer("bias", "float", ("output.bias",)),
    ),
}


def make_tensors(seed: int = 0, eos_bonus: float = 0.0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    weight = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    bias = weight(len(TOKENS))
    bias[EOS] += eos_bonus
    output = quantize(2 * weight(len(TOKENS), WIDTH), 5, mask=rng.random((len(TOKENS), WIDTH)) < 0.4)
    return {
        "encoder.weight": weight(WIDTH, MELS) / 4,
        "embed.weight": quantize(weight(len(TOKENS), WIDTH), 7),
        "output.weight": output,
        "output.bias": bias,
    }


def write_toy_bundle(bundle: Path, tensors: dict[str, Tensor]) -> Path:
    bundle.mkdir()
    packed = pack(tensors)
    files = {
        "weights.bin": packed.data,
        "encoder.onnx": make_encoder().SerializeToString(),
        "decoder.onnx": make_decoder().SerializeToString(),
        "tokens.txt": "".join(f"{token}\n" for token in TOKENS).encode(),
        "frontend.json": json.dumps(asdict(FRONTEND)).encode(),
    }
    manifest = {
        "schema": SCHEMA,
        "versions": {"paredown": "0.1.0"},
        "model": {"digest": "", "task": "st", "token_type": "bpe", "sos": EOS, "eos": EOS, "subsampling_least_frames": 7},
        "configuration": {"decode": {"beam_size": 4, "length_bonus": 0.1}},
        "layers": {},
        "memory": {"frame_bytes": 1000, "frame_pair_bytes": 2.5, "node_bytes": 100, "frames_per_state": 1},
        "files": describe_files(files),
        "tensors": [record.to_json() for record in packed.records],
        "graphs": {
            name: {"file": f"{name}.onnx", "initializers": [entry.to_json() for entry in entries]} for name, entries in INITIALIZERS.items()
        },
    }
    for name, data in (files | {"manifest.json": seal(manifest).encode()}).items():
        (bundle / name).write_bytes(data)
    return bundle


def _external(name: str, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> TensorProto:
    tensor = TensorProto(name=name, dims=shape, data_type=dtype, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights")
    return tensor


def _model(
    nodes: list[tuple[str, str, str, dict]], inputs: dict, outputs: dict, initializers: list[TensorProto], **constants: list[int]
) -> ModelProto:
    """A graph from (operator, inputs, outputs, attributes), names separated by blanks; inputs and outputs: name -> (type, dimensions)."""
    info = lambda entries: [helper.make_tensor_value_info(name, *entry) for name, entry in entries.items()]  # noqa: E731
    values = [helper.make_tensor(name, TensorProto.INT64, [len(value)], value) for name, value in constants.items()]
    made = [helper.make_node(kind, taken.split(), given.split(), **attributes) for kind, taken, given, attributes in nodes]
    graph = helper.make_graph(made, "toy", info(inputs), info(outputs), [*initializers, *values])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def make_encoder() -> ModelProto:
    nodes = [
        ("MatMul", "features project", "encoder_out", {}),
        ("Reshape", "encoder_out heads_apart", "apart", {}),
        ("Transpose", "apart", "memory_keys", {"perm": [0, 2, 1, 3]}),
        ("Sin", "memory_keys", "memory_values", {}),
    ]
    memory = (TensorProto.FLOAT, [1, HEADS, "frames", UNITS])
    inputs = {"features": (TensorProto.FLOAT, ["frames", MELS])}
    outputs = {"encoder_out": (TensorProto.FLOAT, ["frames", WIDTH]), "memory_keys": memory, "memory_values": memory}
    return _model(nodes, inputs, outputs, [_external("project", (MELS, WIDTH))], heads_apart=[1, -1, HEADS, UNITS])


def make_decoder() -> ModelProto:
    nodes = [
        ("Gather", "codes tokens", "code_rows", {}),
        ("Cast", "code_rows", "float_rows", {"to": TensorProto.FLOAT}),
        ("Gather", "scales tokens", "scale_rows", {}),
        ("Mul", "float_rows scale_rows", "embedded", {}),
        ("Cast", "position", "float_position", {"to": TensorProto.FLOAT}),
        ("Cos", "float_position", "wave", {}),
        ("Add", "embedded wave", "x", {}),
        ("Reshape", "x heads_apart", "beams_first", {}),
        ("Transpose", "beams_first", "apart", {"perm": [0, 2, 1, 3]}),
        ("Add", "apart apart", "twice_apart", {}),
        ("Exp", "node_mask", "seen", {}),
        ("ReduceSum", "seen last_axis", "count", {}),
        ("Div", "seen count", "shares", {}),
        ("Exp", "memory_mask", "heard", {}),
        ("ReduceSum", "heard last_axis", "frames_heard", {}),
        ("Div", "heard frames_heard", "memory_shares", {}),
        ("Mul", "memory_keys_0 memory_values_0", "products", {}),
        ("MatMul", "memory_shares products", "memory_mean", {}),
    ]
    for kind, new in (("keys", "apart"), ("values", "twice_apart")):
        nodes += [
            ("Concat", f"self_{kind}_0 {new}", f"new_self_{kind}_0", {"axis": 2}),
            ("MatMul", f"shares new_self_{kind}_0", f"{kind}_mean", {}),
        ]
    nodes += [
        ("Mul", "keys_mean values_mean", "self_mean", {}),
        ("Add", "self_mean memory_mean", "mean", {}),
        ("Transpose", "mean", "mean_beams_first", {"perm": [0, 2, 1, 3]}),
        ("Reshape", "mean_beams_first heads_joined", "context", {}),
        ("Add", "context x", "sum", {}),
        ("MatMul", "sum output", "scaled", {}),
        ("Add", "scaled bias", "logits", {}),
        ("LogSoftmax", "logits", "log_probs", {"axis": -1}),
        ("TopK", "log_probs k", "scores ids", {}),
    ]
    int64, real = TensorProto.INT64, TensorProto.FLOAT
    pool, memory, grown = ((real, ["utterances", HEADS, length, UNITS]) for length in ("nodes", "frames", "nodes_next"))
    inputs = {"tokens": (int64, ["utterances", "beams"]), "position": (int64, ["utterances", 1, 1]), "k": (int64, [1])}
    inputs |= {
        name: (real, ["utterances", 1, "beams", length]) for name, length in (("node_mask", "nodes_next"), ("memory_mask", "frames"))
    }
    inputs |= {"self_keys_0": pool, "self_values_0": pool, "memory_keys_0": memory, "memory_values_0": memory}
    best = ["utterances", "beams", "k"]
    outputs = {"scores": (real, best), "ids": (int64, best), "log_probs": (real, ["utterances", "beams", len(TOKENS)])}
    outputs |= {"new_self_keys_0": grown, "new_self_values_0": grown}
    weights = [
        _external("codes", (len(TOKENS), WIDTH), TensorProto.INT8),
        _external("scales", (len(TOKENS), 1)),
        _external("output", (WIDTH, len(TOKENS))),
        _external("bias", (len(TOKENS),)),
    ]
    return _model(nodes, inputs, outputs, weights, heads_apart=[0, 0, HEADS, UNITS], heads_joined=[0, 0, WIDTH], last_axis=[3])


@dataclass
class ToySteps:
    """The toy decoder in NumPy, over whole prefixes, without caches; `features` [frames, MELS]."""

    tensors: dict[str, Tensor]
    features: NDArray[np.float32]
    prefixes: list[list[int]] = field(default_factory=lambda: [[]])

    def start(self) -> None:
        self.prefixes = [[]]

    def step(
        self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        self.prefixes = [[*self.prefixes[row], int(token)] for row, token in zip(order, tokens, strict=True)]
        states = self.features @ self.tensors["encoder.weight"].T
        memory = (states * np.sin(states)).mean(axis=0)
        embedding = self.tensors["embed.weight"].dequantize()
        log_probs = []
        for prefix in self.prefixes:
            x = embedding[prefix] + np.cos(np.arange(len(prefix), dtype=np.float32))[:, None]
            context = x.mean(axis=0) * (2 * x).mean(axis=0) + memory
            logits = self.tensors["output.weight"].dequantize() @ (context + x[-1]) + self.tensors["output.bias"]
            log_probs.append(logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max())
        ids = np.argsort(-np.array(log_probs), axis=1)[:, :k]
        return np.take_along_axis(np.array(log_probs), ids, axis=1).astype(np.float32), ids
