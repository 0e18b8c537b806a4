"""In which order blocks go: one at a time, always the one whose removal leaves the best score.

Iterative layer pruning of the IWSLT 2025 paper, 3.3.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import comb, isnan


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
    width: int = 1,
    progress: Callable[[int, int], None] | None = None,
    settle: Callable[[tuple[int, ...]], None] | None = None,
) -> LayerOrder:
    """The greedy order of removal of these blocks, down to `minimum` that stay, or to the two protected ones.

    `score` is given the blocks that are kept, ascending, and says how good the model is with them alone (chrF); higher is better, of
    equal candidates the lowest index goes. Removing the first or the last block substantially degrades a model (3.3), so they are no
    candidates unless `protect_first_last` is off.

    With `width` 1 that is the paper's procedure, which cannot take a step back: the block that is missed least may be the one that
    another one cannot be spared beside. With more, so many sets of kept blocks are followed at every depth, and of the orders that they
    allow the one with the best sum of scores is taken.

    `progress(done, total)` counts calls of `score`; `settle` is told the blocks that stay, each time before single ones are left out of
    them. Raises ValueError if `minimum` is not in [1, blocks], if `width` is below 1, or if a score is no number.
    """
    everything = tuple(sorted(blocks))
    if not 1 <= minimum <= len(everything):
        raise ValueError(f"blocks that stay must lie in [1, {len(everything)}], got {minimum}")
    if width < 1:
        raise ValueError(f"the width of a search must be at least 1, got {width}")
    protected = {everything[0], everything[-1]} if protect_first_last else set()
    rounds = min(len(everything) - minimum, len(everything) - len(protected))
    calls = _Calls(score, _most_calls(len(everything) - len(protected), rounds, width), progress)
    followed = {everything: LayerOrder((), ())}
    for _ in range(rounds):
        followed = _one_less(followed, protected, calls, width, settle)
    return max(followed.values(), key=_total)


def _one_less(
    followed: Mapping[tuple[int, ...], LayerOrder],
    protected: Collection[int],
    calls: "_Calls",
    width: int,
    settle: Callable[[tuple[int, ...]], None] | None,
) -> dict[tuple[int, ...], LayerOrder]:
    """The best `width` sets with one block less, each with the best order that leads to it."""
    found: dict[tuple[int, ...], LayerOrder] = {}
    for kept, order in followed.items():
        if settle is not None:
            settle(kept)
        for candidate in (block for block in kept if block not in protected):
            left = tuple(block for block in kept if block != candidate)
            longer = LayerOrder((*order.removed, candidate), (*order.scores, found[left].scores[-1] if left in found else calls(left)))
            if left not in found or _total(longer) > _total(found[left]):
                found[left] = longer
    best = sorted(found, key=lambda left: (-_total(found[left]), found[left].removed))[:width]
    return {left: found[left] for left in best}


class _Calls:
    """A score that is a number, and how many of them were asked for."""

    def __init__(self, score: Callable[[tuple[int, ...]], float], most: int, progress: Callable[[int, int], None] | None) -> None:
        self._score, self._most, self._progress, self._done = score, most, progress, 0

    def __call__(self, kept: tuple[int, ...]) -> float:
        found = self._score(kept)
        if isnan(found):
            raise ValueError(f"a score must be a number, got nan with blocks {', '.join(map(str, kept))}")
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._most, self._done))
        return found


def _most_calls(candidates: int, rounds: int, width: int) -> int:
    """The most sets that can be asked for: those with so many blocks less, and those that so many sets lead to."""
    return sum(min(comb(candidates, gone + 1), min(width, comb(candidates, gone)) * (candidates - gone)) for gone in range(rounds))


def _total(order: LayerOrder) -> float:
    return sum(order.scores)
