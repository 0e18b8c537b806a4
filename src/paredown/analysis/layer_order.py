"""In which order the blocks of a stack can go: greedy removal, one at a time, by the score of what is left.

Iterative layer pruning of the IWSLT 2025 paper (3.3): at each step every candidate is left out in turn, and the one without which the
model scores best is removed for good. The first and the last block are no candidates by default (`errata.md`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerOrder:
    """`removed`: block indices, the first to go first; `scores`: what the model scored after each removal, higher is better."""

    removed: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.removed) != len(self.scores) or len(set(self.removed)) != len(self.removed):
            raise ValueError(f"an order names different blocks with a score for each, got {self.removed} and {self.scores}")


def greedy_order(
    blocks: Sequence[int], score: Callable[[tuple[int, ...]], float], *, minimum: int = 1, protect_ends: bool = True
) -> LayerOrder:
    """Remove blocks until `minimum` are left, or only protected ones.

    `score(kept)` rates the model with these blocks, ascending indices; higher is better, ties go to the lowest index.
    Raises ValueError if `minimum` is below 1.
    """
    if minimum < 1:
        raise ValueError(f"at least 1 block must stay, got {minimum}")
    kept = tuple(sorted(blocks))
    protected = {kept[0], kept[-1]} if protect_ends else set()
    removed: list[int] = []
    scores: list[float] = []
    while len(kept) > minimum and (candidates := [block for block in kept if block not in protected]):
        rated = [(score(tuple(block for block in kept if block != candidate)), -candidate) for candidate in candidates]
        best, negative = max(rated)
        removed.append(-negative)
        scores.append(best)
        kept = tuple(block for block in kept if block != -negative)
    return LayerOrder(tuple(removed), tuple(scores))
