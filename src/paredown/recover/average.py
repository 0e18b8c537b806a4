"""The exponential moving average of a network's weights, which is the model that training hands over."""

import torch
from torch import Tensor


class Average:
    """A running average of every floating-point entry of a state dict (batch-norm statistics too); integers are copied."""

    def __init__(self, network: torch.nn.Module, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay of the average must lie in [0, 1), got {decay}")
        self.decay = decay
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Moves the average towards the network; the first steps count more, so that the random start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = network.state_dict()
        floats = [name for name, value in self.state.items() if value.is_floating_point()]
        averaged, latest = [self.state[name] for name in floats], [current[name] for name in floats]
        torch._foreach_lerp_(averaged, latest, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for name in set(self.state) - set(floats):
            self.state[name].copy_(current[name])
