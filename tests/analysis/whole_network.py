"""Oracles of analyses: the whole network anew, by ESPnet's own code, for one change and one utterance at a time."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from paredown.analysis.stages import Sample
from paredown.models.network import Network
from tests.analysis.direct_kl import posteriors


def changed(network: Network, change: Callable[[Network], None]) -> Network:
    """A copy of the network of which something was changed in place."""
    copied = copy.deepcopy(network)
    with torch.no_grad():
        change(copied)
    return copied


def direct_divergence(network: Network, other: Network, samples: Sequence[Sample], sos: int) -> float:
    """Mean divergence over decoder positions plus that over each CTC's frames."""
    total = 0.0
    plain, found = ([posteriors(one, sample, sos) for sample in samples] for one in (network, other))
    for head in range(len(plain[0])):
        terms = [(p[head].exp() * (p[head] - q[head])).sum(dim=-1) for p, q in zip(plain, found, strict=True)]
        total += torch.cat(terms).mean().item()
    return total


def zero_head(path: str, head: int, heads: int) -> Callable[[Network], None]:
    """Columns of `linear_out`, one by one."""

    def change(network: Network) -> None:
        weight: Tensor = network.get_parameter(f"{path}.linear_out.weight").data
        width = weight.shape[1] // heads
        for column in range(head * width, (head + 1) * width):
            weight[:, column] = 0.0

    return change
