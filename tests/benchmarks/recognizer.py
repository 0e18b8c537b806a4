"""Systems made up from lines: recognizers whose errors are drawn, in bursts, and a system that repeats itself now and then."""

from collections.abc import Sequence

import numpy as np

BURST = 0.35
"""How likely an error follows an error."""
STUCK, REPEATS = 0.015, " und so weiter" * 20


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


def stuck(lines: Sequence[str], seed: int = 0) -> list[str]:
    """The same outputs, but 15 of 1,000 repeat themselves, as damaged models do up to their length cap."""
    chosen = set(np.random.default_rng(seed).choice(len(lines), max(1, round(STUCK * len(lines))), replace=False).tolist())
    return [line + REPEATS if number in chosen else line for number, line in enumerate(lines)]
