"""`paredown analyse`: what a model bears: bit-widths of every layer, blocks that go, zeros in every module group, attention heads."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, console, positive, print_json, table

if TYPE_CHECKING:
    from paredown.analysis.heads import HeadDivergences
    from paredown.analysis.pruning import PruningCurves
    from paredown.analysis.result import Analysis
    from paredown.report.frontier_table import FrontierTable
    from paredown.trials.agreeing import Agreements
    from paredown.trials.block_order import OrderRule

PARTS = ("bits", "blocks", "pruning", "heads")
_FEWEST_BLOCKS = 2


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("analyse", help="what the model bears: bit-widths, blocks that go, zeros, attention heads")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/analysis")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--utterances", type=positive, default=20, metavar="N", help="utterances for divergences (default 20)")
    parser.add_argument(
        "--measure", choices=("posteriors", "encoder_output"), default="posteriors", help="where bit-widths are heard (default: posteriors)"
    )
    parser.add_argument("--by", choices=("chrf", "chrf++", "bleu", "wer", "loss"), default="chrf", help="what blocks go by (default chrf)")
    parser.add_argument(
        "--metric", choices=("divergence", "chrf", "bleu", "wer"), default="divergence", help="of the pruning curves (default: divergence)"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the pruning curves (png, pdf, svg)")
    parser.add_argument("--agreement", action="store_true", help="also how sensitivities rank groups and blocks beside the chrF they cost")
    add_json(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Found:
    """What was measured; None where it was not asked for. `order`: the rule that blocks went by."""

    analysis: "Analysis"
    order: "OrderRule"
    pruning: "PruningCurves | None"
    heads: "HeadDivergences | None"
    frontier: "FrontierTable | None"
    agreements: "Agreements | None"


def run(options: argparse.Namespace) -> int:
    """Measure what is asked for (from the cache where it was measured before) and print it, the most sensitive first."""
    from paredown.errors import BadInput
    from paredown.report.latency_figure import check_figure

    if options.figure is not None:
        if "pruning" not in options.parts:
            raise BadInput(f"--figure draws the pruning curves: --parts must hold pruning, got {' '.join(options.parts)}")
        check_figure(options.figure)
    found = _measure(options)
    if options.figure is not None and found.pruning is not None:
        from paredown.report.pruning_figure import write_pruning_figure

        write_pruning_figure(options.figure, found.pruning, f"{options.model}: {found.pruning.subset}")
    if options.json:
        print_json(_figures(found))
        return 0
    screen = console()
    for shown in _tables(found, options.model):
        screen.print(shown)
    return 0


def _measure(options: argparse.Namespace) -> _Found:
    from paredown.commands.telling import Telling
    from paredown.data import open_data
    from paredown.models import load_model
    from paredown.report.frontier_table import frontier_table
    from paredown.trials.agreeing import analyse_agreement
    from paredown.trials.block_order import OrderRule
    from paredown.trials.decoding import Decoder
    from paredown.trials.head_analysis import analyse_heads
    from paredown.trials.pruning_curves import analyse_pruning
    from paredown.trials.sensitivity import AnalysisSettings, analyse
    from paredown.trials.study_run import check_split
    from paredown.trials.workshop import Workshop

    model, split, parts = load_model(options.model), open_data(options.data), options.parts
    least = min(_FEWEST_BLOCKS, dict(model.inventory().blocks)["decoder"])
    settings = AnalysisSettings(
        kl_utterances=options.utterances if "bits" in parts else 0,
        measure=options.measure,
        orders=(("decoder", least),) if "blocks" in parts else (),
        order=OrderRule(by=options.by),
    )
    with Decoder() as decoder, Workshop(model) as workshop, Telling() as tell:
        check_split(split, workshop)
        context = model, split, workshop, decoder
        analysis = analyse(*context, settings, tell).analysis
        return _Found(
            analysis,
            settings.order,
            analyse_pruning(*context, tell, metric=options.metric, utterances=options.utterances) if "pruning" in parts else None,
            analyse_heads(*context, tell, options.utterances) if "heads" in parts else None,
            frontier_table(model.inventory(), analysis) if analysis.paths else None,
            analyse_agreement(*context, tell, options.utterances) if options.agreement else None,
        )


def _figures(found: _Found) -> Mapping[str, Any]:
    analysis, pruning, heads = found.analysis, found.pruning, found.heads
    rows = zip(analysis.paths, analysis.kl.tolist(), strict=True)
    figures: dict[str, Any] = {"subset": analysis.subset, "seconds": analysis.seconds}
    figures["kl"] = {path: dict(zip(map(str, analysis.widths), row, strict=True)) for path, row in rows}
    figures["order"] = {
        stack: {"removed": order.removed, "by": found.order.by, "scores": order.scores} for stack, order in analysis.layer_order.items()
    }
    if found.frontier is not None:
        figures["frontier"] = {"points": found.frontier.points, "rows": [row.to_dict() for row in found.frontier.rows]}
    if pruning is not None:
        curves = dict(zip(pruning.groups, pruning.values.tolist(), strict=True))
        figures["pruning"] = {"metric": pruning.metric, "shares": pruning.shares, "curves": curves, "subset": pruning.subset}
    if heads is not None:
        figures["heads"] = {"divergences": heads.by_attention, "subset": heads.subset}
    if found.agreements is not None:
        figures["agreement"] = found.agreements.to_dict()
    return figures


def _tables(found: _Found, model: str) -> Iterator[Any]:
    from paredown.report.frontier_table import COLUMNS
    from paredown.report.pruning_table import pruning_columns, pruning_table

    analysis, pruning, heads = found.analysis, found.pruning, found.heads
    if analysis.paths:
        ranked = sorted(range(len(analysis.paths)), key=lambda row: -float(analysis.kl[row].sum()))
        caption = f"KL divergence in nats, higher is more sensitive; {analysis.subset}; {analysis.seconds:.0f} s"
        shown = ((analysis.paths[row], *(f"{value:.2e}" for value in analysis.kl[row])) for row in ranked)
        yield table(f"bit-widths of {model}", ("layer", *(f"{width} bits" for width in analysis.widths)), shown, caption)
    if found.frontier is not None:
        caption = f"the exact frontier of bytes and summed KL has {found.frontier.points:,} points; divergences are summed, not measured"
        yield table(f"what the bytes of uniform widths could buy in {model}", COLUMNS, (row.told() for row in found.frontier.rows), caption)
    if heads is not None:
        most = max(len(values) for values in heads.by_attention.values())
        shown = ((path, *(f"{value:.2e}" for value in values)) for path, values in heads.by_attention.items())
        caption = f"KL divergence in nats of removing one head; {heads.subset}; {heads.seconds:.0f} s"
        yield table(f"attention heads of {model}", ("attention", *(f"head {head}" for head in range(most))), shown, caption)
    if pruning is not None:
        unit = "KL divergence in nats" if pruning.metric == "divergence" else pruning.metric
        caption = f"{unit} with a share of this group's weights at zero; {pruning.subset}; {pruning.seconds:.0f} s"
        yield table(f"pruning of {model}", pruning_columns(pruning), pruning_table(pruning), caption)
    if found.agreements is not None:
        yield _agreement_table(found.agreements, model)
    for stack, order in analysis.layer_order.items():
        steps = ", ".join(f"{block} ({value:.2f})" for block, value in zip(order.removed, order.scores, strict=True))
        by = found.order.by
        score = {"loss": "minus the loss in nats", "wer": "minus the wer"}.get(by, by)  # higher is better
        yield f"{stack} blocks in the order of removal ({score} without them, counted from 0): {steps}"


def _agreement_table(agreements: "Agreements", model: str) -> Any:
    """A row for each sensitivity and kind of part."""
    told = agreements.to_dict()
    rows = []
    for one in told["tau"]:
        figures = (f"{one['tau']:+.2f}", f"{one['p_value']:.2g}", str(one["count"])) if one["tau"] is not None else (one["reason"], "", "")
        rows.append((one["sensitivity"], f"{one['part']}s", *figures))
    caption = f"Kendall's tau-b of summed sensitivities with chrF lost where one part alone has {told['bits']} bits; {told['subset']}"
    return table(f"agreement of sensitivities of {model}", ("sensitivity", "parts", "tau", "p", "count"), rows, caption)
