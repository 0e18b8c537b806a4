"""Training stages of configurations, run once and kept: keys, the cache, starts, and what a bundle then holds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paredown.compress.compress import CompressedModel
from paredown.compress.network import compress_model, dense_network, names_in_network, state_of
from paredown.compress.recovered import Recovered
from paredown.compress.tensors import Quantized
from paredown.data import load_split
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.recover.execute import fill_others
from paredown.recover.trainer import BatchSource
from paredown.recover.training_data import TrainingData
from paredown.space.configuration import TRANSFORMATIONS, Configuration, Decode, Scheme
from paredown.space.training import Mixture, Training
from paredown.trials.recoveries import Recovery, find_recovery, recover, recovery_key
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_model, write_split
from tests.trials.telling import Quiet

FF = "decoder.decoders.1.feed_forward"
SHAPES = Configuration(
    keep=(("decoder", (0, 1, 3)),),
    width=((FF, 9),),
    rank=((f"{FF}.w_1", 4),),
    sparsity=(("decoder.feed_forward", 0.4),),
    bits=((f"{FF}.w_1", 4), (f"{FF}.w_2", 3), ("decoder.output_layer", 8), ("encoder.encoders.0.conv_module.depthwise_conv", 4)),
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return TrainingData(load_split(write_split(tmp_path_factory.mktemp("data"), 6)))


def stage_of(data: TrainingData, kind: str = "fine-tune", **changes: Any) -> Training:
    settings: dict[str, Any] = {"steps": 3, "rate": 1e-2, "batch_s": 2.0, **changes}
    return Training(kind, data.digest, **settings)  # type: ignore[arg-type]


def scheduled(configuration: Configuration, *stages: Training, first: tuple[str, ...] = ()) -> Configuration:
    return replace(configuration, schedule=(*first, *TRANSFORMATIONS[:-1], *stages, TRANSFORMATIONS[-1]))


def folder() -> Path:
    from paredown.trials import recoveries

    return recoveries._cache()


@pytest.mark.parametrize("kind", ["fine-tune", "distill", "qat"])
def test_training_moves_the_weights_that_are_left_and_the_bundle_holds_them(model: Model, data: TrainingData, kind: str) -> None:
    configuration = scheduled(SHAPES, stage_of(data, kind, teacher=0.0 if kind == "fine-tune" else 0.5))
    found = recover(model, configuration, Recovery(data, Quiet()))
    assert found is not None
    compressed = compress_model(model, configuration, recovered=found)
    own = compress_model(model, replace(configuration, schedule=TRANSFORMATIONS))
    moved = [name for name in own.tensors if not np.array_equal(_dense(compressed, name), _dense(own, name))]
    assert len(moved) > 0.9 * len(own.tensors)
    zeros = _dense(own, f"{FF}.w_1.down.weight") == 0
    assert zeros.any()
    assert not _dense(compressed, f"{FF}.w_1.down.weight")[zeros].any()  # what was pruned stays pruned
    assert json.dumps(found.about)
    with Workshop(model) as workshop:  # nothing to train with, nothing to train
        bundle = workshop.build(configuration)
        assert json.loads((bundle / "manifest.json").read_text())["configuration_digest"] == configuration.digest


def test_codes_of_quantization_aware_training_are_those_it_saw(model: Model, data: TrainingData) -> None:
    configuration = scheduled(SHAPES, stage_of(data, "qat"))
    found = recover(model, configuration, Recovery(data, Quiet()))
    assert found is not None
    assert set(found.bits) == {f"{FF}.w_1.down", f"{FF}.w_1.up", *(path for path, _ in SHAPES.bits if path != f"{FF}.w_1")}
    for path, width in found.bits.items():
        layer = compress_model(model, configuration, recovered=found).tensors[f"{path}.weight"]
        assert isinstance(layer, Quantized)
        assert layer.bits == width
        assert np.array_equal(layer.scales, found.steps[path])


def test_a_second_look_trains_nothing(model: Model, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = scheduled(SHAPES, stage_of(data))
    first = recover(model, configuration, Recovery(data, Quiet()))
    monkeypatch.setattr("paredown.recover.execute.run_stage", lambda *_: pytest.fail("trained again"))
    others = replace(configuration, bits=(), decode=Decode(beam_size=3))  # weights were not trained with these
    second = recover(model, others, None)
    assert first is not None
    assert second is not None
    assert all(np.array_equal(array, second.parameters[name]) for name, array in first.parameters.items())


def test_keys_hang_on_what_the_weights_hang_on(model: Model, data: TrainingData) -> None:
    tuned, aware = scheduled(SHAPES, stage_of(data)), scheduled(SHAPES, stage_of(data, "qat"))
    other_bits = {"bits": SHAPES.bits[:2]}

    def key(configuration: Configuration) -> str:
        return recovery_key(model.digest, configuration)

    assert key(tuned) == key(replace(tuned, **other_bits))
    assert key(aware) != key(replace(aware, **other_bits))
    assert key(tuned) != key(replace(tuned, sparsity=()))
    assert key(tuned) != key(scheduled(SHAPES, stage_of(data, seed=1)))
    assert key(tuned) != recovery_key("0" * 64, tuned)
    before = replace(SHAPES, schedule=(stage_of(data), *TRANSFORMATIONS))
    assert key(before) == key(replace(before, keep=(), sparsity=()))  # nothing of these is done by then
    assert key(replace(SHAPES, schedule=(f"recovered:{key(tuned)}", *TRANSFORMATIONS))) == key(tuned)
    with pytest.raises(ValueError, match="needs a training stage"):
        key(SHAPES)


def test_training_between_transformations(model: Model, data: TrainingData) -> None:
    first, second = stage_of(data, seed=1), stage_of(data, seed=2)
    configuration = replace(SHAPES, schedule=(first, "drop", second, "narrow", "factorize", "prune", "quantize"))
    found = recover(model, configuration, Recovery(data, Quiet()))
    assert found is not None
    assert found.stages == 3
    assert sorted(path.name for path in folder().iterdir() if path.is_dir()) == sorted(
        recovery_key(model.digest, replace(configuration, schedule=schedule))
        for schedule in (configuration.schedule, (first, *TRANSFORMATIONS))
    )
    compressed = compress_model(model, configuration, recovered=found)
    assert not any(name.startswith("decoder.decoders.2.") for name in compressed.tensors)
    assert dense_network(model, compressed).decoder.decoders[1].feed_forward.w_2.weight.shape[1] == 9


def test_a_start_is_inherited_and_named_by_its_digest(model: Model, data: TrainingData) -> None:
    wide = scheduled(replace(SHAPES, keep=(), width=(), rank=()), stage_of(data))
    recover(model, wide, Recovery(data, Quiet()))
    key = recovery_key(model.digest, wide)
    heir = replace(SHAPES, schedule=(f"recovered:{key}", *TRANSFORMATIONS), bits=(), sparsity=())
    found = recover(model, heir, None)
    assert found is not None
    assert found.stages == 0
    compressed = compress_model(model, heir, recovered=found)
    name = "encoder.encoders.0.feed_forward.w_1.weight"
    assert np.array_equal(compressed.tensors[name], found.parameters[name])
    assert not np.array_equal(found.parameters[name], state_of(model)[name])
    further = scheduled(SHAPES, stage_of(data, "qat"), first=(f"recovered:{key}",))
    assert recover(model, further, Recovery(data, Quiet())) is not None
    with pytest.raises(BadInput, match="the recovery bbbbbbbbbbbb of this configuration is not at hand"):
        find_recovery("b" * 64)


def test_steps_of_other_shapes_are_no_start(model: Model, data: TrainingData) -> None:
    wide = scheduled(replace(SHAPES, width=(), rank=()), stage_of(data, "qat"))
    source = recover(model, wide, Recovery(data, Quiet()))
    assert source is not None
    assert len(source.steps[f"{FF}.w_1"]) > SHAPES.width_of[FF]
    first = f"recovered:{recovery_key(model.digest, wide)}"
    for narrower in (replace(SHAPES, rank=()), SHAPES, replace(SHAPES, scheme=Scheme(granularity="tensor"))):
        found = recover(model, scheduled(narrower, stage_of(data, "qat"), first=(first,)), Recovery(data, Quiet()))
        assert found is not None
        compressed = compress_model(model, narrower, recovered=replace(found, stages=5))
        assert all(len(found.steps[path]) == len(_quantized(compressed, path).scales) for path in found.steps)


def test_what_is_kept_asks_for_nothing_before_it(model: Model, data: TrainingData) -> None:
    start, first, second = (stage_of(data, seed=seed) for seed in (1, 2, 3))
    source = scheduled(Configuration(), start)
    recover(model, source, Recovery(data, Quiet()))
    key = recovery_key(model.digest, source)
    configuration = scheduled(Configuration(), first, second, first=(f"recovered:{key}",))
    found = recover(model, configuration, Recovery(data, Quiet()))
    for digest in (key, recovery_key(model.digest, scheduled(Configuration(), first, first=(f"recovered:{key}",)))):
        shutil.rmtree(folder() / digest)
    again = recover(model, configuration, None)
    assert found is not None
    assert again is not None
    assert again.stages == found.stages
    assert all(np.array_equal(array, again.parameters[name]) for name, array in found.parameters.items())


def test_the_kernel_to_come_changes_no_training(model: Model, data: TrainingData) -> None:
    configuration = scheduled(Configuration(), stage_of(data), stage_of(data, seed=1))
    weights = []
    for kernel in ("int8", "fp16"):
        found = recover(model, replace(configuration, scheme=Scheme(kernel=kernel)), Recovery(data, Quiet()))  # type: ignore[arg-type]
        assert found is not None
        weights.append(found.parameters)
        shutil.rmtree(folder())
    assert all(np.array_equal(array, weights[1][name]) for name, array in weights[0].items())


def test_a_supernet_learns_from_the_uncompressed_model(model: Model, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = replace(model, digest="5" * 64)
    configuration = scheduled(Configuration(), stage_of(data, "distill", teacher=0.5))
    taught: list[Model] = []

    def batches_of(teacher: Model, *_: Any) -> BatchSource:
        taught.append(teacher)
        return lambda _: iter(())

    monkeypatch.setattr("paredown.trials.training_batches.batches_of", batches_of)
    monkeypatch.setattr("paredown.recover.execute.run_stage", lambda *_: Recovered({}, stages=5))
    for teacher in (model, None, model):
        recover(supernet, configuration, Recovery(data, Quiet()), teacher)
    assert len({path.name for path in folder().iterdir() if path.is_dir()}) == 2  # another teacher, other weights
    assert taught == [model, supernet]


def test_without_factors_nothing_is_held_semi_orthogonal(model: Model, data: TrainingData) -> None:
    tell = Quiet()
    stage = stage_of(data, semi_orthogonal="SLLS")
    assert recover(model, scheduled(replace(SHAPES, rank=()), stage), Recovery(data, tell)) is not None
    assert any("nothing that the configuration factorizes" in line for line in tell.lines)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU that torch sees")
@pytest.mark.parametrize("kind", ["fine-tune", "qat"])
def test_a_stage_is_trained_on_the_gpu(kind: str, model: Model, data: TrainingData) -> None:
    torch.cuda.reset_peak_memory_stats()
    found = recover(model, scheduled(SHAPES, stage_of(data, kind)), Recovery(data, Quiet()))
    assert found is not None
    assert torch.cuda.max_memory_allocated() > 4 * model.inference_parameters
    assert next(model.network.parameters()).device.type == "cpu"


def test_the_source_ctc_goes_on_from_where_it_was(model: Model) -> None:
    name = "ctc.ctc_lo.weight"
    moved = state_of(model)[name] + 1
    compressed = compress_model(model, SHAPES)
    network = dense_network(model, compressed)
    fill_others(network, names_in_network(model, compressed), Recovered({name: moved, f"{FF}.w_2.bias": np.zeros(16, np.float32)}))
    assert np.array_equal(network.state_dict()[name].numpy(), moved)
    assert network.state_dict()["decoder.decoders.1.feed_forward.w_2.bias"].any()  # that is no business of its


def test_other_data_than_the_schedule_names_is_refused(model: Model, data: TrainingData, tmp_path: Path) -> None:
    configuration = scheduled(SHAPES, stage_of(data))
    with pytest.raises(BadInput, match="it needs training data"):
        recover(model, configuration, None)
    other = TrainingData(load_split(write_split(tmp_path / "other", 3)))
    with pytest.raises(BadInput, match=data.digest[:12]):
        recover(model, configuration, Recovery(other, Quiet()))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_damaged_recovery_counts_as_absent(model: Model, data: TrainingData, share: float) -> None:
    configuration = scheduled(SHAPES, stage_of(data))
    first = recover(model, configuration, Recovery(data, Quiet()))
    kept = folder() / recovery_key(model.digest, configuration) / "weights.npz"
    kept.write_bytes(kept.read_bytes()[: round(share * kept.stat().st_size)])
    with pytest.raises(BadInput, match="it needs training data"):
        recover(model, configuration, None)
    again = recover(model, configuration, Recovery(data, Quiet()))
    assert first is not None
    assert again is not None
    assert all(np.array_equal(array, again.parameters[name]) for name, array in first.parameters.items())  # trained the same way


def test_a_loss_that_is_not_finite_is_the_inputs_fault(model: Model, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise ValueError("the loss must be finite, got nan at step 2")

    monkeypatch.setattr("paredown.recover.execute.train_stage", explode)
    with pytest.raises(BadInput, match=r"fine-tune at 0.01: the loss must be finite, got nan at step 2"):
        recover(model, scheduled(Configuration(), stage_of(data)), Recovery(data, Quiet()))


def test_what_the_uncompressed_model_says_is_a_target_too(model: Model, data: TrainingData) -> None:
    configuration = scheduled(SHAPES, stage_of(data, "distill", mixture=Mixture(1, 2)))
    assert recover(model, configuration, Recovery(data, Quiet())) is not None


def _quantized(compressed: CompressedModel, path: str) -> Quantized:
    layer = compressed.tensors[f"{path}.weight"]
    assert isinstance(layer, Quantized)
    return layer


def _dense(compressed: Any, name: str) -> Any:
    tensor = compressed.tensors[name]
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor
