"""Puts weights into a graph at their true width, with the operators that expand them: an ONNX file that needs no paredown.

onnxruntime computes what depends on constants alone when it loads a file, so that of these operators nothing is left but the arrays that
paredown's runtime would have handed over, bit for bit. A tensor of N weights lies in the graph as planes of bytes, one a bit:

```
plane p   uint8 [1, R], R = ceil(N / 8); weight i = k R + j is bit k of byte j: unlike in weights.bin, so that (plane >> k) & 1 is R weights
dense     n planes of the codes in two's complement; the sign's plane fills all upper bits; 8 bits lie there as they are
sparse    a plane of the mask, n planes of the K survivors behind one 0; weight i is survivor (number of survivors up to i) * mask i
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import TensorProto, helper

from paredown.runtime.bundle_files import FLOATS, Initializer, TensorRecord
from paredown.runtime.weights import Weights

Codes = NDArray[np.int8]


def fill_graph(model: onnx.ModelProto, wanted: Sequence[Initializer], weights: Weights, records: Mapping[str, TensorRecord]) -> None:
    """Replace every initializer that lies outside of the model by the same weights inside of it.

    `wanted` says how paredown's runtime makes them of the tensors in `weights`, which `records` describe by name.
    """
    filling = _Filling(weights, records)
    for entry in wanted:
        filling.add(entry)
    names = {entry.name for entry in wanted}
    inside = [tensor for tensor in model.graph.initializer if tensor.name not in names]
    nodes = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend([*inside, *filling.tensors.values()])
    model.graph.node.extend([*filling.nodes, *nodes])


@dataclass
class _Filling:
    """Nodes and tensors that together make the weights of one graph."""

    weights: Weights
    records: Mapping[str, TensorRecord]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _codes: dict[str, str] = field(default_factory=dict)

    def add(self, entry: Initializer) -> None:
        """Make one weight under its own name: of packed codes where that takes fewer bytes, else as the runtime makes it."""
        if entry.form == "block_scales":
            self._add_block_scales(entry)
        elif "scales" in entry.form or not self._gains(entry):
            (array,) = self.weights.initializers((entry,)).values()
            self.tensors[entry.name] = onnx.numpy_helper.from_array(array, entry.name)
        else:
            shaped = self._shape_blocks if entry.form.startswith("nbits") else self._shape
            self._rename(shaped(entry, self._join(entry)), entry.name)

    def _gains(self, entry: Initializer) -> bool:
        """Whether the codes, or the numbers of half precision, weigh less than the weight that they become."""
        records = [self.records[name] for name in entry.tensors]
        if all(record.kind in FLOATS for record in records):
            return entry.form.startswith("float") and any(record.kind == "half" and len(record.shape) > 1 for record in records)
        width = {"codes": 8, "codes_transposed": 8, "nbits4": 4, "nbits8": 8}.get(entry.form, 32)
        return any(record.kind == "sparse" or record.bits != width for record in records)

    def _join(self, entry: Initializer) -> str:
        """The tensors of a weight side by side along axis 0, int8 codes or floats."""
        factors = entry.factors or (1.0,) * len(entry.tensors)
        coded = entry.form.startswith(("codes", "nbits"))
        parts = [self._code(name) if coded else self._dequantize(name, factor) for name, factor in zip(entry.tensors, factors, strict=True)]
        return parts[0] if len(parts) == 1 else self._node("Concat", parts, axis=0)

    def _shape(self, entry: Initializer, joined: str) -> str:
        """Joined tensors in the form and shape of the weight; see `paredown.runtime.weights`."""
        if entry.form.startswith("half"):
            joined = self._cast(joined, TensorProto.FLOAT16)
        shape = self.records[entry.tensors[0]].shape
        if entry.form.endswith("_transposed"):
            if len(shape) > 2:
                joined = self._reshape(joined, (-1, shape[1]))
            joined = self._node("Transpose", [joined], perm=[1, 0])
        return joined if entry.shape is None else self._reshape(joined, entry.shape)

    def _shape_blocks(self, entry: Initializer, joined: str) -> str:
        """Joined codes as MatMulNBits takes them; see `paredown.runtime.weights.pack_blocks`."""
        assert entry.shape is not None  # checked when the initializer was made
        out, blocks, nbytes = entry.shape
        bits = int(entry.form.removeprefix("nbits"))
        columns = int(np.prod(self.records[entry.tensors[0]].shape[1:]))
        codes = self._cast(self._reshape(joined, (out, columns)), TensorProto.UINT8)
        missing = blocks * nbytes * 8 // bits - columns
        if missing:
            codes = self._node("Concat", [codes, self._constant(np.zeros((out, missing)), np.uint8)], axis=1)
        # Adding the zero point 2^(bits-1) to the lowest bits of two's complement flips its sign's bit.
        unsigned = self._node("BitwiseXor", [codes, self._constant(1 << (bits - 1), np.uint8)])
        if bits == 8:
            return self._reshape(unsigned, entry.shape)
        low = self._node("BitwiseAnd", [unsigned, self._constant(15, np.uint8)])
        pairs = self._reshape(low, (out, blocks, nbytes, 2))
        even, odd = (self._node("Gather", [pairs, self._constant(place)], axis=3) for place in (0, 1))
        return self._node("BitwiseOr", [even, self._shift(odd, 4, "LEFT")])

    def _add_block_scales(self, entry: Initializer) -> None:
        """The scale of a channel once, repeated for each of its blocks by the graph."""
        assert entry.shape is not None  # checked when the initializer was made
        (array,) = self.weights.initializers((entry,)).values()
        column = self._constant(array.reshape(entry.shape)[:, :1], np.float32, f"{entry.name}.column")
        self._rename(self._node("Expand", [column, self._constant(entry.shape)]), entry.name)

    def _dequantize(self, name: str, factor: float) -> str:
        """A tensor as float32: as stored, or codes times scales; then times the factor. In the order in which the runtime multiplies."""
        record = self.records[name]
        if record.kind == "raw":
            return self._constant(self.weights.values(name) * np.float32(factor), np.float32, f"{name}*{factor}")
        if record.kind == "half":
            numbers = self._cast(self._constant(self.weights.values(name), np.float16, f"{name}.half"), TensorProto.FLOAT)
            return numbers if factor == 1.0 else self._node("Mul", [numbers, self._constant(factor, np.float32)])
        scales = self.weights.scales(name).reshape(-1, *[1] * (len(record.shape) - 1))
        values = self._node("Mul", [self._cast(self._code(name), TensorProto.FLOAT), self._constant(scales, np.float32, f"{name}.scales")])
        return values if factor == 1.0 else self._node("Mul", [values, self._constant(factor, np.float32)])

    def _code(self, name: str) -> str:
        """The int8 codes of a quantized tensor, in its shape; expanded once however often they are wanted."""
        if name not in self._codes:
            record, codes = self.records[name], self.weights.codes(name)
            if record.kind == "dense" and record.bits == 8:
                self._codes[name] = self._constant(codes, np.int8, f"{name}.packed")
            else:
                expand = self._expand_sparse if record.kind == "sparse" else self._expand
                flat = self._cast(expand(name, codes.reshape(-1), record.bits), TensorProto.INT8)
                self._codes[name] = self._reshape(flat, record.shape)
        return self._codes[name]

    def _expand_sparse(self, name: str, codes: Codes, bits: int) -> str:
        """Codes [N] as uint8 in two's complement, of the mask and the codes that are not masked out.

        A survivor whose code is 0 need not be told from a pruned weight.
        """
        mask = codes != 0
        survivors = self._expand(name, np.concatenate([np.zeros(1, np.int8), codes[mask]]), bits)
        alive = self._cast(self._unpack(_pack(mask.view(np.uint8)), mask.size, f"{name}.mask"), TensorProto.INT32)
        count = self._node("CumSum", [alive, self._constant(0)])
        return self._node("Gather", [survivors, self._node("Mul", [count, alive])], axis=0)

    def _expand(self, name: str, codes: Codes, bits: int) -> str:
        """Codes [N] as uint8 in two's complement, of their bit planes."""
        total = ""
        for plane in range(bits):
            bit = self._unpack(_pack(codes.view(np.uint8) >> np.uint8(plane) & np.uint8(1)), codes.size, f"{name}.plane{plane}")
            if plane == bits - 1:
                upper = self._constant(256 - (1 << plane), np.uint8)
                bit = self._node("Where", [self._cast(bit, TensorProto.BOOL), upper, self._constant(0, np.uint8)])
            elif plane:
                bit = self._shift(bit, plane, "LEFT")
            total = self._node("BitwiseOr", [total, bit]) if total else bit
        return total

    def _unpack(self, packed: NDArray[np.uint8], size: int, name: str) -> str:
        """Bits [size], uint8, of a packed plane."""
        row = self._constant(packed[None], np.uint8, name)
        shifted = self._node("BitShift", [row, self._constant(np.arange(8)[:, None], np.uint8)], direction="RIGHT")
        bits = self._reshape(self._node("BitwiseAnd", [shifted, self._constant(1, np.uint8)]), (-1,))
        if size == 8 * len(packed):
            return bits
        return self._node("Slice", [bits, self._constant([0]), self._constant([size])])

    def _shift(self, x: str, count: int, direction: str) -> str:
        return self._node("BitShift", [x, self._constant(count, np.uint8)], direction=direction)

    def _cast(self, x: str, to: int) -> str:
        return self._node("Cast", [x], to=to)

    def _reshape(self, x: str, shape: tuple[int, ...]) -> str:
        return self._node("Reshape", [x, self._constant(shape)])

    def _node(self, operator: str, inputs: list[str], **attributes: int | str | list[int]) -> str:
        name = f"expand/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _constant(self, values: ArrayLike, dtype: DTypeLike = np.int64, name: str = "") -> str:
        """A tensor in the graph: a part of a weight, under a name made of the weight's, or a small number."""
        array: NDArray[np.generic] = np.asarray(values, dtype)
        if not name:
            name = f"{array.dtype}_{'x'.join(map(str, array.shape))}:{'_'.join(map(str, array.reshape(-1)[:8].tolist()))}"
        name = f"expand/{name}"
        if name not in self.tensors:
            self.tensors[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def _rename(self, value: str, name: str) -> None:
        """Give a value that a node has just made, or one that other weights share, the name of a weight."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))


def _pack(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits [N] (0 or 1) to a plane [ceil(N / 8)]: bit k of byte j is entry k * ceil(N / 8) + j, zero beyond N."""
    row = -(-bits.size // 8)
    padded = np.zeros(8 * row, np.uint8)
    padded[: bits.size] = bits
    plane: NDArray[np.uint8] = np.packbits(padded.reshape(8, row), axis=0, bitorder="little")[0]
    return plane
