"""Follows a graph with the torch network, product by product.

Activations that are rounded to 8 bits cannot be compared from end to end: a difference of 1e-6 in front of a rounding now and then makes a
whole step behind it, and after some layers those steps are as large as what the rounding does in the first place. So torch and the graph
go in lockstep: at every layer torch's input is compared with the graph's, the graph's product with what that very input must give,
and then torch goes on with the graph's product. Both comparisons are tight, together they leave no part of a graph out, and a fault
shows where it is. (Torch can also go on with what its own input gives when it is rounded: the same network, on its own.)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.parity.products import Product
from paredown.bundle.parity.rounding import (
    Doubles,
    Layer,
    Rounded,
    multiply_blocks,
    multiply_codes,
    multiply_codes_saturating,
    multiply_floats,
    round_activations,
    round_to_range,
)
from paredown.compress.ranges import Range
from paredown.compress.tensors import Quantized, Tensor
from paredown.space.reduced import bias_name

if TYPE_CHECKING:
    import torch

Numbers = NDArray[Any]
# Largest difference of what goes into a product, in shares of the largest number there. Between two products lie at most a softmax (of
# scores whose error grows with them), a depthwise convolution and a few sums and norms of float32: observed 1e-6 to 8e-6. In half
# precision each of those rounds by 5e-4: observed 1e-3.
INPUT_LIMIT, HALF_INPUT_LIMIT = 1e-4, 2e-2


class ParityError(RuntimeError):
    """The graphs of a bundle do not compute what torch does: a fault of paredown (or of the processor), not of the input."""


@dataclass
class Follower:
    """Compares as torch goes along; made for one network and the graphs of one bundle.

    `products` by path; `tensors` and static `ranges`: those of the compressed model, which what is stored, packed and expanded must
    amount to. `mode`: what a layer of the network does: "follow" the graph, "round" its own input as the graph's kernel does, or "rest"
    (torch's own product).
    `half_elsewhere`: whether what is no product, a lookup or a depthwise convolution, has numbers of half precision that torch's has not.
    `input_share` and `product_share`: the largest shares of the limits that were seen; `seen`: the layers that were followed.
    """

    products: Mapping[str, Product]
    tensors: Mapping[str, Tensor]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    mode: Literal["follow", "round", "rest"] = "follow"
    half_elsewhere: bool = False
    input_share: float = 0.0
    product_share: float = 0.0
    seen: set[str] = field(default_factory=set)
    _values: Mapping[str, Numbers] = field(default_factory=dict)
    _rounded: dict[tuple[str, Range | None], Rounded] = field(default_factory=dict)
    _last: str = ""

    @classmethod
    def of(cls, products: Iterable[Product], tensors: Mapping[str, Tensor], ranges: Mapping[str, Range]) -> "Follower":
        return cls({path: product for product in products for path in product.paths}, tensors, ranges)

    def attach(self, network: "torch.nn.Module", keep: Mapping[str, Sequence[int]]) -> None:
        """Follow the layers of a network whose blocks are numbered anew, those of `keep` as 0, 1, ..."""
        for name, module in network.named_modules():
            path = original_path(name, keep)
            if path in self.products:
                module.register_forward_hook(lambda module, inputs, output, path=path: self._replace(path, module, inputs[0], output))

    def read(self, values: Mapping[str, Numbers]) -> None:
        """The values of the graph's run that torch does next."""
        self._values, self._rounded = values, {}

    @property
    def half(self) -> bool:
        """Whether any product is computed in half precision."""
        return any(product.half for product in self.products.values())

    @property
    def rounds(self) -> bool:
        """Whether any product rounds its activations to int8."""
        return any(product.kind != "float" for product in self.products.values())

    def compare(self, x: Numbers, found: Numbers, what: str) -> None:
        """Torch's numbers and the graph's, of one shape, where no product lies between; raises ParityError if they differ."""
        largest = max(float(np.abs(found).max(initial=0.0)), 1e-30)
        limit = HALF_INPUT_LIMIT if self.half or self.half_elsewhere else INPUT_LIMIT
        difference = float(np.abs(x - found).max(initial=0.0)) / largest if x.shape == found.shape else np.inf
        if not difference <= limit:
            where = f"behind the product of {self._last} and in front of" if self._last else "in front of"
            raise ParityError(f"it begins {where} the {what}, which is off by {difference:.1e} of the largest number there")
        self.input_share = max(self.input_share, difference / limit)

    def _replace(self, path: str, module: Any, given: "torch.Tensor", output: "torch.Tensor") -> "torch.Tensor | None":
        """What stands in for the output of a torch layer; None: nothing does."""
        import torch

        if self.mode == "rest":
            return None
        rows = (self._round_freely if self.mode == "round" else self._follow)(path, module, given.numpy())
        if _kernel(module):  # channels in front of frames (and bands)
            rows = rows.T
        return torch.from_numpy(np.ascontiguousarray(rows, np.float32)).reshape(output.shape)

    def _follow(self, path: str, module: Any, given: Numbers) -> Numbers:
        """The graph's product [rows, out], checked. Raises ParityError."""
        product = self.products[path]
        x, found = _rows_of(given, module), _source_rows(self._values[product.source], product, module)
        if path.endswith(".linear_pos") and len(found) == len(x) + 1:
            found = found[1:]  # in front of all relative positions stands one that only aligns them
        self.compare(x, found, f"input of {path}")
        layer, output = self._layer(path), self._output(path)[-len(x) :]
        self._check_product(path, module, found, output.astype(np.float64))
        self._last = path
        self.seen.add(path)
        bias = self.tensors.get(bias_name(path)) if layer.bias is None else None
        assert not isinstance(bias, Quantized)
        return output / np.float32(layer.factor) + (0.0 if bias is None else bias)

    def _check_product(self, path: str, module: Any, x: Numbers, found: Doubles) -> None:
        """The graph's product of a layer [rows, out] against what its own input x [rows, in] must give."""
        product, layer = self.products[path], self._layer(path)
        if product.kind == "int8":
            key = product.source, self.ranges[path] if product.static else None  # all of a call with one scale
            if key not in self._rounded:
                self._rounded[key] = self._round(path, self._values[product.source])
            rounded = self._rounded[key]
            rows = _source_rows(rounded.codes, product, module)[-len(x) :]
            possible = [multiply_codes(rows, rounded, layer)]
        else:
            numbers = x.astype(np.float64)
            possible = [multiply_floats(numbers, layer, product.half)]
            if product.kind == "nbits":  # it takes the floats where it has no int8 kernel for the processor
                possible.append(multiply_blocks(numbers, layer, product.block, product.zero))
        share = min(expected.excess(found) for expected in possible)
        if not share <= 1.0:
            why = _blame_processor(rows, rounded, layer, found) if product.kind == "int8" else ""
            raise ParityError(f"it begins in the product of {path}, which is off by {share:.1e} times its rounding{why}")
        self.product_share = max(self.product_share, share)

    def _round_freely(self, path: str, module: Any, given: Numbers) -> Numbers:
        """What torch's own input gives [rows, out], its activations rounded as the kernel of the layer does."""
        product = self.products[path]
        bias = self.tensors.get(bias_name(path))
        assert not isinstance(bias, Quantized)
        layer = Layer(self.tensors[f"{path}.weight"], bias, 1.0)
        if product.kind == "int8":
            rounded = self._round(path, given)
            return multiply_codes(_rows_of(rounded.codes, module), rounded, layer).values
        rows = _rows_of(given, module).astype(np.float64)
        if product.kind == "nbits":
            return multiply_blocks(rows, layer, product.block, product.zero).values
        return multiply_floats(rows, layer).values

    def _round(self, path: str, x: Numbers) -> Rounded:
        """All of a call with one scale: that of its own numbers, or that of the range of the layer."""
        return round_to_range(x, self.ranges[path].low, self.ranges[path].high) if self.products[path].static else round_activations(x)

    def _layer(self, path: str) -> Layer:
        """A layer as its product has it."""
        product = self.products[path]
        bias = self.tensors.get(bias_name(path)) if product.has_bias else None
        assert not isinstance(bias, Quantized)
        return Layer(self.tensors[f"{path}.weight"], bias, product.factors[product.paths.index(path)])

    def _output(self, path: str) -> Numbers:
        """The columns of a layer [rows, out] in the graph's product."""
        product = self.products[path]
        widths = [len(_codes_or_numbers(self.tensors[f"{other}.weight"])) for other in product.paths]
        index = product.paths.index(path)
        start = sum(widths[:index])
        joint = self._values[product.output]
        return joint.reshape(-1, joint.shape[-1])[:, start : start + widths[index]]


def original_path(name: str, keep: Mapping[str, Sequence[int]]) -> str:
    """The path of a module of the compressed network, whose blocks are numbered 0, 1, ..., in the model it was made from."""
    parts = name.split(".")
    if len(parts) > 2 and parts[0] in keep and parts[1] == f"{parts[0]}s":
        parts[2] = str(keep[parts[0]][int(parts[2])])
    return ".".join(parts)


def _kernel(module: Any) -> tuple[int, ...]:
    """The kernel of a convolution, empty for a linear layer."""
    kernel: tuple[int, ...] = getattr(module, "kernel_size", ())
    return kernel


def _rows_of(x: Numbers, module: Any) -> Numbers:
    """What a torch layer multiplies, [rows, in]: its input [..., in], that of a pointwise convolution [1, in, T], patches of a 2-d one."""
    if len(_kernel(module)) == 2:
        return _patches(x[0], module)
    return x[0].T if _kernel(module) else x.reshape(-1, x.shape[-1])


def _source_rows(source: Numbers, product: Product, module: Any) -> Numbers:
    """What a graph's product multiplies, [rows, in]; an unfolded int8 convolution rounds its image before it takes patches of it."""
    if product.image and len(_kernel(module)) == 2:
        return _patches(source[0] if source.ndim == 4 else source.transpose(2, 0, 1), module)
    return source.reshape(-1, source.shape[-1])


def _patches(image: Numbers, module: Any) -> Numbers:
    """Of an image [channels, T, bands] what a 2-d convolution multiplies: [T' * bands', rows * columns * channels of the kernel]."""
    windows = np.lib.stride_tricks.sliding_window_view(image, module.kernel_size, axis=(1, 2))  # [channels, T', bands', rows, columns]
    windows = windows[:, :: module.stride[0], :: module.stride[1]].transpose(1, 2, 3, 4, 0)
    return windows.reshape(windows.shape[0] * windows.shape[1], -1)


def _codes_or_numbers(weight: Tensor) -> Numbers:
    return weight.codes if isinstance(weight, Quantized) else weight


def _blame_processor(rows: NDArray[np.uint8], rounded: Rounded, layer: Layer, found: Doubles) -> str:
    """What else there is to say of a wrong int8 product: nothing, or that it is what a processor gives that cuts off its sums."""
    expected = multiply_codes(rows, rounded, layer)
    worst = int((np.abs(found - expected.values) / expected.tolerance).max(axis=1).argmax())
    cut = multiply_codes_saturating(rows[worst : worst + 1], rounded, layer)
    if not (np.abs(cut - found[worst]) <= expected.tolerance[worst]).all():
        return ""
    return ": int8 products saturate at 16 bits on this processor (it has no VNNI); layers of at most 7 bits do not reach that far"
