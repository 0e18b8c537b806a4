"""Builds ONNX graphs by hand: nodes with unique names, weights as external initializers that the runtime supplies.

A layer is computed by its kernel: a product in fp32 or fp16, an int8 product whose activations are rounded by the range of a call or by
a static one, or MatMulNBits (codes of 4 or 8 bits, scales a block).

A graph never holds a weight. Every weight is a `TensorProto` that says "external" (its location does not exist; onnxruntime
takes the arrays from `SessionOptions.add_external_initializers`), and an `Initializer` that tells the runtime how to make it
from the tensors of `weights.bin`. Only constants of the structure (shapes, frequencies of the positions) lie in the graph.

Activations are rank 2, [rows, units]: rows are frames in the encoder and beams in the decoder (batch 1 needs no batch axis).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import TensorProto, helper

from paredown.bundle.graphs.architecture import Activation
from paredown.bundle.graphs.blocked_product import DOMAIN as FUNCTIONS
from paredown.bundle.graphs.blocked_product import BlockedProduct
from paredown.bundle.graphs.precision import place_casts
from paredown.runtime.bundle_files import ROUNDING, Form, Initializer
from paredown.space.configuration import Kernel
from paredown.space.reduced import bias_name

OPSET, IR_VERSION = 20, 10
MICROSOFT = "com.microsoft"
LAYER_NORM_EPSILON = 1e-12  # ESPnet's LayerNorm
_DTYPES: dict[Form, int] = {
    "half": TensorProto.FLOAT16,
    "half_transposed": TensorProto.FLOAT16,
    "codes": TensorProto.INT8,
    "codes_transposed": TensorProto.INT8,
    "nbits4": TensorProto.UINT8,
    "nbits8": TensorProto.UINT8,
    "rounding": TensorProto.BOOL,
    "range_zeros": TensorProto.UINT8,
}
_LOCATION = "weights"
RANGE_PARTS: tuple[tuple[str, Form], ...] = (("scale", "range_steps"), ("zero", "range_zeros"))


def ranges_name(graph: str) -> str:
    """The tensor [ranges, 2] of the static ranges of a graph: of each row the smallest and the largest number."""
    return f"{graph}.input_ranges"


@dataclass(frozen=True)
class QuantizedValue:
    """Names of values: activations as uint8 `codes`; a number is scale * (code - zero)."""

    codes: str
    scale: str
    zero: str


@dataclass(frozen=True)
class Graph:
    """An ONNX graph without weights and the initializers that it wants.

    `ranges`: the layers whose static ranges of activations it takes, in the order of its table of them (`ranges_name`).
    """

    model: onnx.ModelProto
    initializers: tuple[Initializer, ...]
    ranges: tuple[str, ...] = ()

    def serialize(self) -> bytes:
        """The protobuf, the same bytes for the same graph."""
        return bytes(self.model.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class WeightLayout:
    """What a builder must know of the weights: their shapes by parameter name (as stored), and by path what is computed how.

    `kernels`: what computes a layer; one that is absent computes as the graph does: in fp16 where `half`, else in fp32. `nbits`: of the
    layers of kernel "nbits" the bits of a code in the operator (4 or 8), whose blocks have `block` weights. `unfolded`: 2-d convolutions
    computed as one product of all patches, with their kernel size; their weights are stored [out, kernel * kernel * in], channels last
    (torch has [out, in, kernel, kernel]). `static`: int8 products round activations by ranges that are known before.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    unfolded: Mapping[str, int] = field(default_factory=dict)
    nbits: Mapping[str, int] = field(default_factory=dict)
    block: int = 32
    half: bool = False
    static: bool = False

    def kernel(self, path: str) -> Kernel:
        """The kernel of a layer, or that of any other parameter."""
        return self.kernels.get(path, "fp16" if self.half else "fp32")

    def has(self, path: str) -> bool:
        """Whether a parameter `path` or a layer `path` is there, whole or in two factors."""
        return path in self.shapes or f"{path}.weight" in self.shapes or self.is_factorized(path)

    def is_factorized(self, path: str) -> bool:
        """Whether a layer is there as two factors, `path.down` and behind it `path.up`."""
        return f"{path}.up.weight" in self.shapes

    def outputs(self, path: str) -> int:
        """Number of output channels of a layer."""
        return self.shapes[f"{path}.weight"][0]


