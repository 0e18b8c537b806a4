"""`paredown analyse`: how sensitive every layer is to its bit-width, and in which order decoder blocks can go."""

import argparse
from typing import Any

from paredown.commands.printing import add_json, console, positive, print_json, table


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("analyse", help="sensitivity of every layer, and the order of decoder blocks")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/analysis")
    parser.add_argument("--utterances", type=positive, default=20, metavar="N", help="utterances for the sensitivities (default 20)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the KL divergence of every layer at every bit-width, the most sensitive layer first, and the order of blocks."""
    from paredown.commands.telling import Telling
    from paredown.data import open_data
    from paredown.models import load_model
    from paredown.trials.decoding import Decoder
    from paredown.trials.sensitivity import AnalysisSettings, analyse
    from paredown.trials.study_run import check_split
    from paredown.trials.workshop import Workshop

    model, split = load_model(options.model), open_data(options.data)
    settings = AnalysisSettings(kl_utterances=options.utterances)
    with Decoder() as decoder, Workshop(model) as workshop, Telling() as telling:
        check_split(split, workshop)
        analysis = analyse(model, split, workshop, decoder, settings, telling).analysis
    if options.json:
        rows = {
            path: dict(zip(map(str, analysis.widths), row, strict=True))
            for path, row in zip(analysis.paths, analysis.kl.tolist(), strict=True)
        }
        orders = {stack: {"removed": order.removed, "chrf": order.scores} for stack, order in analysis.layer_order.items()}
        print_json({"subset": analysis.subset, "seconds": analysis.seconds, "kl": rows, "order": orders})
        return 0
    ranked = sorted(range(len(analysis.paths)), key=lambda row: -float(analysis.kl[row].sum()))
    columns = ("layer", *(f"{width} bits" for width in analysis.widths))
    caption = f"KL divergence in nats, higher is more sensitive; {analysis.subset}; {analysis.seconds:.0f} s"
    shown = ((analysis.paths[row], *(f"{value:.2e}" for value in analysis.kl[row])) for row in ranked)
    console().print(table(f"sensitivity of {options.model}", columns, shown, caption))
    for stack, order in analysis.layer_order.items():
        steps = ", ".join(f"{block} ({value:.1f})" for block, value in zip(order.removed, order.scores, strict=True))
        console().print(f"{stack} blocks in the order of removal (chrF without them): {steps}")
    return 0
