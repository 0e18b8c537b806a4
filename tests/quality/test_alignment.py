"""Alignments against all alignments there are."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as some

from paredown.quality.alignment import DELETION, INSERTION, SUBSTITUTION, align

WORDS = some.lists(some.sampled_from("abc"), max_size=6)
COSTS = {"correct": 0, "substituted": SUBSTITUTION, "inserted": INSERTION, "deleted": DELETION}


@cache
def least(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> int:
    """The cheapest alignment, by trying all first steps."""
    if not reference or not hypothesis:
        return DELETION * len(reference) + INSERTION * len(hypothesis)
    across = least(reference[1:], hypothesis[1:]) + (0 if reference[0] == hypothesis[0] else SUBSTITUTION)
    return min(across, least(reference[1:], hypothesis) + DELETION, least(reference, hypothesis[1:]) + INSERTION)


@given(WORDS, WORDS)
def test_no_alignment_costs_less(reference: list[str], hypothesis: list[str]) -> None:
    path = align(reference, hypothesis)
    assert sum(COSTS[step] for step in path) == least(tuple(reference), tuple(hypothesis))
    assert sum(step != "inserted" for step in path) == len(reference)
    assert sum(step != "deleted" for step in path) == len(hypothesis)


@given(WORDS, WORDS)
def test_steps_say_what_they_do(reference: list[str], hypothesis: list[str]) -> None:
    row = column = 0
    for step in align(reference, hypothesis):
        if step in ("correct", "substituted"):
            assert (reference[row] == hypothesis[column]) == (step == "correct")
        row += step != "inserted"
        column += step != "deleted"


def test_two_substitutions_are_cheaper_than_insertion_and_deletion_around_no_match() -> None:
    assert align(["a", "b"], ["c", "d"]) == ("substituted", "substituted")
    assert align(["a", "b", "c"], ["b", "c", "d"]) == ("deleted", "correct", "correct", "inserted")
    assert align([], ["a"]) == ("inserted",)
    assert align(["a"], []) == ("deleted",)
