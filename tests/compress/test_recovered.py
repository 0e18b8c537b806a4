"""Weights that training made in the place of the model's: behind stages of a schedule, and as a start for another configuration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.compress.compress import CompressedModel
from paredown.compress.narrow import rank_units
from paredown.compress.network import compress_model, dense_network, names_in_network, state_of
from paredown.compress.recovered import Recovered
from paredown.compress.tensors import Array, Quantized
from paredown.models import Model
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.training import Training
from tests.bundle.models import make_model
from tests.models.checkpoints import ENCODERS

TRAINING = Training("fine-tune", "a" * 64, steps=1)
FF = "decoder.decoders.2.feed_forward"
SHAPES = Configuration(
    keep=(("decoder", (0, 2)),), width=((FF, 5),), rank=((f"{FF}.w_1", 3),), heads=(("encoder.encoders.0.self_attn", (1, 3)),)
)


@pytest.fixture(scope="module")
def model() -> Model:
    conf = {**ENCODERS["conformer-latest"]["encoder_conf"], "attention_heads": 4}
    return make_model("conformer", {"attention_heads": 4}, **conf)


def scheduled(configuration: Configuration, place: int) -> Configuration:
    stages = list(TRANSFORMATIONS)
    stages.insert(place, TRAINING)  # type: ignore[arg-type]
    return replace(configuration, schedule=tuple(stages))


def trained(model: Model, configuration: Configuration, stages: int, seed: int = 0) -> Recovered:
    """As if training had moved every parameter."""
    rng = np.random.default_rng(seed)
    compressed = compress_model(model, replace(configuration, bits=()))
    moved = {
        name: (tensor + rng.normal(0, 0.1, tensor.shape) * (tensor != 0)).astype(np.float32)
        for name, tensor in compressed.tensors.items()
        if isinstance(tensor, np.ndarray)
    }
    return Recovered(moved, compressed.cuts, stages=stages)


def test_training_behind_all_stages_gives_exactly_its_weights(model: Model) -> None:
    configuration = scheduled(SHAPES, 4)
    recovered = trained(model, configuration, stages=5)
    compressed = compress_model(model, configuration, recovered=recovered)
    assert all(np.array_equal(compressed.tensors[name], recovered.parameters[name]) for name in compressed.tensors)
    assert set(compressed.cuts) == set(recovered.cuts)


def test_blocks_that_go_behind_training_leave_the_trained_others(model: Model) -> None:
    configuration = scheduled(replace(SHAPES, width=(), rank=(), heads=()), 0)
    recovered = trained(model, Configuration(), stages=1)
    compressed = compress_model(model, configuration, recovered=recovered)
    assert not any(name.startswith("decoder.decoders.1.") for name in compressed.tensors)
    assert all(np.array_equal(tensor, recovered.parameters[name]) for name, tensor in compressed.tensors.items())


def test_units_that_go_behind_training_are_ranked_by_the_trained_weights(model: Model) -> None:
    recovered = trained(model, Configuration(), stages=1, seed=3)
    compressed = compress_model(model, scheduled(Configuration(width=((FF, 5),)), 0), recovered=recovered)
    first, second = recovered.parameters[f"{FF}.w_1.weight"], recovered.parameters[f"{FF}.w_2.weight"]
    kept = np.sort(rank_units(first, second)[:5])
    own = np.sort(rank_units(state_of(model)[f"{FF}.w_1.weight"], state_of(model)[f"{FF}.w_2.weight"])[:5])
    assert not np.array_equal(kept, own)  # or this test shows nothing
    assert np.array_equal(compressed.tensors[f"{FF}.w_1.weight"], first[kept])


def test_what_was_pruned_before_training_stays_pruned(model: Model) -> None:
    configuration = scheduled(Configuration(sparsity=(("decoder.feed_forward", 0.6),), bits=((f"{FF}.w_1", 4),)), 4)
    recovered = trained(model, configuration, stages=5)
    compressed = compress_model(model, configuration, recovered=recovered)
    layer = compressed.tensors[f"{FF}.w_1.weight"]
    assert isinstance(layer, Quantized)
    assert np.array_equal(layer.mask, recovered.parameters[f"{FF}.w_1.weight"] != 0)


def test_learned_steps_make_the_codes_at_their_own_width_only(model: Model) -> None:
    path = f"{FF}.w_2"
    weight = state_of(model)[f"{path}.weight"]
    steps = np.full(len(weight), 0.031, np.float32)
    recovered = replace(trained(model, Configuration(), stages=5), steps={path: steps}, bits={path: 3})
    at_3 = compress_model(model, scheduled(Configuration(bits=((path, 3),)), 4), recovered=recovered).tensors[f"{path}.weight"]
    at_4 = compress_model(model, scheduled(Configuration(bits=((path, 4),)), 4), recovered=recovered).tensors[f"{path}.weight"]
    assert isinstance(at_3, Quantized)
    assert isinstance(at_4, Quantized)
    assert np.array_equal(at_3.scales, steps)
    expected = np.clip(np.rint(recovered.parameters[f"{path}.weight"] / np.float32(0.031)), -3, 3)
    assert np.array_equal(at_3.codes, expected)
    assert not np.array_equal(at_4.scales, steps)


def test_a_start_is_taken_where_shapes_and_units_agree(model: Model) -> None:
    source = replace(trained(model, SHAPES, stages=5), stages=0)
    narrower = replace(SHAPES, width=((FF, 4),), keep=(("decoder", (0, 1, 2)),))
    found = compress_model(model, narrower, recovered=source).tensors
    own = compress_model(model, narrower).tensors
    same = "encoder.encoders.0.self_attn.linear_q.weight"  # the same heads stay
    assert np.array_equal(found[same], source.parameters[same])
    for other in (f"{FF}.w_1.down.weight", f"{FF}.w_2.weight", "decoder.decoders.1.feed_forward.w_1.weight"):
        assert np.array_equal(found[other], own[other]), other


def test_a_whole_parameter_is_cut_as_the_configuration_says(model: Model) -> None:
    source = trained(model, Configuration(), stages=0)
    found = compress_model(model, Configuration(width=((FF, 5),)), recovered=source)
    kept = found.cuts[f"{FF}.w_1.weight"].indices
    assert np.array_equal(found.tensors[f"{FF}.w_1.weight"], source.parameters[f"{FF}.w_1.weight"][kept])


def test_equal_shapes_of_other_heads_are_not_taken(model: Model) -> None:
    source = replace(trained(model, SHAPES, stages=5), stages=0)
    others = replace(SHAPES, heads=(("encoder.encoders.0.self_attn", (0, 3)),))
    name = "encoder.encoders.0.self_attn.linear_q.weight"
    found = compress_model(model, others, recovered=source).tensors[name]
    assert np.array_equal(found, compress_model(model, others).tensors[name])


def test_two_factors_are_taken_together_or_not_at_all(model: Model) -> None:
    whole = Configuration(rank=((f"{FF}.w_1", 3), (f"{FF}.w_2", 3)))
    narrow = replace(whole, width=((FF, 5),))
    names = [f"{FF}.{role}.{factor}.weight" for role in ("w_1", "w_2") for factor in ("down", "up")]
    source = trained(model, whole, stages=0)
    found = compress_model(model, narrow, recovered=source)
    kept = found.cuts[f"{FF}.w_1.weight"].indices
    cut = {names[1]: source.parameters[names[1]][kept], names[2]: source.parameters[names[2]][:, kept]}
    for name in names:
        assert np.array_equal(found.tensors[name], cut.get(name, source.parameters[name])), name
    back, own = compress_model(model, whole, recovered=trained(model, narrow, stages=0)).tensors, compress_model(model, whole).tensors
    assert all(np.array_equal(back[name], own[name]) for name in names)


def test_a_width_of_all_units_is_no_other_shape(model: Model) -> None:
    units = model.inventory().feed_forwards[FF]
    source = trained(model, Configuration(), stages=0)
    found = compress_model(model, Configuration(width=((FF, units),)), recovered=source).tensors
    back = compress_model(model, Configuration(), recovered=trained(model, Configuration(width=((FF, units),)), stages=0)).tensors
    for name in (f"{FF}.w_1.weight", f"{FF}.w_1.bias", f"{FF}.w_2.weight"):
        assert np.array_equal(found[name], source.parameters[name])
        assert np.array_equal(back[name], found[name])


def test_learned_steps_are_inherited_with_the_weights_that_they_belong_to(model: Model) -> None:
    first, second = f"{FF}.w_1", f"{FF}.w_2"
    bits, narrow = ((first, 3), (second, 3)), ((FF, 5),)
    steps = {path: np.linspace(0.01, 0.05, len(state_of(model)[f"{path}.weight"]), dtype=np.float32) for path in (first, second)}
    source = replace(trained(model, Configuration(), stages=0), steps=steps, bits=dict(bits))
    found = compress_model(model, Configuration(width=narrow, bits=bits), recovered=source)
    assert _scales(found, first).tolist() == steps[first][found.cuts[f"{first}.weight"].indices].tolist()
    assert _scales(found, second).tolist() == steps[second].tolist()
    narrower = replace(trained(model, Configuration(width=narrow), stages=0), steps={second: steps[second]}, bits=dict(bits))
    own = compress_model(model, Configuration(bits=bits))
    assert np.array_equal(_scales(compress_model(model, Configuration(bits=bits), recovered=narrower), second), _scales(own, second))


def _scales(compressed: CompressedModel, path: str) -> Array:
    layer = compressed.tensors[f"{path}.weight"]
    assert isinstance(layer, Quantized)
    return layer.scales


def test_saved_weights_come_back(model: Model, tmp_path: Path) -> None:
    recovered = replace(
        trained(model, SHAPES, stages=5), steps={"a.b": np.ones(3, np.float32)}, bits={"a.b": 2}, about={"kind": "qat", "loss": 1.5}
    )
    recovered.save(tmp_path)
    again = Recovered.load(tmp_path)
    assert {name: array.tobytes() for name, array in again.parameters.items()} == {
        name: array.tobytes() for name, array in recovered.parameters.items()
    }
    assert {name: (cut.axis, cut.indices.tolist()) for name, cut in again.cuts.items()} == {
        name: (cut.axis, cut.indices.tolist()) for name, cut in recovered.cuts.items()
    }
    assert (again.bits, again.stages, again.about) == (recovered.bits, recovered.stages, recovered.about)
    assert again.steps_of("a.b", 2) is not None
    assert again.steps_of("a.b", 3) is None


@torch.no_grad()
def test_names_lead_to_the_network_of_the_compressed_model(model: Model) -> None:
    compressed = compress_model(model, SHAPES)
    network, names = dense_network(model, compressed), names_in_network(model, compressed)
    state = network.state_dict()
    assert len(set(names.values())) == len(names) == len(compressed.tensors)
    for name, inner in names.items():
        tensor = compressed.tensors[name]
        assert isinstance(tensor, np.ndarray)
        assert np.array_equal(state[inner].numpy().reshape(tensor.shape), tensor), name
