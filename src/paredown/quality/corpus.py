"""Corpus scores as sums over utterances: sacrebleu's own statistics (BLEU, chrF, TER) and jiwer's edits (WER, CER).

sacrebleu takes references as a list of *streams* (one list for each alternative reference), not as a list of utterances: handed over
the other way round it scores the first utterance alone, with every reference as an alternative, and reports 56 for a model of 26 BLEU
(`errata.md`, on the first paper). This is the only file that calls it, and a test pins the orientation.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from paredown.quality.metrics import SPACED_TOKENIZERS, check_metric, missing_package
from paredown.quality.sums import scores

Counts = NDArray[np.int64]
_JIWER = {"wer": jiwer.process_words, "cer": jiwer.process_characters}


class CorpusScorer:
    """One metric against one reference for each utterance.

    `tokenizer`: how BLEU cuts sentences into words, in sacrebleu's names; one of an unspaced language makes TER cut them into characters.
    Raises ValueError where the metric is unknown or the tokenizer's package is not installed.
    """

    def __init__(self, metric: str, references: Sequence[str], tokenizer: str = "13a") -> None:
        check_metric(metric)
        package = missing_package(tokenizer) if metric == "bleu" else None
        if package:
            raise ValueError(f"the tokenizer {tokenizer} needs a package: pip install '{package}'")
        self.metric = metric
        self._references = list(references)
        self._scorer = None if metric in _JIWER else _sacrebleu(metric, tokenizer)

    def statistics(self, hypotheses: Sequence[str]) -> Counts:
        """Counts of each utterance, [utterances, statistics]; the corpus is their sum (`sums.py` says what the columns are)."""
        if self._scorer is None:
            return _edits(self.metric, hypotheses, self._references)
        streams = [self._references]  # one stream of references, as long as the hypotheses: see above
        return np.asarray(self._scorer._extract_corpus_statistics(list(hypotheses), streams)).astype(np.int64)

    def score(self, statistics: Counts) -> float:
        """The corpus score of these utterances, by the library itself; percent of the reference for WER and CER."""
        total = statistics.sum(axis=0)
        if self._scorer is None:
            return float(scores(self.metric, total[None])[0])
        return float(self._scorer._compute_score_from_stats([int(value) for value in total]).score)

    @property
    def signature(self) -> str:
        """sacrebleu's signature, or jiwer's version; there once statistics were taken."""
        if self._scorer is None:
            units = "words between white space" if self.metric == "wer" else "characters"
            return f"nrefs:1|case:mixed|tok:{units}|jiwer|version:{version('jiwer')}"
        return str(self._scorer.get_signature())


def _sacrebleu(metric: str, tokenizer: str) -> Any:
    """sacrebleu's scorer. TER normalizes only where it must cut Chinese or Japanese into characters (its `asian_support`)."""
    if metric == "bleu":
        return BLEU(tokenize=tokenizer)
    if metric == "ter":
        unspaced = tokenizer not in SPACED_TOKENIZERS
        return TER(normalized=unspaced, asian_support=unspaced)
    return CHRF(word_order=2 if metric == "chrf++" else 0)


def _edits(metric: str, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
    """Substitutions, deletions and insertions together, and units of the reference, [utterances, 2]."""
    found = [_JIWER[metric](reference, hypothesis) for reference, hypothesis in zip(references, hypotheses, strict=True)]
    rows = [(one.substitutions + one.deletions + one.insertions, one.hits + one.substitutions + one.deletions) for one in found]
    return np.array(rows, dtype=np.int64)
