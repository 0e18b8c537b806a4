"""Axis `width`: what an eta resolves into."""

import pytest

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.members import Members
from paredown.space.axes.width import WidthAxis
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.reduced import reduce_inventory
from tests.space.axes.families import ETAS, FEED_FORWARDS, inventory, widths

DIGEST = "ab" * 32


def _axis(supernet: str | None = None) -> WidthAxis:
    return WidthAxis(inventory(), widths(), 0.0, 0.4, supernet)


def test_the_nearest_member_gives_the_widths_and_whole_ones_are_not_named() -> None:
    axis = _axis()
    nothing = axis.resolve({"width.eta": 0.0}, Configuration())
    assert nothing == Configuration()
    middle = axis.resolve({"width.eta": 0.1}, Configuration())
    assert middle.width_of == dict(zip(FEED_FORWARDS[1:], (24, 40, 8, 16), strict=True))
    for eta, nearest in ((0.04, 0.0), (0.05, 0.0), (0.06, 0.1), (0.25, 0.1), (0.26, 0.4), (0.4, 0.4)):
        assert axis.resolve({"width.eta": eta}, Configuration()) == axis.resolve({"width.eta": nearest}, Configuration())
    reduce_inventory(inventory(), axis.resolve({"width.eta": 0.4}, Configuration()))  # it is one that the model can have


def test_feed_forwards_of_dropped_blocks_are_not_named() -> None:
    space = SearchSpace([_axis(), LayersAxis("decoder", 3, (1, 2, 0), 1, 3)])
    found = space.resolve({"layers.decoder": 2, "width.eta": 0.1})
    assert found.keep_of == {"decoder": (0, 2)}
    assert set(found.width_of) == {FEED_FORWARDS[1], FEED_FORWARDS[2], FEED_FORWARDS[4]}
    reduce_inventory(inventory(), found)


def test_what_the_family_does_not_know_stays() -> None:
    axis = WidthAxis(inventory(), Members(FEED_FORWARDS[:1], (0.0,), ((48,),)), 0.0, 0.1)
    before = Configuration(width=((FEED_FORWARDS[0], 3), (FEED_FORWARDS[1], 5)))
    assert axis.resolve({"width.eta": 0.1}, before).width_of == {FEED_FORWARDS[1]: 5}


def test_a_supernet_comes_first_in_the_schedule_once() -> None:
    axis = _axis(DIGEST)
    for eta in ETAS:
        found = axis.resolve({"width.eta": eta}, Configuration())
        assert found.supernet == DIGEST
        assert found.schedule == (f"supernet:{DIGEST}", *TRANSFORMATIONS)
        assert axis.resolve({"width.eta": eta}, found) == found


def test_lowest_is_the_smallest_member_in_range() -> None:
    assert _axis().lowest() == {"width.eta": 0.4}
    assert WidthAxis(inventory(), widths(), 0.0, 0.3).lowest() == {"width.eta": 0.3}  # nearest to 0.4
    grown = Members(FEED_FORWARDS, (0.1, 0.2), ((4,) * 5, (8,) * 5))  # a search is no exact solver
    assert WidthAxis(inventory(), grown, 0.0, 0.2).lowest() == {"width.eta": 0.1}


def test_description_identifies_family_and_supernet() -> None:
    described = _axis().describe()
    assert described == {"width.eta": [0.0, 0.4], "width.family": widths().digest, "width.supernet": None}
    assert _axis(DIGEST).describe() == described | {"width.supernet": DIGEST}
    other = Members(FEED_FORWARDS, ETAS, (*widths().sizes[:2], (48, 8, 16, 2, 3)))
    assert other.digest != widths().digest


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (Members(("encoder.embed",), (0.0,), ((1,),)), "widths must belong to feed-forwards of the model, got 'encoder.embed'"),
        (Members(FEED_FORWARDS[:1], (0.0,), ((49,),)), r"hidden units of encoder.encoders.0.feed_forward must lie in \[1, 48\], got 49"),
    ],
)
def test_families_of_other_models_are_refused(members: Members, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WidthAxis(inventory(), members, 0.0, 0.1)


@pytest.mark.parametrize(
    ("etas", "sizes", "message"),
    [
        ((), (), r"the etas of a family must be different and ascending, got \(\)"),
        ((0.1, 0.1), ((1,), (1,)), "different and ascending"),
        ((0.1,), ((1, 2),), r"every eta needs a size for each of 1 paths, got \[2\]"),
        ((0.1,), ((0,),), "sizes of a family must be at least 1"),
    ],
)
def test_members_are_checked(etas: tuple[float, ...], sizes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Members(("a",), etas, sizes)
