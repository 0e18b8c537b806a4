"""The matched-pair sentence-segment word-error test, MAPSSWE (Gillick and Cox, ICASSP 1989), as NIST's `sc_stats` computes it.

Errors of two recognizers on the same speech come in bursts and are correlated. Both alignments are cut into segments: stretches with an
error of at least one of them, bounded by two words or more that both have right (or by an end of the sentence), across which language
models with two words of context carry nothing. Errors of one segment are then independent of the next one's, and the differences of
errors per segment are tested against a mean of zero:

    Z = mean / (standard deviation / sqrt(segments))

Words are what white space separates, letter case counts (`sclite -s`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from paredown.quality.alignment import Evaluation, align

BOUNDARY_WORDS = 2
LARGEST_TABULATED = 514
"""Hundredths: the last |Z| of the table in which sc_stats looks its p-values up."""

Path = tuple[Evaluation, ...]


@dataclass(frozen=True)
class Segment:
    """Words of the reference in a segment, and errors of both systems in it."""

    words: int
    first: int
    second: int


@dataclass(frozen=True)
class MatchedPairs:
    """The result of the test: errors of the first system minus errors of the second, per segment.

    `standard_deviation` divides by segments - 1. `percent_errors`: errors of both systems over words inside segments, as sc_stats prints
    it. `reference_words`: of the whole corpus.
    """

    segments: int
    mean: float
    standard_deviation: float
    z: float
    percent_errors: tuple[float, float]
    reference_words: int

    @property
    def p_value(self) -> float:
        """Two-sided, from the normal distribution."""
        return erfc(abs(self.z) / sqrt(2))

    @property
    def tabulated_p_value(self) -> float:
        """The p-value that sc_stats prints: it looks |Z| up in a table of hundredths, rounded down, so its p is at most 0.008 too large."""
        hundredths = int(abs(self.z) * 100)
        while (hundredths + 1) / 100 <= abs(self.z):
            hundredths += 1
        while hundredths / 100 > abs(self.z):
            hundredths -= 1
        return erfc(min(hundredths, LARGEST_TABULATED) / 100 / sqrt(2))


def matched_pairs(first: Sequence[str], second: Sequence[str], references: Sequence[str]) -> MatchedPairs:
    """The test on two lists of hypotheses and their references, lines of words, [utterances] each. Raises ValueError on other lengths."""
    if not len(first) == len(second) == len(references) > 0:
        raise ValueError(f"lengths must be equal and above 0, got {len(first)}, {len(second)} and {len(references)}")
    segments = [segment for found in segments_of(first, second, references) for segment in found]
    return tested(segments, sum(len(line.split()) for line in references))


def segments_of(first: Sequence[str], second: Sequence[str], references: Sequence[str]) -> tuple[tuple[Segment, ...], ...]:
    """The segments of every utterance."""
    rows = zip(first, second, references, strict=True)
    lines = ((one.split(), two.split(), reference.split()) for one, two, reference in rows)
    return tuple(tuple(cut(align(reference, one), align(reference, two))) for one, two, reference in lines)


def cut(first: Path, second: Path) -> Iterator[Segment]:
    """The segments of two alignments to the same reference.

    Between two words of the reference stand the insertions of both systems. A column holds a word of the reference and, before it, these
    insertions; the last column holds what was inserted at the end.
    """
    errors = np.array([_errors(first), _errors(second)])
    clean = (errors == 0).all(axis=0)[:-1].tolist()  # [words of the reference]: both have the word right, nobody inserted before it
    right = [one == two == "correct" for one, two in zip(_without_insertions(first), _without_insertions(second), strict=True)]
    start, good = 0, -1  # good: words both have right since the last error, -1 outside segments
    for word, (is_clean, is_right) in enumerate(zip(clean, right, strict=True)):
        if is_clean and good < 0:
            start = word + 1
        elif is_right:
            good = 1 if good < 0 or not is_clean else good + 1
            if good == BOUNDARY_WORDS:
                yield from _counted(errors, start, word + 1, len(right))
                start, good = word + 1, -1
        else:
            good = 0
    if good >= 0 or errors[:, -1].any():
        yield from _counted(errors, start, len(right) + 1, len(right))


def _counted(errors: NDArray[np.int64], start: int, stop: int, words: int) -> Iterator[Segment]:
    """The segment of columns `start` to `stop`, with the two right words before it; nothing where it holds no error."""
    first, second = errors[:, start:stop].sum(axis=1).tolist()
    if first or second:
        yield Segment(min(stop, words) - max(start - BOUNDARY_WORDS, 0), first, second)


def _without_insertions(path: Path) -> list[Evaluation]:
    return [found for found in path if found != "inserted"]


def _errors(path: Path) -> list[int]:
    """Errors of each column: insertions before a word of the reference and the word itself; insertions at the end are the last column."""
    columns = [0]
    for found in path:
        columns[-1] += found != "correct"
        if found != "inserted":
            columns.append(0)
    return columns


def tested(segments: Sequence[Segment], reference_words: int) -> MatchedPairs:
    """A constant difference has no deviation: sc_stats then says Z = 0, and so does this."""
    if not segments:
        return MatchedPairs(0, 0.0, 0.0, 0.0, (0.0, 0.0), reference_words)
    differences = [segment.first - segment.second for segment in segments]
    words = sum(segment.words for segment in segments)
    percent = [100 * sum(counts) / words if words else 0.0 for counts in zip(*((s.first, s.second) for s in segments), strict=True)]
    mean = sum(differences) / len(segments)
    squares = sum((difference - mean) * (difference - mean) for difference in differences)  # one after another, as in C: equal to the bit
    deviation = sqrt(squares / (len(segments) - 1)) if squares else 0.0
    z = mean / (deviation / sqrt(len(segments))) if deviation else 0.0
    return MatchedPairs(len(segments), mean, deviation, z, (percent[0], percent[1]), reference_words)
