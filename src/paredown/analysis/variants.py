"""One layer in several variants at once: they share every pass, side by side along the batch axis, each with its own weight."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Variants:
    """A layer (linear, convolution or embedding) with several weights to stand in for its own. Use it as a context manager.

    While it is entered, row i of the layer's input is given weight i; an input of one row is given to every weight.
    """

    def __init__(self, module: torch.nn.Module, weights: Sequence[Tensor]) -> None:
        self._module = module
        self._weights = [torch.nn.Parameter(weight, requires_grad=False) for weight in weights]
        self._active = self._weights

    def __enter__(self) -> "Variants":
        self._own, self._plain = self._module.weight, self._module.forward
        self._module.forward = self._forward
        return self

    def __exit__(self, *_: object) -> None:
        del self._module.forward
        self._module.weight = self._own

    def __len__(self) -> int:
        return len(self._weights)

    def run(self, side_by_side: bool, compute: Callable[[int], Tensor]) -> Tensor:
        """The results of all variants, [variants, ...]: of one pass `compute(len(self))`, or of a pass `compute(1)` for each."""
        if side_by_side:
            return compute(len(self))
        results = []
        for weight in self._weights:
            with self._only(weight):
                results.append(compute(1))
        return torch.cat(results)

    @contextmanager
    def _only(self, weight: torch.nn.Parameter) -> Iterator[None]:
        self._active = [weight]
        try:
            yield
        finally:
            self._active = self._weights

    def _forward(self, inputs: Tensor) -> Tensor:
        rows, outputs = inputs.expand(len(self._active), *inputs.shape[1:]), []
        for weight, row in zip(self._active, torch.split(rows, 1), strict=True):
            self._module.weight = weight
            outputs.append(self._plain(row))
        return torch.cat(outputs)
