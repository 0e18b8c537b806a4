"""Pruned weights stay zero while the others train."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Zeros:
    """Sets pruned weights to zero, and their gradients, so that they take no part in what the gradients' norm is clipped by.

    `masks` by parameter name, True where a weight survives. Raises ValueError for a name or a shape that the network doesn't have.
    """

    def __init__(self, network: torch.nn.Module, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(network.named_parameters())
        for name, mask in masks.items():
            if name not in parameters:
                raise ValueError(f"masks must name parameters of the network, got {name!r}")
            if mask.numel() != parameters[name].numel():
                raise ValueError(f"the mask of {name} must be {list(parameters[name].shape)}, got {list(mask.shape)}")
        self._parameters: list[Tensor] = [parameters[name] for name in masks]
        self._kept = [mask.to(p.device, p.dtype).reshape(p.shape) for p, mask in zip(self._parameters, masks.values(), strict=True)]
        self.apply()

    @torch.no_grad()
    def apply(self, step: int = 0) -> None:
        """Zeros where the masks say so; to be called after each step."""
        del step
        for parameter, kept in zip(self._parameters, self._kept, strict=True):
            parameter.mul_(kept)

    @contextmanager
    def in_gradients(self) -> Iterator[None]:
        """Inside, pruned weights have gradients of zero."""
        pairs = zip(self._parameters, self._kept, strict=True)
        handles = [p.register_hook(kept.mul) for p, kept in pairs if p.requires_grad]  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
