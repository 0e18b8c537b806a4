"""In which order the blocks of a stack go: by the quality of bundles without them, or by the loss of the network without them."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from paredown.analysis.block_loss import BlockLoss
from paredown.analysis.layer_order import LayerOrder, greedy_order, middle_order
from paredown.analysis.result import WIDTHS, Analysis
from paredown.data import Split
from paredown.models import Model
from paredown.models.network import read_output_ctc_weight
from paredown.profilers.machine_lock import machine_share
from paredown.quality import score
from paredown.trials.decoding import Decoder, Search
from paredown.trials.evaluation import uncompressed
from paredown.trials.teacher_forced import read_references
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

LOWER_IS_BETTER = ("wer",)
LOSS = "loss"
Kept = tuple[int, ...]


@dataclass(frozen=True)
class OrderRule:
    """How blocks are ordered.

    `rule` "greedy": the block goes whose removal costs least in the metric `by`; "middle": from the middle on, nothing is measured.
    `by`: a score of what bundles without blocks decode, or "loss", the network's own on the references (`analysis/block_loss.py`; the CTC
    over the output text weighs what it weighed in training), which costs a fraction of decoding. `protect`: the first and the last
    block stay. `width`: how many sets of blocks are followed at every depth (1 is the paper's). `utterances`: of the analysis split,
    spread evenly over the lengths. `beam`: smaller than the search's, because only the ranking of blocks matters.
    """

    rule: Literal["greedy", "middle"] = "greedy"
    by: str = "chrf"
    protect: bool = True
    width: int = 3
    utterances: int = 100
    beam: int = 4

    def to_dict(self) -> dict[str, Any]:
        """What an order depends on, as plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return self.by if self.rule == "greedy" else "their place"


class BlockOrdering:
    """Orders the blocks of one model; called with a stack, how few blocks stay at least, the rule, and the utterances."""

    def __init__(self, model: Model, workshop: Workshop, decoder: Decoder, tell: Teller) -> None:
        self._model, self._workshop, self._decoder, self._tell = model, workshop, decoder, tell

    def __call__(self, stack: str, least: int, rule: OrderRule, subset: Split) -> Analysis:
        """The order, as an analysis without a table of sensitivities."""
        began, blocks = time.monotonic(), range(dict(self._model.inventory().blocks)[stack])
        if rule.rule == "middle":
            order = LayerOrder(middle_order(blocks, protect_first_last=rule.protect, minimum=least), ())
            words = f"{stack} blocks from the middle on"
        else:
            order = (self._by_loss if rule.by == LOSS else self._by_score)(stack, blocks, least, rule, subset)
            words = f"order of {stack} blocks by {rule.by} on {len(subset)} utterances"
            words += "" if rule.by == LOSS else f" with beam {rule.beam}"
        return Analysis((), np.zeros((0, len(WIDTHS))), {stack: order}, words, time.monotonic() - began)

    def _by_loss(self, stack: str, blocks: range, least: int, rule: OrderRule, subset: Split) -> LayerOrder:
        weight = read_output_ctc_weight(self._model.config)
        samples, workers = read_references(self._model, subset), self._decoder.workers
        loss = BlockLoss(self._model.network, stack, samples, self._model.sos, ctc_weight=weight, threads=workers, unit=machine_share)
        return self._order(blocks, lambda kept: -loss(kept), least, rule, loss.settle)

    def _by_score(self, stack: str, blocks: range, least: int, rule: OrderRule, subset: Split) -> LayerOrder:
        references, sign = subset.references(self._model.task), -1.0 if rule.by in LOWER_IS_BETTER else 1.0

        def quality(kept: Kept) -> float:
            configuration = replace(uncompressed(self._model), keep=((stack, kept),))
            found = self._decoder.decode(self._workshop.build(configuration), subset, Search(beam_size=rule.beam))
            self._workshop.discard(configuration)
            return sign * score(rule.by, [hypothesis.text for hypothesis in found], references).value

        return self._order(blocks, quality, least, rule)

    def _order(
        self, blocks: range, quality: Callable[[Kept], float], least: int, rule: OrderRule, settle: Callable[[Kept], None] | None = None
    ) -> LayerOrder:
        return greedy_order(
            blocks,
            quality,
            protect_first_last=rule.protect,
            minimum=least,
            width=rule.width,
            progress=lambda done, total: self._tell.progress("models", done, total),
            settle=settle,
        )
