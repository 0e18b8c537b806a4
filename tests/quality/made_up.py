"""Systems whose figures can be worked out by hand: every reference has 100 words, every error counts."""

import numpy as np

from paredown.quality.pairs import Pairs

WORDS = 100


def word_errors(candidate: object, reference: object) -> Pairs:
    """Pairs in WER with these errors in each utterance: the effect is the mean difference, in percent."""
    columns = [np.asarray(errors, dtype=np.int64) for errors in (candidate, reference)]
    first, second = (np.stack([errors, np.full(len(errors), WORDS)], axis=1) for errors in columns)
    return Pairs("wer", first, second)


def drawn_errors(utterances: int, mean: float, other: float, seed: int = 0) -> Pairs:
    """Independent Poisson errors of both systems."""
    generator = np.random.default_rng(seed)
    return word_errors(generator.poisson(mean, utterances), generator.poisson(other, utterances))
