"""The gap of quantizing merged weights: measured on what the configuration hears, zero where nothing is quantized."""

from dataclasses import replace
from pathlib import Path

import pytest

from paredown.compress.network import compress_model, state_of
from paredown.compress.recovered import Recovered
from paredown.data import load_split
from paredown.models import load_model
from paredown.space.configuration import Configuration, Input
from paredown.trials.requantizing import read_samples, requantization_gap
from tests.commands.tiny import write_model, write_split


def test_the_gap_is_measured_on_what_the_configuration_hears(tmp_path: Path) -> None:
    model, split = load_model(write_model(tmp_path / "model")), load_split(write_split(tmp_path / "data"))
    own, longer = Input(), Input(hop_samples=200)
    frames = [len(read_samples(model, heard, split)[3].features) for heard in (own, longer)]
    assert frames[0] / frames[1] == pytest.approx(200 / model.frontend.hop_samples, rel=0.05)
    recovered = Recovered({name: array + 0.01 for name, array in state_of(model).items()}, stages=0)
    plain = Configuration(input=longer)
    coded = replace(plain, bits=(("decoder.output_layer", 2),))
    none = requantization_gap(model, compress_model(model, plain, recovered=recovered), recovered, split)
    gap = requantization_gap(model, compress_model(model, coded, recovered=recovered), recovered, split)
    assert none.before == none.after == gap.before != gap.after
    assert none.before != requantization_gap(model, compress_model(model, Configuration(), recovered=recovered), recovered, split).before
