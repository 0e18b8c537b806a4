"""Distances between configurations, by hand on a model of four layers."""

import pytest

from paredown.search.nearest import distance, find_nearest
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration, Input
from paredown.space.inventory import Inventory, LayerInfo

BLOCK = "decoder.decoders.{}.{}"


def layer(index: int, role: str, group: str, shape: tuple[int, int]) -> LayerInfo:
    return LayerInfo(BLOCK.format(index, role), group, shape, "linear")


# Two blocks of 100 weights: 40 + 40 of a feed-forward, 20 of an attention.
INVENTORY = Inventory(
    tuple(
        one
        for index in (0, 1)
        for one in (
            layer(index, "feed_forward.w_1", "decoder.feed_forward", (10, 4)),
            layer(index, "feed_forward.w_2", "decoder.feed_forward", (4, 10)),
            layer(index, "self_attn.linear_q", "decoder.self_attn", (5, 4)),
        )
    ),
    (),
    (("decoder", 2),),
)
WHOLE = Configuration()
DROPPED = Configuration(keep=(("decoder", (0,)),))
FIRST, SECOND = BLOCK.format(0, "feed_forward"), BLOCK.format(1, "feed_forward")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (WHOLE, Configuration(bits=((f"{FIRST}.w_1", 4),)), 0.0),
        (WHOLE, DROPPED, 0.5),
        (DROPPED, Configuration(keep=(("decoder", (1,)),)), 1.0),
        (WHOLE, Configuration(width=((FIRST, 5),)), 0.4),
        (Configuration(width=((FIRST, 5),)), Configuration(width=((FIRST, 6), (SECOND, 5))), 0.8),
        (WHOLE, Configuration(rank=((f"{SECOND}.w_2", 2),)), 0.2),
        (WHOLE, Configuration(heads=((BLOCK.format(0, "self_attn"), (0,)),)), 0.1),
        (WHOLE, Configuration(sparsity=(("decoder.feed_forward", 0.25),)), 0.8 * 0.25),
        (Configuration(sparsity=(("decoder.feed_forward", 0.75),)), Configuration(sparsity=(("decoder.feed_forward", 0.25),)), 0.4),
        (DROPPED, Configuration(keep=(("decoder", (0,)),), sparsity=(("decoder.self_attn", 0.5),)), 0.1 * 0.5),
    ],
)
def test_by_hand(one: Configuration, other: Configuration, expected: float) -> None:
    assert distance(INVENTORY, one, other) == pytest.approx(expected)
    assert distance(INVENTORY, other, one) == pytest.approx(expected)


def trials(*configurations: Configuration) -> list[Trial]:
    return [Trial(number, "complete", Candidate("search", one)) for number, one in enumerate(configurations)]


def test_the_nearest_is_taken_and_of_equals_the_later() -> None:
    narrow = Configuration(width=((FIRST, 5),))
    known = trials(narrow, WHOLE, DROPPED)
    assert find_nearest(INVENTORY, WHOLE, known) == known[1]
    assert find_nearest(INVENTORY, WHOLE, trials(WHOLE, WHOLE)) == trials(WHOLE, WHOLE)[1]


def test_the_same_input_comes_before_a_later_trial() -> None:
    other_input = Configuration(input=Input(hop_samples=200))
    known = trials(WHOLE, other_input)
    assert find_nearest(INVENTORY, WHOLE, known) == known[0]
    assert find_nearest(INVENTORY, other_input, known) == known[1]


def test_what_shares_less_than_half_is_nobodys_start() -> None:
    assert find_nearest(INVENTORY, WHOLE, []) is None
    assert find_nearest(INVENTORY, WHOLE, trials(DROPPED)) == trials(DROPPED)[0]
    farther = Configuration(keep=(("decoder", (0,)),), width=((FIRST, 5),))
    assert find_nearest(INVENTORY, WHOLE, trials(farther)) is None
