"""Scores from summed statistics against sacrebleu's own functions, over corpora with and without matches of every order."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from paredown.quality.corpus import CorpusScorer
from paredown.quality.sums import scores

WORDS = ("der", "Hund", "läuft", "schnell", "durch", "den", "Park", "und", "bellt", ".")


def corpora(count: int = 40) -> list[tuple[list[str], list[str]]]:
    """Hypotheses and references: equal, near, far, short, empty."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        lines = [" ".join(generator.choice(WORDS, generator.integers(1, 12))) for _ in range(generator.integers(1, 6))]
        keep = (1.0, 0.8, 0.3, 0.0)[number % 4]
        changed = [" ".join(w if generator.random() < keep else "x" * (generator.random() < 0.7) for w in line.split()) for line in lines]
        found.append((changed, lines))
    return [*found, (["", ""], ["a b", "c"]), (["a b c d e"], ["f"]), (["Park"], ["Park"])]


SCORERS = {"bleu": BLEU(), "chrf": CHRF(), "chrf++": CHRF(word_order=2), "ter": TER()}


@pytest.mark.parametrize("metric", SCORERS)
def test_scores_are_sacrebleus(metric: str) -> None:
    for hypotheses, references in corpora():
        expected = SCORERS[metric].corpus_score(hypotheses, [references]).score
        total = CorpusScorer(metric, references).statistics(hypotheses).sum(axis=0)
        assert scores(metric, total[None])[0] == pytest.approx(expected, abs=1e-9), (hypotheses, references)


def test_corpora_are_scored_each_on_its_own() -> None:
    hypotheses, references = corpora()[1]
    statistics = CorpusScorer("chrf", references).statistics(hypotheses)
    together = scores("chrf", np.stack([statistics.sum(axis=0), statistics[0], 3 * statistics[0]]))
    assert together[0] == pytest.approx(CHRF().corpus_score(hypotheses, [references]).score)
    assert together[1] == pytest.approx(together[2])


def test_edits_against_nothing_are_all_wrong() -> None:
    assert scores("wer", np.array([[2, 0], [0, 0], [1, 4]])).tolist() == [100, 0, 25]
