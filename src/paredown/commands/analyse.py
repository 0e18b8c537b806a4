"""`paredown analyse`: what a model bears: bit-widths of every layer, blocks that go, zeros in every module group, attention heads."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, console, positive, print_json, table
from paredown.trials.analysing import PARTS

if TYPE_CHECKING:
    from paredown.trials.agreeing import Agreements
    from paredown.trials.analysing import Analysed


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
        print_json(found.to_dict())
        return 0
    screen = console()
    for shown in _tables(found, options.model):
        screen.print(shown)
    return 0


def _measure(options: argparse.Namespace) -> "Analysed":
    from paredown.commands.telling import Telling
    from paredown.data import open_data
    from paredown.models import load_model
    from paredown.trials.analysing import analyse_model

    model, split = load_model(options.model), open_data(options.data)
    names = ("utterances", "measure", "by", "metric", "agreement")
    with Telling() as tell:
        return analyse_model(model, split, options.parts, **{name: getattr(options, name) for name in names}, tell=tell)


def _tables(found: "Analysed", model: str) -> Iterator[Any]:
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
