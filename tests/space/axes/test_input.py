"""Axis `input`: hops and rates from the least to the most saved, one digest for the model's own input."""

import pytest

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.input import InputAxis
from paredown.space.configuration import Configuration, Input

RATES = (Input(), Input(None, 8000, "matched"), Input(None, 8000, "naive"))


def test_the_models_own_input_has_the_digest_of_no_axis() -> None:
    space = SearchSpace([InputAxis(160, (160, 200, 250), RATES)])
    assert space.resolve({"input.hop_samples": 160, "input.rate": 0}).digest == Configuration().digest


def test_hops_between_choices_are_the_nearest_choice() -> None:
    space = SearchSpace([InputAxis(160, (160, 200, 300))])
    heard = [space.resolve({"input.hop_samples": hop}).input.hop_samples for hop in (160, 179, 180, 181, 250, 251, 300)]
    assert heard == [None, None, None, 200, 200, 300, 300]


def test_rate_and_hop_are_chosen_together() -> None:
    space = SearchSpace([InputAxis(128, (128, 256), RATES)])
    assert space.resolve({"input.hop_samples": 256, "input.rate": 2}).input == Input(256, 8000, "naive")


def test_the_lowest_is_the_least_work() -> None:
    assert SearchSpace([InputAxis(160, (160, 300), RATES)]).smallest().input == Input(300, 8000, "naive")


def test_the_description_tells_what_resolves_differently() -> None:
    described = {
        str(sorted(InputAxis(own, hops, rates).describe().items()))
        for own, hops, rates in [
            (160, (160, 300), ()),
            (128, (160, 300), ()),
            (160, (160, 200, 300), ()),
            (160, (160, 300), RATES),
            (160, (160, 300), RATES[:2]),
        ]
    }
    assert len(described) == 5


def test_an_axis_without_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="axis input needs hop lengths or sample rates"):
        InputAxis(160)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hop_samples": 0}, r"hop_samples must be a whole number in \[1, 16384\] or null, got 0"),
        ({"hop_samples": True}, "hop_samples must be a whole number"),
        ({"sample_rate_hz": 999}, "sample_rate_hz must be a whole number"),
        ({"sample_rate_hz": 8000, "variant": "fast"}, "variant must be one of naive, matched, got 'fast'"),
        ({"variant": "naive"}, "a variant goes with a sample rate"),
    ],
)
def test_impossible_inputs_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Input(**given)  # type: ignore[arg-type]


def test_an_input_survives_json() -> None:
    configuration = Configuration(input=Input(250, 8000, "naive"))
    assert Configuration.from_json(configuration.to_json()) == configuration
    assert Configuration.from_json("{}").input == Input()
