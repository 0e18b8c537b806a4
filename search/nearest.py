"""How far apart two configurations are, by what training made of one that the other can take."""

from collections.abc import Iterator, Sequence
from typing import Any

from paredown.search.trial import Trial
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory

FARTHEST = 0.5  # what shares less than half of its weights starts from the model's own


def distance(inventory: Inventory, one: Configuration, other: Configuration) -> float:
    """Share in [0, 1] of the model's weights that lie in layers whose block, width, heads or rank differ, or that one alone sets to zero.

    Symmetric; 0 where both leave the same of the model. Bits count for nothing: training that they take part in starts from weights.
    """
    total, differing = 0, 0.0
    shares = one.sparsity_of, other.sparsity_of
    for layer, here, there in zip(inventory.layers, _shapes(inventory, one), _shapes(inventory, other), strict=True):
        total += layer.weights
        if here != there:
            differing += layer.weights
        elif here is not None:
            # Zeros are ranked over a group, so those of the smaller share are nearly all among those of the larger.
            differing += layer.weights * abs(shares[0].get(layer.group, 0.0) - shares[1].get(layer.group, 0.0))
    return differing / total


def _shapes(inventory: Inventory, configuration: Configuration) -> Iterator[Any]:
    """Of every layer what decides its shape and which of its rows and columns are left; None in a dropped block."""
    widths, heads, ranks = configuration.width_of, configuration.heads_of, configuration.rank_of
    for layer in inventory.layers:
        module = layer.path.rpartition(".")[0]
        yield (widths.get(module), heads.get(module), ranks.get(layer.path)) if is_kept(layer.path, configuration) else None


def find_nearest(inventory: Inventory, configuration: Configuration, trials: Sequence[Trial]) -> Trial | None:
    """Of these trials the one whose configuration is nearest, None where all are farther than half of the weights.

    Among equally near ones those that hear the same input come first, then the later one, whose training builds on more.
    """
    ranked = [
        (distance(inventory, configuration, trial.configuration), trial.configuration.input != configuration.input, -trial.number, trial)
        for trial in trials
    ]
    if not ranked:
        return None
    best = min(ranked, key=lambda entry: entry[:3])
    return best[3] if best[0] <= FARTHEST else None
