"""What utterances are worth, against answering them as the other system did."""

import pytest

from paredown.quality import score
from paredown.quality.changes import changes, most_changed
from paredown.quality.pairs import Pairs

REFERENCES = ["the cat sat on the mat", "a dog ran over the hill", "birds sing in the morning", "no one came"]
CANDIDATE = ["the cat sat", "a dog ran over the hill", "birds sang in the morning", "no one came to see"]
OTHER = ["the cat sat on a mat", "a dog ran over the hill", "x", "no one came"]


@pytest.mark.parametrize("metric", ["chrf", "bleu", "ter", "wer"])
def test_a_change_is_what_the_score_loses_without_it(metric: str) -> None:
    pairs = Pairs.of(metric, CANDIDATE, OTHER, REFERENCES)
    found = changes(pairs)
    for number in range(4):
        without = [*CANDIDATE[:number], OTHER[number], *CANDIDATE[number + 1 :]]
        expected = score(metric, CANDIDATE, REFERENCES).value - score(metric, without, REFERENCES).value
        assert found[number] == pytest.approx(expected, abs=1e-9)
    assert found[1] == 0


def test_the_most_changed_come_first_and_equal_ones_not_at_all() -> None:
    pairs = Pairs.of("chrf", CANDIDATE, OTHER, REFERENCES)
    sizes = abs(changes(pairs))
    assert most_changed(pairs, 9) == sorted((0, 2, 3), key=lambda place: -sizes[place])
    assert most_changed(pairs, 1) == [2]
    assert most_changed(pairs, 0) == []
