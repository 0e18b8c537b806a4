"""In which order blocks go: one at a time, always the one whose removal leaves the best score.

Iterative layer pruning of the IWSLT 2025 paper, 3.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan


@dataclass(frozen=True)
class LayerOrder:
    """`removed`: block indices in the order of removal; `scores[i]`: the score with the first i + 1 of them gone, higher is better.

    No scores where none were taken.
    """

    removed: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) not in (0, len(self.removed)) or len(set(self.removed)) != len(self.removed):
            raise ValueError(f"an order of removal needs one score for each of its different blocks, got {self.removed}, {self.scores}")


def middle_order(blocks: Sequence[int], *, protect_first_last: bool = True, minimum: int = 1) -> tuple[int, ...]:
    """The baseline of the greedy order: blocks from the middle on, towards the last one, then from the middle towards the first.

    Of six blocks with the ends protected: the third, fourth, fifth, second (IWSLT 2025 paper, Tables 3, 5 and 6). Raises ValueError if
    `minimum` is not in [1, blocks].
    """
    kept = tuple(sorted(blocks))
    if not 1 <= minimum <= len(kept):
        raise ValueError(f"blocks that stay must lie in [1, {len(kept)}], got {minimum}")
    open_ = kept[1:-1] if protect_first_last else kept
    middle = (len(kept) - 1) // 2 - int(protect_first_last)
    order = (*open_[middle:], *reversed(open_[: max(0, middle)]))
    return order[: len(kept) - minimum]


def greedy_order(
    blocks: Sequence[int],
    score: Callable[[tuple[int, ...]], float],
    *,
    protect_first_last: bool = True,
    minimum: int = 1,
    progress: Callable[[int, int], None] | None = None,
    settle: Callable[[tuple[int, ...]], None] | None = None,
) -> LayerOrder:
    """The greedy order of removal of these blocks, down to `minimum` that stay, or to the two protected ones.

    `score` is given the blocks that are kept, ascending, and says how good the model is with them alone (chrF); higher is better, of
    equal candidates the lowest index goes. Removing the first or the last block substantially degrades a model (3.3), so they are no
    candidates unless `protect_first_last` is off. `progress(done, total)` counts calls of `score`; `settle` is told the blocks that stay,
    each time before single ones are left out of them. Raises ValueError if `minimum` is not in [1, blocks], or if a score is no number.
    """
    kept = tuple(sorted(blocks))
    if not 1 <= minimum <= len(kept):
        raise ValueError(f"blocks that stay must lie in [1, {len(kept)}], got {minimum}")
    protected = {kept[0], kept[-1]} if protect_first_last else set()
    rounds = min(len(kept) - minimum, len(kept) - len(protected))
    total = sum(len(kept) - len(protected) - already for already in range(rounds))
    removed, scores, done = [], [], 0
    for _ in range(rounds):
        if settle is not None:
            settle(kept)
        found: dict[int, float] = {}
        for candidate in (block for block in kept if block not in protected):
            found[candidate] = score(tuple(block for block in kept if block != candidate))
            if isnan(found[candidate]):
                raise ValueError(f"a score must be a number, got nan without block {candidate}")
            done += 1
            if progress is not None:
                progress(done, total)
        best = max(found, key=lambda candidate: (found[candidate], -candidate))
        removed.append(best)
        scores.append(found[best])
        kept = tuple(block for block in kept if block != best)
    return LayerOrder(tuple(removed), tuple(scores))
