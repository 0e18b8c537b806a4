"""Training a supernet: one network whose feed-forwards work at every width, because each step draws one at random for each of them.

A narrower feed-forward is a prefix of the wider one (weight sharing), so the network's units must stand in the order of their importance.
Sources: lossless 4-bit Conformer, 3.2 (first stage of the pipeline); single path one-shot search with uniform sampling (Guo et al. 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from espnet.nets.pytorch_backend.transformer.positionwise_feed_forward import PositionwiseFeedForward
from torch import Tensor

from paredown.models.network import Network


class PrefixFeedForward(torch.nn.Module):
    """ESPnet's feed-forward of which the first `units` hidden units compute; the same weights under the same names."""

    def __init__(self, original: PositionwiseFeedForward) -> None:
        super().__init__()
        self.w_1 = original.w_1
        self.w_2 = original.w_2
        self.dropout = original.dropout
        self.activation = original.activation
        self.units: int = original.w_1.out_features

    def forward(self, values: Tensor) -> Tensor:
        """[…, width] -> the same shape."""
        first = torch.nn.functional.linear(values, self.w_1.weight[: self.units], self.w_1.bias[: self.units])
        return torch.nn.functional.linear(self.dropout(self.activation(first)), self.w_2.weight[:, : self.units], self.w_2.bias)


def open_widths(network: Network) -> dict[str, PrefixFeedForward]:
    """Makes every feed-forward of the network one of variable width, in place; gives them by path, in network order."""
    found = {path: module for path, module in network.named_modules() if isinstance(module, PositionwiseFeedForward)}
    opened = {path: PrefixFeedForward(module) for path, module in found.items()}
    for path, module in opened.items():
        network.set_submodule(path, module.train(found[path].training))
    return opened


@dataclass(frozen=True)
class Sampling:
    """How a step draws widths: all feed-forwards whole, all at their smallest, all at one share of their own, else each by itself.

    Each by itself: candidate i of n has a probability that grows or falls as exp(tilt * i / (n - 1)), `tilt` drawn once a step from
    [-most_tilted, most_tilted], so that small networks and large ones are all trained, not only those of middle size.
    """

    whole: float = 0.1
    smallest: float = 0.05
    same: float = 0.1
    most_tilted: float = 4.0

    def __post_init__(self) -> None:
        shares = (self.whole, self.smallest, self.same)
        if min(shares) < 0 or sum(shares) > 1 or self.most_tilted < 0:
            raise ValueError(f"shares of steps must be at least 0 and at most 1 together, and a tilt at least 0, got {self}")

    def draw(self, counts: Sequence[int], rng: np.random.Generator) -> list[int]:
        """The index of a candidate for each feed-forward, of `counts` candidates each."""
        kind, position = rng.random(), rng.random()
        if kind < self.whole:
            return [count - 1 for count in counts]
        if kind < self.whole + self.smallest:
            return [0 for _ in counts]
        if kind < self.whole + self.smallest + self.same:
            return [min(count - 1, int(position * count)) for count in counts]
        tilt = self.most_tilted * (2.0 * position - 1.0)
        return [int(rng.choice(count, p=_tilted(count, tilt))) for count in counts]


def _tilted(count: int, tilt: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weights = np.exp(tilt * np.linspace(0.0, 1.0, count))
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = weights / weights.sum()
    return shares


class SampledWidths:
    """What the trainer calls before each step: widths that hang on (seed, step) alone, so that a resumed run draws the same ones."""

    def __init__(
        self, layers: Mapping[str, PrefixFeedForward], candidates: Mapping[str, Sequence[int]], seed: int, sampling: Sampling | None = None
    ) -> None:
        self._layers, self._candidates, self._seed = layers, candidates, seed
        self._sampling = Sampling() if sampling is None else sampling

    def __call__(self, step: int) -> None:
        """Sets the widths of this step."""
        rng = np.random.default_rng([self._seed, step])
        drawn = self._sampling.draw([len(self._candidates[path]) for path in self._layers], rng)
        for (path, layer), index in zip(self._layers.items(), drawn, strict=True):
            layer.units = self._candidates[path][index]
