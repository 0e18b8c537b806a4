"""Which utterances a difference between two systems comes from."""

import numpy as np
from numpy.typing import NDArray

from paredown.quality.pairs import Pairs
from paredown.quality.sums import scores


def changes(pairs: Pairs) -> NDArray[np.float64]:
    """Points of the corpus score that each utterance's change is worth, [utterances]: what the candidate's score would lose if it had
    answered this one utterance as the other system did. 0 where both count the same."""
    total = pairs.candidate.sum(axis=0)
    without = scores(pairs.metric, total - pairs.candidate + pairs.reference)
    return np.asarray(scores(pairs.metric, total[None])[0] - without)


def most_changed(pairs: Pairs, count: int) -> list[int]:
    """Positions of the utterances whose change is worth most, in either direction; those worth nothing are not among them."""
    sizes = np.abs(changes(pairs))
    return [int(place) for place in np.argsort(-sizes, kind="stable")[:count] if sizes[place] > 0]
