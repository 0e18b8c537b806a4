"""Layers that compute a mixture of all their candidates at the cost of one: candidates are prefixes, so their mixture is a soft mask.

With h the hidden units (or, of a matrix, its singular directions) and candidates n_1 < n_2 < …, candidate i uses the first n_i of them:

    sum_i lambda_i (W_2 [h_1 … h_{n_i}] + b)  =  W_2 (m * h) + b        m_j = sum of lambda_i over all i with n_i > j

exactly, because lambda sums to 1 (Eq. 2 of the lossless 4-bit Conformer paper, with weight sharing).
"""

from collections.abc import Sequence

import torch
from espnet.nets.pytorch_backend.transformer.positionwise_feed_forward import PositionwiseFeedForward
from torch import Tensor

from paredown.analysis.darts.candidates import Choice
from paredown.models.network import Network


class SoftLayer(torch.nn.Module):
    """A layer with a soft mask over its units; `weigh` sets it."""

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self.choice = choice
        self._prefixes = prefix_masks(choice.candidates)
        self.mask: Tensor = torch.ones(self._prefixes.shape[1])

    def weigh(self, weights: Tensor) -> None:
        """Architecture weights lambda [candidates], or [utterances, candidates] for another mixture in each row of a batch."""
        mask = weights @ self._prefixes.to(weights.dtype)
        self.mask = mask if mask.dim() == 1 else mask[:, None, :]


class SoftFeedForward(SoftLayer):
    """ESPnet's feed-forward with a soft mask on its hidden units."""

    def __init__(self, original: PositionwiseFeedForward, choice: Choice) -> None:
        super().__init__(choice)
        self.w_1, self.w_2, self.activation = original.w_1, original.w_2, original.activation

    def forward(self, values: Tensor) -> Tensor:
        """[utterances, positions, width] -> the same shape; no dropout: its weights are not trained."""
        hidden: Tensor = self.activation(self.w_1(values))
        output: Tensor = self.w_2(hidden * self.mask.to(hidden.dtype))
        return output


class SoftFactors(SoftLayer):
    """A linear layer as the product of two factors (its singular value decomposition) with a soft mask between them."""

    def __init__(self, original: torch.nn.Linear, choice: Choice) -> None:
        super().__init__(choice)
        left, values, right = torch.linalg.svd(original.weight.detach().double(), full_matrices=False)
        self.down = torch.nn.Parameter(right.to(original.weight.dtype), requires_grad=False)
        self.up = torch.nn.Parameter((left * values).to(original.weight.dtype), requires_grad=False)
        self.bias = original.bias

    def forward(self, values: Tensor) -> Tensor:
        """[utterances, positions, in] -> [utterances, positions, out]."""
        between = torch.nn.functional.linear(values, self.down)
        return torch.nn.functional.linear(between * self.mask.to(between.dtype), self.up, self.bias)


def prefix_masks(candidates: Sequence[int]) -> Tensor:
    """[candidates, units]: 1 where a candidate uses a unit, the first ones; 0 elsewhere."""
    return (torch.arange(candidates[-1])[None] < torch.tensor(candidates)[:, None]).float()


def soften(network: Network, choices: Sequence[Choice]) -> tuple[SoftLayer, ...]:
    """Puts soft layers, all masks at 1, in the places of the choices' feed-forwards or linear layers; raises ValueError for others."""
    softened = []
    for choice in choices:
        original = network.get_submodule(choice.path)
        soft: SoftLayer
        if isinstance(original, PositionwiseFeedForward):
            soft = SoftFeedForward(original, choice)
        elif isinstance(original, torch.nn.Linear):
            soft = SoftFactors(original, choice)
        else:
            raise ValueError(f"a choice is of a feed-forward or of a linear layer, got {type(original).__name__} at {choice.path}")
        network.set_submodule(choice.path, soft.eval())
        softened.append(soft)
    return tuple(softened)
