"""A torch network in the shapes of a compressed model: narrower feed-forwards, fewer heads, two factors in the place of a matrix."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from paredown.space.inventory import Inventory
from paredown.space.reduced import bias_name, original_path

if TYPE_CHECKING:
    from paredown.models.network import Network


class Factorized(torch.nn.Module):
    """A linear layer of two factors: up(down(x)) + bias."""

    def __init__(self, inputs: int, rank: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.down = _make_linear(inputs, rank, False)
        self.up = _make_linear(rank, outputs, bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.up(self.down(x))
        return found


def reshape_network(network: "Network", reduced: Inventory) -> None:
    """Give the modules of a network, in place, the shapes of a reduced inventory (original block indices); new weights are not set."""
    for layer in reduced.layers:
        path = original_path(layer.path)
        whole: Any = network.get_submodule(path)
        if layer.path == f"{path}.down":
            outputs = reduced.by_path[f"{path}.up"].channels
            _replace(network, path, Factorized(layer.shape[1], layer.channels, outputs, whole.bias is not None))
        elif layer.path == path and tuple(whole.weight.shape) != layer.shape:
            _replace(network, path, _make_linear(layer.shape[1], layer.channels, whole.bias is not None))
    for path, heads in reduced.heads:
        attention: Any = network.get_submodule(path)
        if attention.h != heads:
            attention.h = heads
            for name in ("pos_bias_u", "pos_bias_v"):
                if hasattr(attention, name):
                    setattr(attention, name, torch.nn.Parameter(torch.zeros(heads, attention.d_k)))


def bias_names(reduced: Inventory) -> dict[str, str]:
    """Of the biases of a compressed model, by their name, the name in the reshaped network: behind two factors the second has it."""
    return {bias_name(layer.path): f"{layer.path}.bias" for layer in reduced.layers}


def _replace(network: "Network", path: str, module: torch.nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)


def _make_linear(inputs: int, outputs: int, bias: bool) -> torch.nn.Linear:
    """Without drawing weights, so that torch's generator stays as it is."""
    made: torch.nn.Linear = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, bias=bias)  # type: ignore[no-untyped-call]
    return made
