"""Axis `decode`: its knobs are the ranges that were given, its rule is what they say."""

import pytest

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.decode import DecodeAxis
from paredown.space.configuration import Configuration, Decode


def test_knobs_are_the_ranges_given() -> None:
    axis = DecodeAxis(beam_size=(1, 10), length_bonus=(-0.5, 0.5))
    assert [(knob.name, knob.low, knob.high) for knob in axis.knobs] == [("decode.beam_size", 1, 10), ("decode.length_bonus", -0.5, 0.5)]


def test_what_has_no_range_stays_as_it_is() -> None:
    space = SearchSpace([DecodeAxis(beam_size=(1, 10))], Configuration(decode=Decode(10, 0.25, 0.3)))
    assert space.resolve({"decode.beam_size": 4}).decode == Decode(4, 0.25, 0.3)


def test_values_lie_on_their_grid() -> None:
    space = SearchSpace([DecodeAxis(ctc_weight=(0.0, 0.5))])
    assert space.resolve({"decode.ctc_weight": 0.3333}).decode.ctc_weight == 0.35
    assert space.resolve({"decode.ctc_weight": 0.01}).decode.ctc_weight == 0.0


def test_the_lowest_searches_least() -> None:
    assert SearchSpace([DecodeAxis((2, 10), (0.0, 0.5))]).smallest().decode == Decode(beam_size=2, ctc_weight=0.0)


def test_an_axis_without_ranges_is_refused() -> None:
    with pytest.raises(ValueError, match="axis decode needs a range"):
        DecodeAxis()
