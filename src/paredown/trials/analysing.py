"""What a model bears, measured once: bit-widths of every layer, blocks that go, zeros in every module group, attention heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from paredown.trials.teller import QUIET, Teller

if TYPE_CHECKING:
    from paredown.analysis.heads import HeadDivergences
    from paredown.analysis.pruning import PruningCurves
    from paredown.analysis.result import Analysis
    from paredown.data import Split
    from paredown.models import Model
    from paredown.report.frontier_table import FrontierTable
    from paredown.trials.agreeing import Agreements
    from paredown.trials.block_order import OrderRule

Part = Literal["bits", "blocks", "pruning", "heads"]
PARTS: tuple[Part, ...] = ("bits", "blocks", "pruning", "heads")
_FEWEST_BLOCKS = 2


@dataclass(frozen=True)
class Analysed:
    """What was measured; None where it was not asked for. `order`: the rule that blocks went by; divergences are in nats, higher is more
    sensitive.
    """

    analysis: "Analysis"
    order: "OrderRule"
    pruning: "PruningCurves | None"
    heads: "HeadDivergences | None"
    frontier: "FrontierTable | None"
    agreements: "Agreements | None"

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        analysis, pruning, heads = self.analysis, self.pruning, self.heads
        rows = zip(analysis.paths, analysis.kl.tolist(), strict=True)
        figures: dict[str, Any] = {"subset": analysis.subset, "seconds": analysis.seconds}
        figures["kl"] = {path: dict(zip(map(str, analysis.widths), row, strict=True)) for path, row in rows}
        figures["order"] = {
            stack: {"removed": order.removed, "by": self.order.by, "scores": order.scores} for stack, order in analysis.layer_order.items()
        }
        if self.frontier is not None:
            figures["frontier"] = {"points": self.frontier.points, "rows": [row.to_dict() for row in self.frontier.rows]}
        if pruning is not None:
            curves = dict(zip(pruning.groups, pruning.values.tolist(), strict=True))
            figures["pruning"] = {"metric": pruning.metric, "shares": pruning.shares, "curves": curves, "subset": pruning.subset}
        if heads is not None:
            figures["heads"] = {"divergences": heads.by_attention, "subset": heads.subset}
        if self.agreements is not None:
            figures["agreement"] = self.agreements.to_dict()
        return figures


def analyse_model(
    model: "Model",
    split: "Split",
    parts: Sequence[Part] = PARTS,
    *,
    utterances: int = 20,
    measure: Literal["posteriors", "encoder_output"] = "posteriors",
    by: Literal["chrf", "chrf++", "bleu", "wer", "loss"] = "chrf",
    metric: Literal["divergence", "chrf", "bleu", "wer"] = "divergence",
    agreement: bool = False,
    tell: Teller = QUIET,
) -> Analysed:
    """Measure the parts that are asked for, from the cache where they were measured before.

    `utterances`: of the split, for divergences; `measure`: where bit-widths are heard; `by`: what blocks go by; `metric`: of the pruning
    curves; `agreement`: also how sensitivities rank groups and blocks beside the chrF that they cost. Raises BadInput for audio that the
    model cannot take, and for references that are missing.
    """
    from paredown.report.frontier_table import frontier_table
    from paredown.trials.agreeing import analyse_agreement
    from paredown.trials.block_order import OrderRule
    from paredown.trials.decoding import Decoder
    from paredown.trials.head_analysis import analyse_heads
    from paredown.trials.pruning_curves import analyse_pruning
    from paredown.trials.sensitivity import AnalysisSettings, analyse
    from paredown.trials.study_run import check_split
    from paredown.trials.workshop import Workshop

    least = min(_FEWEST_BLOCKS, dict(model.inventory().blocks)["decoder"])
    settings = AnalysisSettings(
        kl_utterances=utterances if "bits" in parts else 0,
        measure=measure,
        orders=(("decoder", least),) if "blocks" in parts else (),
        order=OrderRule(by=by),
    )
    with Decoder() as decoder, Workshop(model) as workshop:
        check_split(split, workshop)
        context = model, split, workshop, decoder
        analysis = analyse(*context, settings, tell).analysis
        return Analysed(
            analysis,
            settings.order,
            analyse_pruning(*context, tell, metric=metric, utterances=utterances) if "pruning" in parts else None,
            analyse_heads(*context, tell, utterances) if "heads" in parts else None,
            frontier_table(model.inventory(), analysis) if analysis.paths else None,
            analyse_agreement(*context, tell, utterances) if agreement else None,
        )
