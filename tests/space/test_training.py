"""Training stages as values, and where they may stand in a schedule."""

import json
from dataclasses import replace
from typing import Any

import pytest

from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.training import Mixture, Training

DATA, OTHER = "a" * 64, "b" * 64
TUNE = Training("fine-tune", DATA, steps=10)
QAT = Training("qat", DATA, minutes=2, teacher=0.5, mixture=Mixture(1, 10, 2), other_data=OTHER)
DROP, NARROW, FACTORIZE, PRUNE, QUANTIZE = TRANSFORMATIONS


def scheduled(*stages: str | Training) -> Configuration:
    return Configuration(schedule=stages)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "tune"}, "a training stage is one of"),
        ({"data": "abc"}, "must be the SHA-256 of a split in hex, got 'abc'"),
        ({"steps": None}, "one of them, got None and None"),
        ({"minutes": 3.0}, "one of them, got 10 and 3.0"),
        ({"steps": 0}, r"steps must be a whole number in \[1, 1000000000\], got 0"),
        ({"steps": True}, "steps must be a whole number"),
        ({"steps": None, "minutes": float("nan")}, "minutes must be a number"),
        ({"rate": 0.0}, r"rate must be a number in \(0, 1\], got 0.0"),
        ({"teacher": 1.5, "kind": "distill"}, r"teacher must be a number in \[0, 1\], got 1.5"),
        ({"teacher": 0.5}, "fine-tune has no teacher"),
        ({"kind": "distill"}, "distill needs a teacher"),
        ({"other_data": OTHER}, "out-of-domain data and its share go together"),
        ({"mixture": Mixture(1, 0, 1)}, "out-of-domain data and its share go together"),
        ({"seed": 2**32}, "seed must be a whole number"),
        ({"rank": 0}, "rank must be a whole number"),
        ({"masking": 1}, "masking must be true or false"),
        ({"semi_orthogonal": "SLSS"}, "semi_orthogonal must be SL, LS, LL for w_1 and for w_2, as SLLS, got 'SLSS'"),
        ({"semi_orthogonal": "SL"}, "semi_orthogonal must be"),
        ({"semi_orthogonal": True}, "semi_orthogonal must be"),
        ({"kind": "lora", "semi_orthogonal": "SLLS"}, "no semi_orthogonal with lora"),
    ],
)
def test_impossible_stages_are_refused_with_the_value(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TUNE, **changes)


def test_a_mixture_takes_something() -> None:
    with pytest.raises(ValueError, match="must take something"):
        Mixture(0, 0, 0)
    with pytest.raises(ValueError, match="whole number"):
        Mixture(references=-1)


def test_a_configuration_with_training_survives_json() -> None:
    configuration = scheduled(f"recovered:{OTHER}", DROP, TUNE, NARROW, FACTORIZE, PRUNE, QAT, QUANTIZE)
    again = Configuration.from_json(configuration.to_json())
    assert again == configuration
    assert again.digest == configuration.digest
    assert again.trainings == (TUNE, QAT)
    assert again.inherited == OTHER
    assert again.supernet is None
    assert json.loads(configuration.to_json())["schedule"][2]["kind"] == "fine-tune"


def test_numbers_written_in_two_ways_are_one_stage() -> None:
    assert replace(QAT, minutes=2.0) == replace(QAT, minutes=2)
    assert scheduled(*TRANSFORMATIONS[:-1], replace(QAT, minutes=2), QUANTIZE).digest == (
        scheduled(*TRANSFORMATIONS[:-1], replace(QAT, minutes=2.0), QUANTIZE).digest
    )


def test_unknown_keys_of_a_stage_are_refused() -> None:
    value = json.loads(scheduled(TUNE, *TRANSFORMATIONS).to_json())
    value["schedule"][0]["epochs"] = 3
    with pytest.raises(ValueError, match="a training stage has no key 'epochs'"):
        Configuration.from_json(json.dumps(value))
    value["schedule"][0] = {"kind": "qat"}
    with pytest.raises(ValueError, match="must have data"):
        Configuration.from_json(json.dumps(value))


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ((DROP, NARROW, FACTORIZE, PRUNE, QUANTIZE, TUNE), "must end in quantize"),
        ((DROP, NARROW, FACTORIZE, QAT, PRUNE, QUANTIZE), "prune before qat"),
        ((DROP, NARROW, FACTORIZE, PRUNE, QAT, TUNE, QUANTIZE), "nothing but quantize behind qat"),
        ((DROP, replace(TUNE, semi_orthogonal="SLLS"), NARROW, FACTORIZE, PRUNE, QUANTIZE), "factorize before a semi-orthogonal"),
        ((DROP, TUNE, NARROW, FACTORIZE, QUANTIZE), "must name each of"),
        (("recovered:x", *TRANSFORMATIONS), "must name each of"),
        ((*TRANSFORMATIONS[:-1], f"recovered:{OTHER}", QUANTIZE), "must name each of"),
        (((TUNE,), *TRANSFORMATIONS), "must be a list of stages"),
    ],
)
def test_orders_without_a_meaning_are_refused(stages: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Configuration(schedule=stages)


def test_what_needs_the_teachers_hypotheses() -> None:
    assert QAT.needs_hypotheses
    assert not TUNE.needs_hypotheses