@dataclass
class GraphBuilder:
    """Collects the nodes of one graph; every method adds nodes and returns the name of the value they compute."""

    name: str
    layout: WeightLayout
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _initializers: dict[str, Initializer] = field(default_factory=dict)
    _functions: dict[str, onnx.FunctionProto] = field(default_factory=dict)
    _rounded: dict[str, QuantizedValue] = field(default_factory=dict)
    _ranges: list[str] = field(default_factory=list)

    def input(self, name: str, dims: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        """Declare a graph input; a dimension is a number or the name of a free one."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, list(dims)))
        return name

    def output(self, value: str, name: str, dims: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> None:
        """Make a value a graph output called `name`: the node that computes it writes that name."""
        for node in self._nodes:
            for names in (node.input, node.output):
                for index, entry in enumerate(names):
                    if entry == value:
                        names[index] = name
        self._outputs.append(helper.make_tensor_value_info(name, dtype, list(dims)))

    def node(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.node_outputs(operator, inputs, 1, domain, **attributes)[0]

    def node_outputs(self, operator: str, inputs: Sequence[str], count: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        name = f"{operator}_{len(self._nodes)}"
        outputs = [name] if count == 1 else [f"{name}:{index}" for index in range(count)]
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, domain=domain, **attributes))
        return outputs

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """A small constant of the structure, stored in the graph once however often it is used."""
        array: NDArray[Any] = np.asarray(values, dtype)
        short = array.size <= 8
        text = "_".join(map(str, array.reshape(-1).tolist())) if short else hashlib.sha256(array.tobytes()).hexdigest()[:8]
        name = f"constant_{array.dtype}_{'x'.join(map(str, array.shape))}:{text}"
        self._tensors.setdefault(name, onnx.numpy_helper.from_array(array, name))
        return name

    def parameter(self, name: str, shape: tuple[int, ...] | None = None, form: Form | None = None) -> str:
        """A parameter as it is, in torch layout or in another shape of the same size; float16 where its layer computes so, else float32."""
        if form is None:
            form = "half" if self.layout.kernel(name.rpartition(".")[0]) == "fp16" else "float"
        return self._external(Initializer(name, form, (name,), shape=shape), shape or self.layout.shapes[name])

    def linear(self, x: str, *paths: str, factors: Sequence[float] | None = None, rank: int = 2) -> str:
        """x [rows, in] through the linear layers `paths`, their outputs side by side: [rows, sum of out]. A factor scales a layer's output.

        Adjacent layers of one kernel make one product. Convolutions of kernel size 1 count as linear. `rank` 3: x is [batch, rows, in].
        A factorized layer, which has no others beside it, makes two products, nothing between them; the second one has factor and bias.
        """
        if self.layout.is_factorized(paths[0]):
            (path,) = paths
            return self.linear(self._product(x, (f"{path}.down",), (1.0,), rank), f"{path}.up", factors=factors, rank=rank)
        scaled = zip(paths, factors or [1.0] * len(paths), strict=True)
        runs = [tuple(run) for _, run in groupby(scaled, lambda layer: (self.layout.kernel(layer[0]), self.layout.nbits.get(layer[0])))]
        parts = [self._product(x, tuple(path for path, _ in run), tuple(factor for _, factor in run), rank) for run in runs]
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=-1)

    def _product(self, x: str, paths: Sequence[str], factors: tuple[float, ...], rank: int) -> str:
        """Layers of one kernel, as in `linear`."""
        given = () if all(factor == 1.0 for factor in factors) else factors
        kernel = self.layout.kernel(paths[0])
        half = kernel == "fp16"
        bias = self._joined(paths, "bias", "half" if half else "float", given) if self.layout.has(bias_name(paths[0])) else ""
        if kernel == "int8" and self.layout.static:
            return self.quantized_linear(self.quantize(x, paths[0]), *paths, factors=given)
        if kernel == "int8":
            codes, scales = self._joined(paths, "weight", "codes_transposed"), self._joined(paths, "weight", "scales", given)
            return self.node("DynamicQuantizeMatMul", [x, codes, scales, "", bias], MICROSOFT)
        if kernel == "nbits":
            return self._blocked_product(x, paths, given, bias)
        weight = self._joined(paths, "weight", "half_transposed" if half else "float_transposed", given)
        if bias and rank == 2:
            return self.node("Gemm", [x, weight, bias])
        product = self.node("MatMul", [x, weight])
        return self.node("Add", [product, bias]) if bias else product

    def _blocked_product(self, x: str, paths: Sequence[str], factors: tuple[float, ...], bias: str) -> str:
        """By MatMulNBits; the scale of a channel is that of each of its blocks."""
        bits, block = self.layout.nbits[paths[0]], self.layout.block
        names = tuple(f"{path}.weight" for path in paths)
        channels, units = sum(self.layout.outputs(path) for path in paths), prod(self.layout.shapes[names[0]][1:])
        blocks = -(-units // block)
        joined = _joined_name(paths, "weight")
        shape = (channels, blocks, block * bits // 8)
        codes = self._external(Initializer(f"{joined}.nbits", "nbits8" if bits == 8 else "nbits4", names, shape=shape), shape)
        scales = self._external(Initializer(f"{joined}.scales", "block_scales", names, factors, shape[:2]), shape[:2])
        product = BlockedProduct(units, channels, bits, block, bool(bias))
        self._functions.setdefault(product.name, product.to_function(OPSET))
        rounding = self._external(Initializer(ROUNDING, "rounding", ()), ())
        return self.node(product.name, [x, codes, scales, *([bias] if bias else []), rounding], FUNCTIONS)

    def quantize(self, x: str, path: str) -> QuantizedValue:
        """Activations as uint8, by the range of all their numbers at each call, or by the static one of what the layer `path` reads.

        Layers that read one value have one range, so it is quantized once.
        """
        if not self.layout.static:
            return QuantizedValue(*self.node_outputs("DynamicQuantizeLinear", [x], 3))
        if x not in self._rounded:
            scale, zero = f"input_scale:{len(self._ranges)}", f"input_zero:{len(self._ranges)}"
            self._ranges.append(path)
            self._rounded[x] = QuantizedValue(self.node("QuantizeLinear", [x, scale, zero]), scale, zero)
        return self._rounded[x]

    def quantized_linear(self, x: QuantizedValue, *paths: str, factors: tuple[float, ...] = ()) -> str:
        """Linear layers in int8, as in `linear`, over activations that are quantized already: uint8 [rows, in]."""
        codes, scales = self._joined(paths, "weight", "codes_transposed"), self._joined(paths, "weight", "scales", factors)
        bias = self._joined(paths, "bias", "float", factors) if self.layout.has(bias_name(paths[0])) else ""
        return self.node("MatMulIntegerToFloat", [x.codes, codes, x.scale, scales, x.zero, "", bias], MICROSOFT)

    def concat_linear(self, x: str, branch: str, path: str, rank: int = 2) -> str:
        """ESPnet's `concat_after`: where the layer `path` is there, linear(concat(x, branch)), else the branch."""
        if not self.layout.has(path):
            return branch
        return self.linear(self.node("Concat", [x, branch], axis=-1), path, rank=rank)

    def embedding(self, ids: str, path: str, factor: float) -> str:
        """Rows of an embedding times `factor`: ids [rows] -> [rows, units]."""
        tokens, units = self.layout.shapes[f"{path}.weight"]
        names = (f"{path}.weight",)
        kernel = self.layout.kernel(path)
        if kernel in ("fp32", "fp16"):
            form: Form = "half" if kernel == "fp16" else "float"
            return self.node(
                "Gather", [self._external(Initializer(names[0], form, names, factors=(factor,)), (tokens, units)), ids], axis=0
            )
        codes = self._external(Initializer(f"{names[0]}.codes", "codes", names), (tokens, units))
        column = Initializer(f"{names[0]}.scales_column", "scales_column", names, factors=(factor,))
        scales = self.node("Gather", [self._external(column, (tokens, 1)), ids], axis=0)
        rows = self.node("Cast", [self.node("Gather", [codes, ids], axis=0)], to=TensorProto.FLOAT)
        return self.node("Mul", [rows, scales])

    def layer_norm(self, x: str, path: str) -> str:
        """Layer normalization over the last axis."""
        names = [self.parameter(f"{path}.{part}", form="float") for part in ("weight", "bias")]
        return self.node("LayerNormalization", [x, *names], axis=-1, epsilon=LAYER_NORM_EPSILON)

    def skip_layer_norm(self, x: str, branch: str, path: str) -> tuple[str, str]:
        """Layer normalization of x + branch, and that sum.

        Two nodes on purpose: onnxruntime's fused SkipLayerNormalization takes three times as long on a CPU (and is not fused at rank 2).
        """
        total = self.node("Add", [x, branch])
        return self.layer_norm(total, path), total

    def activation(self, x: str, kind: Activation) -> str:
        """An ESPnet activation; swish is one fused operator in onnxruntime."""
        if kind == "identity":
            return x
        if kind == "swish":
            return self.node("QuickGelu", [x], MICROSOFT, alpha=1.0)
        if kind == "hardtanh":
            return self.node("Clip", [x, self.constant(-1.0, np.float32), self.constant(1.0, np.float32)])
        return self.node(kind.capitalize(), [x])

    def reshape(self, x: str, *dims: int) -> str:
        """Reshape; -1 for the one free dimension."""
        return self.node("Reshape", [x, self.constant(dims)])

    def build(self) -> Graph:
        """The finished graph, checked for nothing: onnxruntime checks it when it loads, the parity gate when it runs."""
        nodes, tensors = [*self._split_ranges(), *self._nodes], self._tensors
        if self.layout.half or "fp16" in self.layout.kernels.values():
            typed = place_casts(nodes, self._inputs, self._outputs, tensors, self.layout.half)
            nodes, tensors = typed.nodes, typed.tensors
        graph = helper.make_graph(nodes, self.name, self._inputs, self._outputs, initializer=list(tensors.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        opsets += [helper.make_opsetid(FUNCTIONS, 1)] if self._functions else []
        functions = list(self._functions.values())
        model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=IR_VERSION, producer_name="paredown")
        return Graph(model, tuple(self._initializers.values()), tuple(self._ranges))

    def _split_ranges(self) -> list[onnx.NodeProto]:
        """Nodes that give every static range its scale and zero point; onnxruntime computes them when it loads the graph."""
        found, count = [], len(self._ranges)
        for part, form in RANGE_PARTS if count else ():
            table = self._external(Initializer(f"{self.name}.input_{part}s", form, (ranges_name(self.name),)), (count,))
            outputs = [f"input_{part}:{row}" for row in range(count)]
            found.append(helper.make_node("Split", [table], outputs, axis=0, num_outputs=count))
        return found

    def _joined(self, paths: Sequence[str], part: str, form: Form, factors: tuple[float, ...] = ()) -> str:
        """The weights or biases of one or more layers as one initializer, joined along the output channels."""
        names = tuple(bias_name(path) if part == "bias" else f"{path}.{part}" for path in paths)
        channels = sum(self.layout.shapes[name][0] for name in names)
        others = prod(self.layout.shapes[names[0]][1:])
        joined = _joined_name(paths, part)
        if not form.endswith("_transposed"):
            suffix = f".{form}" if form == "scales" else ""
            return self._external(Initializer(joined + suffix, form, names, factors), (channels,))
        dims = (others, channels)
        shape = dims if len(self.layout.shapes[names[0]]) > 2 else None
        suffix = ".codes" if form == "codes_transposed" else ""
        return self._external(Initializer(joined + suffix, form, names, factors, shape), dims)

    def _external(self, initializer: Initializer, dims: Sequence[int]) -> str:
        name = initializer.name
        if self._initializers.setdefault(name, initializer) != initializer:
            raise ValueError(f"two initializers of one graph must not share the name {name}")
        if name not in self._tensors:
            dtype = _DTYPES.get(initializer.form, TensorProto.FLOAT)
            tensor = TensorProto(name=name, data_type=dtype, dims=list(dims), data_location=TensorProto.EXTERNAL)
            tensor.external_data.add(key="location", value=_LOCATION)
            self._tensors[name] = tensor
        return name


def _joined_name(paths: Sequence[str], part: str) -> str:
    """The name of what the parameters `part` of one or more layers make together."""
    return f"{paths[0]}.{part}" if len(paths) == 1 else f"{paths[0]}+{len(paths) - 1}.{part}"
