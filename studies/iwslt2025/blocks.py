"""Which blocks go: those in the middle, or one after the other by what the fine-tuned model says without them (the paper's 3.3)."""

from paredown.analysis.layer_order import greedy_order, middle_order
from studies.iwslt2025.campaign import Campaign, Keep

REMOVED = 2  # of six decoder blocks, 33 %: the paper's 8 of 32 are 25 %, and one of six would be 17 %


def count_blocks(campaign: Campaign, stack: str) -> int:
    """Blocks of the uncompressed model."""
    return dict(campaign.bench.model.inventory().blocks)[stack]


def kept_without(campaign: Campaign, stack: str, removed: tuple[int, ...]) -> Keep:
    """What stays of a stack."""
    return ((stack, tuple(block for block in range(count_blocks(campaign, stack)) if block not in removed)),)


def middle(campaign: Campaign, stack: str, count: int) -> tuple[int, ...]:
    """Blocks around the middle, counted from 0."""
    blocks = range(count_blocks(campaign, stack))
    return tuple(sorted(middle_order(blocks, minimum=len(blocks) - count)))


def iterative(campaign: Campaign, metric: str) -> tuple[int, ...]:
    """All decoder blocks but the first and the last, in the order in which they go: the least missed one on *analysis* each time.

    The paper's procedure (one set of blocks is followed), on the fine-tuned model, decoded greedily.
    """
    bench, blocks = campaign.bench, range(count_blocks(campaign, "decoder"))

    def find() -> list[int]:
        def quality(kept: tuple[int, ...]) -> float:
            return bench.score(metric, campaign.pruned((("decoder", kept),)), bench.analysis).value

        return list(greedy_order(blocks, quality, progress=lambda done, total: bench.tell.progress("models", done, total)).removed)

    return tuple(bench.remember("order", find, metric, campaign.tuned.digest))


def fewer(campaign: Campaign, metric: str, count: int) -> Keep:
    """What stays of the decoder without the first blocks of the order by a metric."""
    return kept_without(campaign, "decoder", iterative(campaign, metric)[:count])
