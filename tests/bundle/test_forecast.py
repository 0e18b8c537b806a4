"""Bytes that are foretold against bytes that are written: equal, file by file, for whatever configuration."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.forecast import Forecast  # noqa: E402
from paredown.bundle.plan import Outline, plan_bundle  # noqa: E402
from paredown.bundle.storage import arrange  # noqa: E402
from paredown.bundle.write import render, write_bundle  # noqa: E402
from paredown.compress.calibration import Calibration  # noqa: E402
from paredown.compress.compress import CalibratedOn  # noqa: E402
from paredown.compress.network import compress_model, state_of  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.runtime.bundle_files import read_manifest  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Scheme  # noqa: E402
from tests.bundle.configurations import draw_configurations, prunable_groups  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.models.checkpoints import ENCODERS, asr_config, st_config, write_checkpoint  # noqa: E402

BUNDLED, COUNT = "bundled:tatoeba-en-de", 50
HEARD = CalibratedOn("5" * 64, 100)
CTC = {"asr": asr_config(), "st": st_config(model_conf={"st_mtlalpha": 0.3})}


def written(model: Model, configuration: Configuration) -> dict[str, int]:
    return {name: len(data) for name, data in render(model, compress_model(model, configuration)).items()}


def differing(model: Model, configurations: Sequence[Configuration]) -> list[tuple[Configuration, Mapping[str, int], Mapping[str, int]]]:
    """Configurations whose files are not as long as foretold, with what was foretold and written."""
    forecast = Forecast(model)
    pairs = [(one, dict(forecast.foretell(one).files), written(model, one)) for one in configurations]
    return [(one, foretold, found) for one, foretold, found in pairs if foretold != found]


@cache
def model_of(name: str) -> Model:
    if name in CTC:
        with TemporaryDirectory() as folder:
            return load_model(write_checkpoint(Path(folder), CTC[name]))
    return make_model(ENCODERS[name]["encoder"], **ENCODERS[name]["encoder_conf"])


def test_fifty_bundles_of_the_bundled_model_have_the_bytes_foretold(tmp_path: Path) -> None:
    model = load_model(BUNDLED)
    forecast, memo, kinds, kernels = Forecast(model), {}, set(), set()
    for number, configuration in enumerate(draw_configurations(model, COUNT)):
        foretold = forecast.foretell(configuration)
        bundle = write_bundle(model, compress_model(model, configuration, memo), tmp_path / str(number), about={"trial": number})
        found = {file.name: file.stat().st_size for file in bundle.iterdir() if file.name != "measurements.json"}
        assert dict(foretold.files) == found, configuration.to_json()
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        assert [record.to_json() for record in foretold.records] == manifest["tensors"]
        assert {"stored": foretold.stored_parameters, "model": foretold.model_parameters} == manifest["parameters"]
        kinds |= {record.kind for record in foretold.records}
        kernels |= {layer["kernel"] for layer in manifest["layers"].values()}
    assert kinds == {"raw", "half", "dense", "sparse"}  # so that the fifty show something
    assert kernels == {"fp32", "int8", "nbits", "fp16"}


@pytest.mark.parametrize("name", [*ENCODERS, *CTC])
def test_so_have_those_of_every_architecture(name: str) -> None:
    model = model_of(name)
    assert ("ctc.onnx" in dict(Forecast(model).foretell(Configuration()).files)) == (name in CTC)
    assert differing(model, list(draw_configurations(model, 12))) == []


def test_weights_of_equal_size_are_counted_as_they_are_pruned() -> None:
    """A model of a few different magnitudes: every threshold falls among thousands of ties."""
    model = make_model()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(torch.round(parameter * 4) / 4)
    assert differing(model, list(draw_configurations(model, 30, seed=1))) == []


@pytest.mark.parametrize("share", [0.0, 1e-9, 0.25, 0.999, 0.9999999])
def test_shares_at_the_edges(share: float) -> None:
    model = shared_model()
    bits = tuple((layer.path, 3) for layer in model.inventory().layers)
    sparsity = tuple((group, share) for group in prunable_groups(model))
    assert differing(model, [Configuration(bits=bits, sparsity=sparsity)]) == []


@pytest.mark.parametrize("share", [0.0, 0.6])
@pytest.mark.parametrize("bits", [(), (("decoder.output_layer", 4), ("encoder.encoders.0.feed_forward.w_1", 2))])
def test_calibrated_codes_take_the_same_bytes_and_their_manifest_names_the_calibration(bits: Any, share: float) -> None:
    model = shared_model()
    configuration = Configuration(bits=bits, sparsity=(("encoder.feed_forward", share),), scheme=Scheme(method="gptq"))
    calibration = Calibration((), (), HEARD.digest, HEARD.utterances)
    files = render(model, compress_model(model, configuration, calibration=calibration))
    assert (json.loads(files["manifest.json"])["calibration"] is None) == (not bits)
    assert dict(Forecast(model).foretell(configuration, HEARD).files) == {name: len(data) for name, data in files.items()}


WRONG = {
    "a block": Configuration(keep=(("decoder", (0, 9)),)),
    "a layer": Configuration(bits=(("decoder.nothing", 4),)),
    "a dropped layer": Configuration(keep=(("decoder", (0,)),), bits=(("decoder.decoders.2.feed_forward.w_1", 4),)),
    "a group": Configuration(sparsity=(("ctc", 0.5),)),
    "a calibration": Configuration(bits=(("decoder.output_layer", 4),), scheme=Scheme(method="gptq")),
    "a CTC": Configuration(decode=Decode(ctc_weight=0.3)),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_written_cannot_be_foretold(what: str) -> None:
    with pytest.raises(BadInput) as refused:
        written(shared_model(), WRONG[what])
    with pytest.raises(BadInput) as foretold:
        Forecast(shared_model()).foretell(WRONG[what])
    assert str(foretold.value) == str(refused.value)


def test_graphs_are_made_once_for_each_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    from paredown.bundle import plan

    built = []
    monkeypatch.setattr(plan, "build_decoder", lambda *given, build=plan.build_decoder: built.append(1) or build(*given))
    model, forecast = shared_model(), Forecast(shared_model())
    paths = [layer.path for layer in model.inventory().layers]
    sizes = [forecast.foretell(Configuration(bits=tuple((path, bits) for path in paths))).size_bytes for bits in (2, 5, 8)]
    assert len(built) == 1
    assert sizes == sorted(set(sizes))
    forecast.foretell(Configuration(bits=tuple((path, 5) for path in paths[:-1])))
    assert len(built) == 2


def test_a_tensor_that_is_not_what_its_plan_says_is_not_written() -> None:
    model = shared_model()
    compressed = compress_model(model, Configuration(bits=(("decoder.output_layer", 4),)))
    other = compress_model(model, Configuration(bits=(("decoder.output_layer", 5),)))
    forecast = Forecast(model)
    plan = plan_bundle(forecast.architecture, model.inventory(), Outline.of(compressed))
    arrange(plan, compressed, state_of(model))
    with pytest.raises(ValueError, match=r"decoder.output_layer.weight must be stored as .*bits=4.*, got .*bits=5"):
        arrange(plan, other, state_of(model))


def test_the_written_manifest_is_one_that_the_runtime_reads(tmp_path: Path) -> None:
    """Foretold records are those that the runtime reads weights by."""
    model = shared_model()
    [configuration] = draw_configurations(model, 1, seed=5)
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / "bundle")
    assert read_manifest(bundle).tensors == Forecast(model).foretell(configuration).records
