"""Recognizers made up from references: errors are drawn, in bursts, and more often where a sentence is hard for all of them."""

from collections.abc import Sequence

import numpy as np

BURST = 0.35
"""How likely an error follows an error."""


def recognize(references: Sequence[str], error_rate: float, *, seed: int, room: int = 0) -> list[str]:
    """Hypotheses with about `error_rate` errors a word: seven of ten substitutions, the others deletions and insertions.

    Recognizers of one `room` hear the same hard sentences; `seed` tells recognizers apart.
    """
    vocabulary = sorted({word for line in references for word in line.split()})
    hardness = np.random.default_rng(room).gamma(1.0, 1.0, len(references))
    generator = np.random.default_rng([seed, room])
    return [_recognize(line.split(), error_rate * hard, vocabulary, generator) for line, hard in zip(references, hardness, strict=True)]


def _recognize(words: Sequence[str], error_rate: float, vocabulary: Sequence[str], generator: np.random.Generator) -> str:
    found: list[str] = []
    wrong = False
    for word in words:
        wrong = generator.random() < min(0.9, error_rate + BURST * wrong)
        kind = generator.random() if wrong else 1.0
        if kind < 0.7 or 0.85 <= kind < 1.0:
            found.append(vocabulary[int(generator.integers(len(vocabulary)))])
        if kind >= 0.85:
            found.append(word)
    return " ".join(found)
