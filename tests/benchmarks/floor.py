"""The floor of a beam search: the products that a decoder step cannot do without, in onnxruntime, and nothing else.

One graph is one step of the first paper's decoder: of each block the products with its weights (queries, keys and values in one; output;
query and output of cross-attention; two of the feed-forward), the two products of self-attention over t tokens of every beam and the two
of cross-attention over S frames; then the output layer. Each product's input is what another gave, so that none can be left out. There is
no softmax, normalization, residual, bias, activation, embedding, cache, top-k or search; int8 has its dynamic quantization, without
which its product has no input. Inputs are bound once for every step, so that a call of Python is all that a step adds.
"""

import time
from math import sqrt
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.benchmarks.candidates import Decoded
from tests.benchmarks.first_paper import DECODER_BLOCKS, HEADS, TOKENS, UNITS, WIDTH

DK = WIDTH // HEADS


class Floor:
    """The products of all steps of one search; `int8`: those with weights as dynamic int8 products."""

    def __init__(self, steps: int, beam: int, frames: int, threads: int, int8: bool, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        self._session = onnxruntime.InferenceSession(build_step(int8, rng), options, providers=["CPUExecutionProvider"])
        self._memory = {
            f"memory_{part}_{block}": rng.standard_normal((HEADS, *shape)).astype(np.float32) / scale
            for block in range(DECODER_BLOCKS)
            for part, shape, scale in (("keys", (DK, frames), 8), ("values", (frames, DK), sqrt(frames)))
        }
        # Keys and values of every block lie in a place of their own, as caches do; a step takes the beginning of it.
        self._caches = {
            f"self_{part}_{block}": rng.standard_normal(beam * WIDTH * steps).astype(np.float32) / scale
            for block in range(DECODER_BLOCKS)
            for part, scale in (("keys", 8), ("values", 4))
        }
        self._start = {rows: rng.standard_normal((rows, WIDTH)).astype(np.float32) for rows in (1, beam)}
        self._bound = [self._bind(1 if step == 0 else beam, step + 1) for step in range(steps)]

    def decode(self, waveform: Any, tokens: int | None) -> Decoded:
        """The first `tokens` steps (None: all), as if they were a search (`tests.benchmarks.candidates.Candidate`)."""
        session, bound = self._session, self._bound[:tokens]
        began = time.perf_counter()
        for binding in bound:
            session.run_with_iobinding(binding)
        took_ms = 1000.0 * (time.perf_counter() - began)
        return Decoded(0.0, 0.0, took_ms, took_ms, ())

    def _bind(self, rows: int, t: int) -> Any:
        binding = self._session.io_binding()
        inputs = {"x": self._start[rows], **self._memory}
        for name, values in self._caches.items():
            shape = (rows, HEADS, DK, t) if "keys" in name else (rows, HEADS, t, DK)
            inputs[name] = values[: rows * WIDTH * t].reshape(shape)
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output("y", "cpu")
        return binding


def build_step(int8: bool, rng: np.random.Generator) -> bytes:
    """The graph of one step, weights inside."""
    nodes: list[Any] = []
    tensors: list[Any] = []
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])]

    def add(operator: str, taken: list[str], **attributes: Any) -> str:
        domain = "com.microsoft" if operator == "DynamicQuantizeMatMul" else ""
        nodes.append(helper.make_node(operator, taken, [f"value_{len(nodes)}"], domain=domain, **attributes))
        return f"value_{len(nodes) - 1}"

    def hold(array: NDArray[Any]) -> str:
        tensors.append(numpy_helper.from_array(array, f"held_{len(tensors)}"))
        return f"held_{len(tensors) - 1}"

    def take(name: str, *shape: int | str) -> str:
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def multiply(x: str, units: int, out: int) -> str:
        if int8:
            codes, scales = hold(rng.integers(-127, 128, (units, out), np.int8)), hold(np.full(out, 1 / 73 / sqrt(units), np.float32))
            return add("DynamicQuantizeMatMul", [x, codes, scales])
        return add("MatMul", [x, hold((rng.standard_normal((units, out)) / sqrt(units)).astype(np.float32))])

    by_beam, by_memory, flat = hold(np.array([-1, HEADS, 1, DK])), hold(np.array([-1, HEADS, DK])), hold(np.array([-1, WIDTH]))
    first, last, axis = hold(np.array([0])), hold(np.array([WIDTH])), hold(np.array([1]))
    x = "x"
    for block in range(DECODER_BLOCKS):
        query = add("Reshape", [add("Slice", [multiply(x, WIDTH, 3 * WIDTH), first, last, axis]), by_beam])
        scores = add("MatMul", [query, take(f"self_keys_{block}", "rows", HEADS, DK, "t")])
        context = add("MatMul", [scores, take(f"self_values_{block}", "rows", HEADS, "t", DK)])
        x = multiply(add("Reshape", [context, flat]), WIDTH, WIDTH)
        query = add("Transpose", [add("Reshape", [multiply(x, WIDTH, WIDTH), by_memory])], perm=[1, 0, 2])
        scores = add("MatMul", [query, take(f"memory_keys_{block}", HEADS, DK, "frames")])
        context = add("MatMul", [scores, take(f"memory_values_{block}", HEADS, "frames", DK)])
        x = multiply(add("Reshape", [add("Transpose", [context], perm=[1, 0, 2]), flat]), WIDTH, WIDTH)
        x = multiply(multiply(x, WIDTH, UNITS), UNITS, WIDTH)
    nodes[-1].output[0] = x
    nodes.append(helper.make_node("Identity", [multiply(x, WIDTH, TOKENS)], ["y"]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", TOKENS])]
    graph = helper.make_graph(nodes, "floor", inputs, outputs, initializer=tensors)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model
