"""Pruning curves of every module group on the analysis split, from the cache where they were measured before.

By divergence (quick: the network, teacher-forced) or, as the first paper's Fig. 4, by a score of what pruned bundles decode.
"""

import time
from dataclasses import replace

import numpy as np

from paredown.analysis.pruning import DIVERGENCE, SHARES, PruningCurves, measure_pruning
from paredown.compress.network import ranked_parameters
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.quality import score
from paredown.trials.cached import cached
from paredown.trials.decoding import Decoder, Search
from paredown.trials.evaluation import uncompressed
from paredown.trials.sensitivity import read_samples
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

UTTERANCES, BEAM = 20, 4


def analyse_pruning(
    model: Model,
    split: Split,
    workshop: Workshop,
    decoder: Decoder,
    tell: Teller,
    *,
    metric: str = DIVERGENCE,
    utterances: int = UTTERANCES,
) -> PruningCurves:
    """The curve of every group that the model has, at the shares 0.1 to 0.9. `metric`: "divergence", or a score (chrf, bleu, wer)."""

    def measure(subset: Split) -> PruningCurves:
        began = time.monotonic()
        by = _Curves(model, subset, workshop, decoder, tell)
        groups = {group: names for group, names in ranked_parameters(model).items() if names}
        values, unpruned = by.divergences(groups) if metric == DIVERGENCE else by.scores(tuple(groups), metric)
        words = f"pruning of every group on {len(subset)} utterances"
        words += "" if metric == DIVERGENCE else f" with beam {BEAM}"
        return PruningCurves(tuple(groups), SHARES, values, metric, unpruned, words, time.monotonic() - began)

    keys = {"metric": metric, "shares": list(SHARES)} | ({} if metric == DIVERGENCE else {"beam": BEAM})
    return cached(model, split, f"pruning curves of every group by {metric}", PruningCurves, keys, utterances, measure, tell)


class _Curves:
    """The two ways to measure, over the same things."""

    def __init__(self, model: Model, subset: Split, workshop: Workshop, decoder: Decoder, tell: Teller) -> None:
        self._model, self._subset, self._workshop, self._decoder, self._tell = model, subset, workshop, decoder, tell

    def divergences(self, groups: dict[str, tuple[str, ...]]) -> tuple[np.ndarray, float]:
        model, decoder = self._model, self._decoder
        samples = read_samples(model, self._subset, self._workshop, decoder)
        values = measure_pruning(
            model.network, groups, samples, model.sos, threads=decoder.workers, progress=self._progress, unit=machine_share
        )
        return values, 0.0

    def scores(self, groups: tuple[str, ...], metric: str) -> tuple[np.ndarray, float]:
        pairs = [(group, share) for group in groups for share in SHARES]
        values = []
        for done, pair in enumerate(pairs):
            self._progress(done, len(pairs))
            values.append(self._score((pair,), metric))
        self._progress(len(pairs), len(pairs))
        return np.array(values, np.float64).reshape(len(groups), len(SHARES)), self._score((), metric)

    def _score(self, sparsity: tuple[tuple[str, float], ...], metric: str) -> float:
        configuration = replace(uncompressed(self._model), sparsity=sparsity)
        found = self._decoder.decode(self._workshop.build(configuration), self._subset, Search(beam_size=BEAM))
        self._workshop.discard(configuration)
        return score(metric, [hypothesis.text for hypothesis in found], self._subset.references(self._model.task)).value

    def _progress(self, done: int, total: int) -> None:
        self._tell.progress("pruned groups", done, total)
