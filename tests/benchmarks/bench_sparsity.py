"""Which weights and heads go: chrF of the bundled model with zeros spread by curves, evenly and by one global ranking, and heads by rule.

Weights: at equal numbers of zeros over all groups with matrices, every group loses the same share ("uniform"), the shares of one joint
ranking ("global"), or those of least summed divergence that the pruning curves of the analysis split allow ("by curves").
Heads: at equal numbers, those whose removal moves the posteriors least ("KL"), those with the smallest L1 norm in the output projection
("L1"), or any ("random"). All is fixed before the test split is decoded; differences are paired, with 95 % bootstrap intervals.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from paredown.analysis.heads import head_norms
from paredown.analysis.pruning import PruningCurves
from paredown.commands.telling import Telling
from paredown.compress.network import ranked_parameters, state_of
from paredown.compress.ranking import Ranking
from paredown.data import open_data
from paredown.models import Model, load_model
from paredown.space.axes.heads import HeadsAxis
from paredown.space.axes.sparsity import GlobalSparsityAxis
from paredown.space.configuration import Configuration
from paredown.space.solver import solve
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.head_analysis import analyse_heads
from paredown.trials.pruning_curves import analyse_pruning
from paredown.trials.workshop import Workshop
from tests.benchmarks.decodings import Decodings, told

MODEL = "bundled:tatoeba-en-de"
SHARES, HEAD_SHARES, MOST = (0.3, 0.5, 0.7), (0.25, 0.5), 0.95
QUICK_UTTERANCES = 12


def choose_shares(curves: PruningCurves, sizes: Mapping[str, int], share: float) -> dict[str, float]:
    """The shares of least summed divergence with at least this share of all weights at zero; divergences are taken for additive."""
    groups = [group for group in curves.groups if group in sizes]
    costs = np.array([[0.0, *curves.values[curves.groups.index(group)]] for group in groups])
    left = np.array([[sizes[group] - round(one * sizes[group]) for one in (0.0, *curves.shares)] for group in groups])
    total = sum(sizes[group] for group in groups)
    chosen = solve(costs, left, total - round(share * total)).choice
    return {group: (0.0, *curves.shares)[column] for group, column in zip(groups, chosen, strict=True)}


def pruned_models(model: Model, curves: PruningCurves, share: float) -> dict[str, Configuration]:
    """One configuration for each way to spread the zeros."""
    names = {group: parameters for group, parameters in ranked_parameters(model).items() if group in model.inventory().groups}
    ranking, base = Ranking(state_of(model)), uncompressed(model)
    sizes = {group: sum(ranking.count_survivors(parameters, 0.0).values()) for group, parameters in names.items()}
    chosen = choose_shares(curves, sizes, share)
    spreads = {
        "by curves": replace(base, sparsity=tuple((group, one) for group, one in chosen.items() if one > 0)),
        "uniform": replace(base, sparsity=tuple((group, share) for group in names)),
        "global": GlobalSparsityAxis(names, ranking.count_survivors, MOST).resolve({"sparsity.share": share}, base),
    }
    for name, configuration in spreads.items():
        shares = configuration.sparsity_of
        zeros = sum(round(shares.get(group, 0.0) * size) for group, size in sizes.items()) / sum(sizes.values())
        print(f"  {name:10s} {100 * zeros:.1f} % zeros: " + ", ".join(f"{group} {one:.2f}" for group, one in shares.items()), flush=True)
    return spreads


def headless_models(model: Model, divergences: Mapping[str, Sequence[float]], share: float, seed: int = 0) -> dict[str, Configuration]:
    """One configuration for each way to choose heads: the same axis with other numbers."""
    inventory, rng = model.inventory(), np.random.default_rng(seed)
    order = iter(rng.permutation(sum(count for _, count in inventory.heads)).tolist())
    rules = {
        "KL": divergences,
        "L1": {path: head_norms(model.network, path, count) for path, count in inventory.heads},
        "random": {path: [float(next(order)) for _ in range(count)] for path, count in inventory.heads},
    }
    base, knobs = uncompressed(model), {"heads.share": share}
    found = {name: HeadsAxis(inventory, numbers, MOST).resolve(knobs, base) for name, numbers in rules.items()}
    for name, configuration in found.items():
        counts = dict(inventory.heads)
        gone = sum(counts[path] - len(kept) for path, kept in configuration.heads)
        print(f"  {name:10s} {gone} of {sum(counts.values())} heads gone, in {len(configuration.heads)} attentions", flush=True)
    return found


def tell(title: str, candidates: Mapping[str, Configuration], decodings: Decodings) -> None:
    """chrF of each, and every difference."""
    scores = ", ".join(f"{name} {decodings.chrf(candidate):.2f}" for name, candidate in candidates.items())
    print(f"{title}: chrF {scores}", flush=True)
    for (one, candidate), (other, reference) in combinations(candidates.items(), 2):
        print(f"  {one} minus {other}: {told(decodings.difference(candidate, reference))}", flush=True)


def main() -> None:
    """Analyse, fix the configurations, then decode the split with each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test")
    parser.add_argument("--parts", nargs="+", choices=("weights", "heads"), default=("weights", "heads"))
    parser.add_argument("--utterances", type=int, help="the first of the split (default: all)")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one for each core)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_UTTERANCES} utterances of each split: says only that it runs")
    options, _ = parser.parse_known_args()
    model, split, analysis = load_model(MODEL), open_data(f"{MODEL}/{options.split}"), open_data(f"{MODEL}/analysis")
    split = split.first(options.utterances or len(split))
    if options.quick:
        split, analysis = split.first(QUICK_UTTERANCES), analysis.first(QUICK_UTTERANCES)
    with Decoder(options.workers) as decoder, Workshop(model) as workshop, Telling() as telling:
        decodings = Decodings(workshop, decoder, split)
        print(f"{MODEL}, {len(split)} utterances of {options.split}, unpruned chrF {decodings.chrf(uncompressed(model)):.2f}", flush=True)
        if "weights" in options.parts:
            curves = analyse_pruning(model, analysis, workshop, decoder, telling)
            for share in SHARES:
                tell(f"{100 * share:.0f} % zeros", pruned_models(model, curves, share), decodings)
        if "heads" in options.parts:
            heads = analyse_heads(model, analysis, workshop, decoder, telling)
            for share in HEAD_SHARES:
                tell(f"{100 * share:.0f} % of the heads gone", headless_models(model, heads.by_attention, share), decodings)


if __name__ == "__main__":
    main()
