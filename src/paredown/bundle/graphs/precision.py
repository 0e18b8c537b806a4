"""Two float types in one graph: puts a Cast wherever a node wants another one than its input has.

Graphs are built as if all floats were float32; which weights are float16 is said by their initializers alone. Then here

- a node with weights computes in the type of its weights; in a graph of float32 its result goes on in float32;
- what loses too much in half precision (`_EXACT`) and the activations quantized to int8 compute in float32;
- any other node takes the type that its inputs have, float32 where they differ: so the residual stream stays in float32;
- inputs and outputs of the graph are float32.

So products, attention and activations are in half precision; the residual stream, its normalizations and the logits are in float32. With
all in half precision scores of hypotheses move by 2.5 times as much (bundled model, roundings to 11 bits behind every node). A CPU has
next to no kernels for float16: onnxruntime casts around each such node when it loads the graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Positions reach thousands, and half precision has 11 bits.
_EXACT = frozenset({"LayerNormalization", "LogSoftmax", "Sin", "Cos", "DynamicQuantizeLinear", "QuantizeLinear"})
_FOLLOWING = frozenset({"MultiHeadAttention"})  # takes the type of the graph, whatever that of its mask and its caches
_ANY_TYPE = frozenset({"Cast", "Shape"})  # take every type as it is
_LARGEST = float(np.finfo(np.float16).max)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_OUTPUTS: Mapping[str, Mapping[int, int]] = {  # types of outputs that do not follow the inputs, by position
    "Shape": {0: TensorProto.INT64},
    "TopK": {1: TensorProto.INT64},
    "QuantizeLinear": {0: TensorProto.UINT8},
    "DynamicQuantizeLinear": {0: TensorProto.UINT8, 1: TensorProto.FLOAT, 2: TensorProto.UINT8},
}


@dataclass
class TypedGraph:
    """A graph with its casts: `nodes` and `tensors` (constants in half precision join those that were given)."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)


def place_casts(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    tensors: Mapping[str, onnx.TensorProto],
    half: bool,
) -> TypedGraph:
    """The nodes, in an order in which they can run, with casts between them; `half` makes float16 the type of the graph.

    `tensors`: weights (external) and constants. Constants take the type of the node that reads them.
    """
    placer = _Placer(TypedGraph(tensors=dict(tensors)), TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    placer.types = {info.name: info.type.tensor_type.elem_type for info in inputs}
    placer.types |= {name: tensor.data_type for name, tensor in tensors.items()}
    placer.wanted = {info.name for info in outputs if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    for node in nodes:
        placer.place(node)
    used = {name for node in placer.graph.nodes for name in node.input}
    placer.graph.tensors = {name: tensor for name, tensor in placer.graph.tensors.items() if name in used}
    return placer.graph


@dataclass
class _Placer:
    graph: TypedGraph
    real: int
    types: dict[str, int] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)  # graph outputs that must be float32
    renamed: dict[str, str] = field(default_factory=dict)  # a value's name -> that of its cast to the graph's type
    casts: dict[tuple[str, int], str] = field(default_factory=dict)

    def place(self, node: onnx.NodeProto) -> None:
        """Add a node, its inputs cast to the type it computes in, and what its outputs need behind it."""
        placed = onnx.NodeProto()
        placed.CopyFrom(node)
        names = [self.renamed.get(name, name) for name in node.input]
        floats = [name for name in names if self.types.get(name) in _FLOATS]
        weights = {self.types[name] for name in floats if self._is_weight(name)}
        real = self._type_of(node, floats, weights)
        if node.op_type not in _ANY_TYPE:
            names = [self._cast(name, real) if name in floats else name for name in names]
        del placed.input[:]
        placed.input.extend(names)
        self.graph.nodes.append(placed)
        for index, name in enumerate(node.output):
            self.types[name] = self._output_type(node, index, real if floats else self.types.get(names[0], 0))
        self._finish(placed)

    def _type_of(self, node: onnx.NodeProto, floats: Sequence[str], weights: set[int]) -> int:
        if len(weights) > 1:
            raise ValueError(f"the weights of one node must have one type, got two for {node.op_type} {list(node.input)}")
        if node.op_type in _EXACT:
            return int(TensorProto.FLOAT)
        if weights:
            return next(iter(weights))
        if node.op_type in _FOLLOWING:
            return self.real
        moving = {self.types[name] for name in floats if name not in self.graph.tensors}
        return int(TensorProto.FLOAT16 if moving == {TensorProto.FLOAT16} else TensorProto.FLOAT)

    def _output_type(self, node: onnx.NodeProto, index: int, following: int) -> int:
        if node.op_type == "Cast":
            return int(node.attribute[0].i)
        if node.op_type == "ConstantOfShape":
            return int(node.attribute[0].t.data_type) if node.attribute else TensorProto.FLOAT
        return _OUTPUTS.get(node.op_type, {}).get(index, following)

    def _finish(self, node: onnx.NodeProto) -> None:
        """Behind a node in half precision: what is an output of the graph, or belongs to a graph of float32, is cast to float32."""
        for index, name in enumerate(list(node.output)):
            if self.types[name] != TensorProto.FLOAT16:
                continue
            if name in self.wanted:
                inner = f"{name}:half"
                node.output[index] = inner
                self.types |= {inner: TensorProto.FLOAT16, name: TensorProto.FLOAT}
                self.graph.nodes.append(helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT))
                if self.real == TensorProto.FLOAT16:
                    self.renamed[name] = inner
            elif self.real == TensorProto.FLOAT:
                self.renamed[name] = self._cast(name, TensorProto.FLOAT)

    def _cast(self, name: str, to: int) -> str:
        """The name of a value, weight or constant in the type `to`."""
        if self.types[name] == to:
            return name
        if (name, to) not in self.casts:
            self.casts[name, to] = self._half_constant(name) if name in self.graph.tensors else self._new_cast(name, to)
        return self.casts[name, to]

    def _new_cast(self, name: str, to: int) -> str:
        made = f"{name}:{'half' if to == TensorProto.FLOAT16 else 'float'}"
        self.graph.nodes.append(helper.make_node("Cast", [name], [made], to=to))
        self.types[made] = to
        return made

    def _half_constant(self, name: str) -> str:
        """A constant in half precision; masks of very negative numbers become its most negative one."""
        values = numpy_helper.to_array(self.graph.tensors[name])
        made = f"{name}:half"
        self.graph.tensors[made] = numpy_helper.from_array(np.clip(values, -_LARGEST, _LARGEST).astype(np.float16), made)
        self.types[made] = TensorProto.FLOAT16
        return made

    def _is_weight(self, name: str) -> bool:
        tensor = self.graph.tensors.get(name)
        return tensor is not None and tensor.data_location == TensorProto.EXTERNAL
