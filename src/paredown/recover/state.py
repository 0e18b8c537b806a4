"""What of a network training changes: its parameters and its statistics, by name."""

from collections.abc import Collection

import torch
from torch import Tensor


def live_state(network: torch.nn.Module, names: Collection[str] | None = None) -> dict[str, Tensor]:
    """The network's state dict, or the parameters and buffers `names` of it; the tensors share the network's memory.

    With names, state dicts are left alone: those of quantized layers hold more than tensors.
    """
    if names is None:
        return {name: value.detach() for name, value in network.state_dict().items()}
    own: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: own[name].detach() for name in names}


def trained_names(network: torch.nn.Module) -> tuple[str, ...] | None:
    """Of a network with frozen parameters: those that train, and all running statistics. None where everything trains."""
    parameters = dict(network.named_parameters())
    if all(parameter.requires_grad for parameter in parameters.values()):
        return None
    statistics = [
        f"{path}.{name}"
        for path, module in network.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        for name, _ in module.named_buffers(recurse=False)
    ]
    return tuple(name for name, parameter in parameters.items() if parameter.requires_grad) + tuple(statistics)
