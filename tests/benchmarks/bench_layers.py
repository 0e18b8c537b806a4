"""Blocks removed by greedy orders against the blocks in the middle: chrF of the bundled model without one, two and three of them.

Orders are found on the analysis split (100 utterances): by chrF of what bundles decode and by the loss on references, each with the
paper's search (width 1) and the default one. They are fixed before the test split is decoded. Differences to the middle are paired, with
95 % bootstrap intervals over utterances. The bar, for the decoder and the default rule ("chrF"): better than the middle wherever the sets
differ. The other rules are held to no bar.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace

from paredown.commands.telling import Telling
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.space.configuration import Configuration
from paredown.trials.block_order import BlockOrdering, OrderRule
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.workshop import Workshop
from tests.benchmarks.decodings import Decodings, told

MODEL = "bundled:tatoeba-en-de"
REMOVED = 3
QUICK_UTTERANCES = 12
MIDDLE, BARRED = "the middle", "chrF"
RULES = {
    MIDDLE: OrderRule("middle"),
    "chrF, width 1": OrderRule(by="chrf", width=1),
    BARRED: OrderRule(by="chrf"),
    "loss, width 1": OrderRule(by="loss", width=1),
    "loss": OrderRule(by="loss"),
}


def find_orders(ordering: BlockOrdering, stack: str, blocks: int, analysis: Split) -> dict[str, tuple[int, ...]]:
    """The first blocks to go by every rule."""
    orders = {}
    for name, rule in RULES.items():
        began = time.monotonic()
        order = ordering(stack, blocks - REMOVED, rule, spread_by_length(analysis, rule.utterances)).layer_order[stack]
        orders[name] = order.removed[:REMOVED]
        print(f"  {stack} blocks by {name:14s} {[block + 1 for block in orders[name]]}   {time.monotonic() - began:.1f} s", flush=True)
    return orders


def without(model: Model, stack: str, removed: tuple[int, ...]) -> Configuration:
    """The uncompressed model without these blocks."""
    kept = tuple(block for block in range(dict(model.inventory().blocks)[stack]) if block not in removed)
    return replace(uncompressed(model), keep=((stack, kept),))


def compare(model: Model, stack: str, orders: Mapping[str, tuple[int, ...]], decodings: Decodings) -> None:
    """A line for each rule and number of blocks; those of the decoder say whether the bar is met."""
    print(f"\n{stack}: chrF without blocks (counted from 1), and minus the middle's; whole: {decodings.chrf(uncompressed(model)):.2f}")
    for count in range(1, REMOVED + 1):
        middle = without(model, stack, orders[MIDDLE][:count])
        for name, order in orders.items():
            candidate = without(model, stack, order[:count])
            line = f"  {name:14s} {sorted(block + 1 for block in order[:count])!s:10s} {decodings.chrf(candidate):6.2f}"
            if candidate == middle:
                print(line + ("" if name == MIDDLE else "   the same blocks"), flush=True)
                continue
            found = decodings.difference(candidate, middle)
            verdict = f"   above 0: {'met' if found.value > 0 else 'missed'}" if (stack, name) == ("decoder", BARRED) else ""
            print(f"{line}   {told(found)}{verdict}", flush=True)


def main() -> None:
    """Find the orders, then decode the split without the blocks that each removes first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test", help="the bars belong to test")
    parser.add_argument("--stacks", nargs="+", choices=("decoder", "encoder"), default=("decoder", "encoder"))
    parser.add_argument("--workers", type=int, help="processes that decode (default: one for each core)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_UTTERANCES} utterances of each split: says only that it runs")
    options, _ = parser.parse_known_args()
    model, split, analysis = load_model(MODEL), open_data(f"{MODEL}/{options.split}"), open_data(f"{MODEL}/analysis")
    if options.quick:
        split, analysis = split.first(QUICK_UTTERANCES), analysis.first(QUICK_UTTERANCES)
    print(f"{MODEL}, orders on {len(analysis)} utterances of analysis, scores on {len(split)} of {options.split}")
    with Decoder(options.workers) as decoder, Workshop(model) as workshop, Telling() as telling:
        ordering, decodings = BlockOrdering(model, workshop, decoder, telling), Decodings(workshop, decoder, split)
        for stack in options.stacks:
            orders = find_orders(ordering, stack, dict(model.inventory().blocks)[stack], analysis)
            compare(model, stack, orders, decodings)


if __name__ == "__main__":
    main()
