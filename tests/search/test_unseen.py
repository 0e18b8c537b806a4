"""No configuration twice: spaces that are nearly or wholly used up, many values of one configuration, and what is being evaluated now."""

from collections.abc import Mapping

import numpy as np
import pytest

from paredown.search.proposer import Observation, Proposer
from paredown.search.sampler import SamplerName
from paredown.search.unseen import find_unseen
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from tests.search.bundled_toy import OBJECTIVES, bits_axis, inventory, make_space, values

SAMPLERS: list[SamplerName] = ["tpe", "nsga2", "nsga3", "qmc", "random", "gp"]


class Stubborn:
    """Proposes one point, whatever it is told."""

    def __init__(self, point: Mapping[str, float]) -> None:
        self.point, self.told = point, 0

    def ask(self) -> Mapping[str, float]:
        return self.point

    def tell_known(self, known: Observation | None) -> None:
        self.told += 1


def small() -> SearchSpace:
    """4 x 3 x 10 points, each its own configuration."""
    return make_space(axes=(LayersAxis("decoder", 6, (3, 2, 4), 3, 6), InputAxis(160, (160, 200, 250)), DecodeAxis(beam_size=(1, 10))))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_small_space_is_used_up_without_a_repetition(name: SamplerName) -> None:
    pytest.importorskip("torch") if name == "gp" else None
    space = small() if name != "gp" else make_space(axes=(LayersAxis("decoder", 6, (3, 2, 4), 3, 6), InputAxis(160, (160, 200, 250))))
    size = 120 if name != "gp" else 12
    history: list[Observation] = []
    seen: dict[str, Observation | None] = {}
    digests: dict[tuple[float, ...], str] = {}
    for index in range(size):
        proposer = Proposer(space.knobs, OBJECTIVES, name, 0, size, history, index=index)
        found = find_unseen(space, proposer, seen, np.random.default_rng(index), digests)
        assert found is not None
        assert found.digest not in seen
        assert found.knobs is not None
        assert space.resolve(dict(found.knobs)) == found.configuration
        history.append(Observation(found.knobs, values(found.configuration)))
        seen[found.digest] = history[-1]
    proposer = Proposer(space.knobs, OBJECTIVES, name, 0, size, history, index=size)
    assert find_unseen(space, proposer, seen, np.random.default_rng(0), digests) is None


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "gp"])
def test_many_averages_of_one_configuration(name: SamplerName) -> None:
    """Five layers of one block: the solver has few allocations, and the average is continuous."""
    model = inventory(0, 1, 4)
    space = make_space(model, (bits_axis(model), DecodeAxis(beam_size=(1, 2))))
    history: list[Observation] = []
    seen: dict[str, Observation | None] = {}
    digests: dict[tuple[float, ...], str] = {}
    for index in range(60):
        proposer = Proposer(space.knobs, OBJECTIVES, name, 0, 60, history, index=index)
        found = find_unseen(space, proposer, seen, np.random.default_rng(index), digests)
        assert found is not None
        assert found.digest not in seen
        history.append(Observation(found.knobs or (), values(found.configuration, model)))
        seen[found.digest] = history[-1] if index % 3 else None  # some are rejected


def test_what_is_left_is_found_even_if_the_sampler_never_says_it() -> None:
    space = small()
    points = [space.resolve({"layers.decoder": depth, "input.hop_samples": hop, "decode.beam_size": beam}) for depth, hop, beam in every()]
    last = points[77]
    seen: dict[str, Observation | None] = {point.digest: None for point in points if point != last}
    proposer = Stubborn(space.lowest())
    found = find_unseen(space, proposer, seen, np.random.default_rng(0))
    assert found is not None
    assert found.configuration == last
    assert proposer.told > 0


def test_the_nearest_new_points_come_before_a_draw() -> None:
    """The sampler insists on one point; what is taken differs from it little, not like a draw from everywhere."""
    space = make_space()
    center = {knob.name: float(knob.checked((knob.low + knob.high) // 2)) for knob in space.knobs}
    seen: dict[str, Observation | None] = {space.resolve(center).digest: None}
    distances = []
    for turn in range(10):
        found = find_unseen(space, Stubborn(center), seen, np.random.default_rng(turn))
        assert found is not None
        assert found.knobs is not None
        assert found.label == "search"
        seen[found.digest] = None
        moved = [abs(dict(found.knobs)[knob.name] - center[knob.name]) / (knob.high - knob.low) for knob in space.knobs]
        distances.append(np.mean(moved))
    assert np.mean(distances) < 0.25 / 2  # a draw is a quarter of the range off, from the middle


def test_a_range_smaller_than_its_step_has_one_value() -> None:
    space = make_space(axes=(DecodeAxis(beam_size=(1, 3), ctc_weight=(0.0, 0.02)),))
    seen: dict[str, Observation | None] = {}
    for turn in range(4):
        found = find_unseen(space, Stubborn({"decode.beam_size": 1, "decode.ctc_weight": 0.0}), seen, np.random.default_rng(turn))
        assert (found is None) == (turn == 3)
        if found is not None:
            seen[found.digest] = None


def test_resolved_once_with_a_memory() -> None:
    class Counting(SearchSpace):
        resolved = 0

        def resolve(self, values: Mapping[str, float | int]) -> object:  # type: ignore[override]
            self.resolved += 1
            return super().resolve(values)

    space = Counting(small().axes, small().base)
    seen: dict[str, Observation | None] = {}
    digests: dict[tuple[float, ...], str] = {}
    for turn in range(121):
        found = find_unseen(space, Stubborn(space.lowest()), seen, np.random.default_rng(turn), digests)
        assert (found is None) == (turn == 120)
        if found is not None:
            seen[found.digest] = None
    assert space.resolved == 120


def every() -> list[tuple[int, int, int]]:
    return [(depth, hop, beam) for depth in range(3, 7) for hop in (160, 200, 250) for beam in range(1, 11)]
