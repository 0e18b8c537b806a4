"""What the benchmark of the latency predictor draws: distinct configurations, none of them profiled, the same each time."""

import numpy as np
import pytest

pytest.importorskip("torch")

from paredown.trials.predicting.probes import Shape
from tests.benchmarks import bench_predictor
from tests.benchmarks.bench_predictor import BEAMS, HOPS, SEED, UNITS, WIDTHS, draw_held_out

OWN = Shape("fp32", 8, 6, 960, 960, 160, 160)


def test_a_probe_that_leaves_open_what_the_model_has_is_not_drawn_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference probe is the model's own shape and says none of it."""
    monkeypatch.setattr(bench_predictor, "BLOCKS", {"encoder": (8, 9), "decoder": (6, 7)})
    monkeypatch.setattr(bench_predictor, "UNITS", (960,))
    monkeypatch.setattr(bench_predictor, "WIDTHS", (160, 176))
    monkeypatch.setattr(bench_predictor, "HOPS", (160,))
    (first, second, third) = draw_held_out(3, [Shape("fp32")], OWN, np.random.default_rng(0))
    assert OWN not in (first.shape, second.shape, third.shape)


def test_held_out_configurations_differ_from_each_other_and_from_the_probes() -> None:
    drawn = draw_held_out(40, [], OWN, np.random.default_rng(SEED))
    assert draw_held_out(40, [], OWN, np.random.default_rng(SEED)) == drawn
    assert len({held.shape.name for held in drawn}) == 40
    without = draw_held_out(40, [drawn[0].shape, Shape("fp32")], OWN, np.random.default_rng(SEED))
    assert drawn[0].shape not in [held.shape for held in without]
    assert len(without) == 40


def test_every_direction_is_varied() -> None:
    drawn = draw_held_out(40, [], OWN, np.random.default_rng(SEED))
    shapes = [held.shape for held in drawn]
    assert {shape.hop_samples for shape in shapes} == set(HOPS)
    assert {shape.width for shape in shapes} == set(WIDTHS)
    assert {shape.encoder_units for shape in shapes} == {shape.decoder_units for shape in shapes} == set(UNITS)
    assert {shape.kernel for shape in shapes} == {"fp32", "int8"}
    assert {held.beam for held in drawn} == set(range(BEAMS[0], BEAMS[1] + 1))
    assert len({shape.encoder_blocks for shape in shapes}) >= 8
