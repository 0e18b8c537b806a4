"""The first points of a study: different, inside the space, the same every time, whatever axes there are."""

from itertools import combinations

import numpy as np
import pytest

from paredown.search.opening import LABEL, open_with
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from tests.search.bundled_toy import GROUPS, ORDER, bits_axis, inventory, make_space

AXES: tuple[Axis, ...] = (
    LayersAxis("decoder", 6, ORDER, 3, 6),
    InputAxis(160, (160, 200, 250)),
    DecodeAxis(beam_size=(1, 10)),
    SparsityAxis(GROUPS, 0.5),
    bits_axis(inventory()),
)
SUBSETS = [subset for size in range(1, len(AXES) + 1) for subset in combinations(range(len(AXES)), size)]


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_with_any_axes_points_are_new_inside_and_the_same_every_time(subset: tuple[int, ...]) -> None:
    space = make_space(axes=[AXES[place] for place in subset])
    found = open_with(space)
    assert found == open_with(space)
    assert 1 <= len(found) <= 7 + len(space.knobs)
    assert len({candidate.digest for candidate in found}) == len(found)
    for candidate in found:
        assert candidate.label == LABEL
        assert candidate.knobs is not None
        values = dict(candidate.knobs)
        assert list(values) == [knob.name for knob in space.knobs]
        assert all(knob.low <= values[knob.name] <= knob.high for knob in space.knobs)
        assert space.checked(values) == values
        assert space.resolve(values) == candidate.configuration


def test_the_first_has_four_bits_a_few_zeros_and_one_hypothesis() -> None:
    space = make_space(axes=AXES)
    values = dict(open_with(space)[0].knobs or ())
    assert values["bits.average"] == 4.0
    assert (values["layers.decoder"], values["input.hop_samples"], values["decode.beam_size"]) == (6, 160, 1)
    assert {value for name, value in values.items() if name.startswith("sparsity.")} == {0.2}


def test_one_has_all_gentle_but_its_bits() -> None:
    """Every block, no zeros, the model's own hop and beam; the axis's own solver gives the bits."""
    space = make_space(axes=AXES)
    gentle = space.base.decode.beam_size
    (first,) = (candidate for candidate in open_with(space) if dict(candidate.knobs or ())["decode.beam_size"] == gentle)
    values = dict(first.knobs or ())
    assert (values["bits.average"], values["layers.decoder"], values["input.hop_samples"]) == (5.0, 6, 160)
    assert all(value == 0.0 for name, value in values.items() if name.startswith("sparsity."))
    alone = SearchSpace([bits_axis(inventory())], space.base).resolve({"bits.average": 5.0})
    assert first.configuration.bits_of == alone.bits_of
    weights = {layer.path: layer.weights for layer in inventory().layers}
    bits = first.configuration.bits_of
    assert np.average([bits[path] for path in weights], weights=list(weights.values())) <= 5.0 + 1e-9


def test_every_knob_but_the_input_moves_somewhere() -> None:
    """Else a sampler could not tell what it does; frames further apart do great damage before they save much."""
    space = make_space(axes=AXES)
    points = [dict(candidate.knobs or ()) for candidate in open_with(space)]
    assert [knob.name for knob in space.knobs if len({point[knob.name] for point in points}) == 1] == ["input.hop_samples"]


def test_a_knob_of_one_value_stays_there() -> None:
    space = make_space(axes=[LayersAxis("decoder", 6, ORDER, 6, 6), DecodeAxis(beam_size=(4, 4)), bits_axis(inventory(), 5.0, 5.0)])
    assert [dict(candidate.knobs or ()) for candidate in open_with(space)] == [
        {"bits.average": 5.0, "decode.beam_size": 4, "layers.decoder": 6}
    ]
