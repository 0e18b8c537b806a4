"""Axis `rank`: what an eta resolves into, also behind narrowed feed-forwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.members import Members
from paredown.space.axes.rank import RankAxis
from paredown.space.axes.width import WidthAxis
from paredown.space.configuration import Configuration
from paredown.space.reduced import reduce_inventory
from tests.space.axes.families import FEED_FORWARDS, inventory, ranks, widths


def _axis() -> RankAxis:
    return RankAxis(inventory(), ranks(), 0.0, 0.4)


def test_only_ranks_that_save_parameters_are_named() -> None:
    assert _axis().resolve({"rank.eta": 0.0}, Configuration()) == Configuration()
    assert _axis().resolve({"rank.eta": 0.1}, Configuration()).rank_of == {f"{path}.w_1": 8 for path in FEED_FORWARDS}
    expected = {f"{path}.{role}": rank for path in FEED_FORWARDS for role, rank in (("w_1", 4), ("w_2", 2))}
    assert _axis().resolve({"rank.eta": 0.4}, Configuration()).rank_of == expected


def test_narrowed_layers_take_no_more_than_they_have() -> None:
    narrow = Configuration(width=((FEED_FORWARDS[0], 5), (FEED_FORWARDS[1], 3)))
    found = _axis().resolve({"rank.eta": 0.4}, narrow).rank_of
    assert f"{FEED_FORWARDS[0]}.w_1" not in found  # 4 (16 + 5) parameters for 16 x 5
    assert found[f"{FEED_FORWARDS[0]}.w_2"] == 2
    assert f"{FEED_FORWARDS[1]}.w_1" not in found
    assert found[f"{FEED_FORWARDS[1]}.w_2"] == 2


@given(st.floats(0.0, 0.4), st.floats(0.0, 0.4), st.integers(1, 3))
def test_any_values_give_a_configuration_that_the_model_can_have(width: float, rank: float, blocks: int) -> None:
    space = SearchSpace([_axis(), WidthAxis(inventory(), widths(), 0.0, 0.4), LayersAxis("decoder", 3, (1, 2, 0), 1, 3)])
    found = space.resolve({"width.eta": width, "rank.eta": rank, "layers.decoder": blocks})
    whole = space.resolve({"width.eta": width, "rank.eta": 0.0, "layers.decoder": blocks})
    assert reduce_inventory(inventory(), found).parameters <= reduce_inventory(inventory(), whole).parameters
    left = {layer.path: layer for layer in reduce_inventory(inventory(), found).layers}
    for path, _ in found.rank:
        whole_layer = next(layer for layer in reduce_inventory(inventory(), whole).layers if layer.path == path)
        assert left[f"{path}.down"].weights + left[f"{path}.up"].weights < whole_layer.weights


def test_layers_of_dropped_blocks_are_not_named_and_others_stay() -> None:
    before = Configuration(keep=(("decoder", (0, 2)),), rank=(("encoder.encoders.0.feed_forward.w_1", 1),))
    paths = ("decoder.decoders.1.feed_forward.w_1", "decoder.decoders.2.feed_forward.w_1")
    axis = RankAxis(inventory(), Members(paths, (0.0,), ((2, 3),)), 0.0, 0.1)
    assert axis.resolve({"rank.eta": 0.1}, before).rank_of == {"encoder.encoders.0.feed_forward.w_1": 1, paths[1]: 3}


def test_order_lowest_and_description() -> None:
    assert WidthAxis.stage < RankAxis.stage
    assert _axis().lowest() == {"rank.eta": 0.4}
    grown = Members(ranks().paths, (0.1, 0.2), ((2,) * 10, (4,) * 10))
    assert RankAxis(inventory(), grown, 0.0, 0.2).lowest() == {"rank.eta": 0.1}
    assert _axis().describe() == {"rank.eta": [0.0, 0.4], "rank.family": ranks().digest}


def test_families_of_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ranks must belong to layers w_1 and w_2 of feed-forwards, got 'decoder\.embed\.0'"):
        RankAxis(inventory(), Members(("decoder.embed.0",), (0.0,), ((1,),)), 0.0, 0.1)
