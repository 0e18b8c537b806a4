"""Refinement: nothing known, nothing twice, nothing against the rules, and the same again with the same seed."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from paredown.search.refinement import refine
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.bit_rules import BitRules
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from paredown.space.neighbours import is_of, neighbours
from paredown.space.training import Training
from tests.search.bundled_toy import bits_axis, inventory, make_space

MODEL = inventory(1, 2, 8)


def small(low: float = 3.0, rules: BitRules | None = None) -> SearchSpace:
    return make_space(MODEL, (LayersAxis("decoder", 2, (1,), 1, 2), DecodeAxis(beam_size=(1, 10)), bits_axis(MODEL, low, rules=rules)))


def trial(space: SearchSpace, number: int, average: float, beam: int = 5, blocks: int = 2) -> Trial:
    values = {"layers.decoder": blocks, "decode.beam_size": beam, "bits.average": average}
    return Trial(number, "complete", Candidate("search", space.resolve(values), tuple(space.checked(values).items())))


def front(space: SearchSpace) -> list[Trial]:
    return [trial(space, 0, 6.0), trial(space, 1, 4.5, beam=3), trial(space, 2, 4.0, blocks=1)]


def test_all_neighbours_are_given_once_and_what_is_known_never() -> None:
    space, found = small(), front(small())
    own = {one.digest for one in found}
    every = [candidate.digest for candidate in refine(space, found, own, np.random.default_rng(0))]
    expected = {one.configuration.digest for point in found for one in neighbours(space, point.configuration)} - own
    assert len(every) == len(set(every))
    assert expected <= set(every)
    assert not own & set(every)
    known = own | set(every[::2])
    assert not known & {candidate.digest for candidate in refine(space, found, known, np.random.default_rng(0))}


def test_equal_seeds_give_equal_candidates_and_others_others() -> None:
    space = small()
    one, two, other = ([c.digest for c in islice(refine(space, front(space), (), np.random.default_rng(seed)), 30)] for seed in (1, 1, 2))
    assert one == two != other


def test_what_becomes_known_in_between_is_left_out() -> None:
    space = small()
    every = [candidate.digest for candidate in refine(space, front(space), (), np.random.default_rng(0))]
    known: set[str] = set()
    stream = refine(space, front(space), known, np.random.default_rng(0))
    first = next(stream).digest
    known |= set(every[1:5])
    assert [first, *(candidate.digest for candidate in stream)] == [every[0], *every[5:]]


def test_the_points_of_the_front_take_turns() -> None:
    space = small()
    points = [trial(space, number, 4.0, beam) for number, beam in enumerate((2, 5, 8))]
    beams = [candidate.configuration.decode.beam_size for candidate in islice(refine(space, points, (), np.random.default_rng(3)), 3)]
    assert sorted(round((beam - 2) / 3) for beam in beams) == [0, 1, 2]


@pytest.mark.parametrize(
    "rules", [BitRules.of({"decoder.decoders": 4}, {"encoder.subsampling": 8}, "layer"), BitRules.of({}, {"decoder.embed": 32}, "block")]
)
def test_rules_are_kept(rules: BitRules) -> None:
    space = small(4.0, rules)
    points = [trial(space, number, average) for number, average in enumerate((4.6, 6.0))]
    for candidate in refine(space, points, (), np.random.default_rng(0)):
        assert is_of(space, candidate.configuration)
        bits = candidate.configuration.bits_of
        for layer in MODEL.layers:
            if layer.path in bits:
                assert bits[layer.path] >= rules.least_of(layer)
                assert rules.fixed_of(layer) in (None, bits[layer.path])


def test_knob_values_stand_near_and_are_of_the_space() -> None:
    space = small()
    (point,) = [trial(space, 0, 5.0)]
    for candidate in refine(space, [point], (), np.random.default_rng(0)):
        assert candidate.knobs is not None
        assert space.checked(dict(candidate.knobs)) == dict(candidate.knobs)
        if candidate.label == "refined: decode.beam_size up":
            assert dict(candidate.knobs)["decode.beam_size"] == 6 == candidate.configuration.decode.beam_size
        if candidate.label == "refined: bits down":
            assert dict(candidate.knobs)["bits.average"] < 5.0


def test_points_without_knob_values_have_neighbours_without() -> None:
    space = small()
    resolved = trial(space, 0, 5.0).configuration
    found = list(refine(space, [Trial(0, "complete", Candidate("uniform", resolved))], (), np.random.default_rng(0)))
    assert found
    assert all(candidate.knobs is None for candidate in found)
    elsewhere = Trial(0, "complete", Candidate("other", resolved, (("rank.eta", 0.1),)))
    assert all(candidate.knobs is None for candidate in refine(space, [elsewhere], (), np.random.default_rng(0)))


def test_what_was_trained_is_refined_as_what_was_trained() -> None:
    space = small()
    point = trial(space, 0, 5.0)
    stages = ("drop", "narrow", "factorize", "prune", Training("fine-tune", "0" * 64, steps=10), "quantize")
    trained = Trial(0, "complete", Candidate("search", replace(point.configuration, schedule=stages), point.candidate.knobs))
    plain, recovered = ([c.digest for c in refine(space, [one], (), np.random.default_rng(0))] for one in (point, trained))
    assert plain == recovered


def test_an_uncompressed_model_has_nothing_around_it() -> None:
    assert not list(refine(small(), [Trial(0, "complete", Candidate("uncompressed", Configuration()))], (), np.random.default_rng(0)))
