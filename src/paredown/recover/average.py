"""The exponential moving average of a network's weights, which is the model that training hands over."""

from collections.abc import Collection

import torch
from torch import Tensor

from paredown.recover.state import live_state


class Average:
    """A running average of every floating-point entry of a state dict (batch-norm statistics too); integers are copied.

    With decay 0 there is none: `state` is the network's own, always its latest. `names` restricts it to these parameters and buffers.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.999, names: Collection[str] | None = None) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay of the average must lie in [0, 1), got {decay}")
        self.decay = decay
        self._names = names
        current = live_state(network, names)
        self.state: dict[str, Tensor] = current if decay == 0 else {name: value.clone() for name, value in current.items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Moves the average towards the network; the first steps count more, so that the random start is forgotten."""
        if self.decay == 0:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        current = live_state(network, self._names)
        floats = [name for name, value in self.state.items() if value.is_floating_point()]
        averaged, latest = [self.state[name] for name in floats], [current[name] for name in floats]
        torch._foreach_lerp_(averaged, latest, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for name in set(self.state) - set(floats):
            self.state[name].copy_(current[name])

    @torch.no_grad()
    def hand_over(self, network: torch.nn.Module) -> None:
        """Gives the network the averaged weights."""
        for name, value in live_state(network, self._names).items():
            value.copy_(self.state[name])
