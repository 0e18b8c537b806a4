"""A network lent to training: what training puts into it besides weights is taken out again."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_RATES = ("dropout_rate", "layer_drop_rate", "stochastic_depth_rate")  # of ESPnet's modules; those of torch have `p`


@contextmanager
def borrowed(network: torch.nn.Module) -> Iterator[None]:
    """On leaving, the network has its own modules again (not the faster forms), in the modes they were in, and their memory layout."""
    children = [(module, dict(module._modules), module.training) for module in network.modules()]
    strides = [(parameter, parameter.stride()) for parameter in network.parameters()]
    try:
        yield
    finally:
        for module, modules, training in children:
            module._modules = modules
            module.training = training
        for parameter, stride in strides:
            parameter.grad = None
            if parameter.stride() != stride:
                parameter.data = torch.empty_strided(parameter.shape, stride, dtype=parameter.dtype, device=parameter.device).copy_(
                    parameter.data
                )


@contextmanager
def without_dropout(network: torch.nn.Module) -> Iterator[None]:
    """Inside, nothing is dropped at random: neither values nor whole blocks."""
    found = [(module, name, getattr(module, name)) for module in network.modules() for name in _rates(module)]
    for module, name, _ in found:
        setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, rate in found:
            setattr(module, name, rate)


def _rates(module: torch.nn.Module) -> list[str]:
    dropout = ["p"] if isinstance(module, torch.nn.modules.dropout._DropoutNd) else []
    return dropout + [name for name in _RATES if isinstance(getattr(module, name, None), float | int)]
