"""How much each hidden unit of a feed-forward adds to its output, and a network whose units stand in that order.

Units that do not matter can then be cut off at the end: a narrower feed-forward is a prefix of a wider one.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paredown.models.network import Network
from paredown.space.inventory import Inventory

Importance = dict[str, NDArray[np.float64]]


def weight_importance(network: Network, inventory: Inventory) -> Importance:
    """||w_1[j, :]|| * ||w_2[:, j]|| of every hidden unit j, by the path of its feed-forward: the rule without any data."""
    found: Importance = {}
    for path in inventory.feed_forwards:
        first, second = (network.get_parameter(f"{path}.{role}.weight") for role in ("w_1", "w_2"))
        norms = torch.linalg.vector_norm(first.double(), dim=1) * torch.linalg.vector_norm(second.double(), dim=0)
        found[path] = norms.detach().numpy()
    return found


class HeardUnits:
    """Sums of squared activations of every hidden unit, while a network hears something; a context manager."""

    def __init__(self, network: Network, inventory: Inventory) -> None:
        self._network = network
        self._sums = {path: torch.zeros(units, dtype=torch.float64) for path, units in inventory.feed_forwards.items()}
        self._rows = dict.fromkeys(self._sums, 0)
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "HeardUnits":
        for path in self._sums:
            self._handles.append(self._network.get_submodule(f"{path}.w_2").register_forward_pre_hook(self._listener(path)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _listener(self, path: str) -> Callable[[torch.nn.Module, tuple[Tensor, ...]], None]:
        def listen(_module: torch.nn.Module, arguments: tuple[Tensor, ...]) -> None:
            rows = arguments[0].detach().reshape(-1, arguments[0].shape[-1])
            self._sums[path] += rows.double().square().sum(0)
            self._rows[path] += len(rows)

        return listen

    def importance(self) -> Importance:
        """Mean squared activation times the squared norm of the unit's column of `w_2`: the mean energy that the unit adds.

        Raises ValueError if the network heard nothing.
        """
        if not all(self._rows.values()):
            raise ValueError("importance needs at least one utterance, got none")
        found: Importance = {}
        for path, total in self._sums.items():
            columns = self._network.get_parameter(f"{path}.w_2.weight").detach().double().square().sum(0)
            found[path] = (total / self._rows[path] * columns).numpy()
        return found


def rank_units(importance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of units from the most to the least important; of equal ones the lower index first."""
    return np.argsort(-importance, kind="stable")


@torch.no_grad()
def order_units(network: Network, importance: Importance) -> None:
    """Puts the units of every feed-forward in the order of their importance, in place; what the network computes stays the same."""
    for path, values in importance.items():
        order = torch.from_numpy(rank_units(values))
        first, second = network.get_submodule(f"{path}.w_1"), network.get_submodule(f"{path}.w_2")
        for parameter, dim in _unit_axes(first, second):
            parameter.copy_(parameter.index_select(dim, order))


def _unit_axes(first: torch.nn.Module, second: torch.nn.Module) -> Iterable[tuple[Tensor, int]]:
    """Every parameter that has an axis of hidden units, and which."""
    yield first.get_parameter("weight"), 0
    if getattr(first, "bias", None) is not None:
        yield first.get_parameter("bias"), 0
    yield second.get_parameter("weight"), 1
