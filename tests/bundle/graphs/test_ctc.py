"""The CTC over the output text in a bundle: its graph, its place among the layers, its bytes."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.graphs.architecture import read_architecture  # noqa: E402
from paredown.bundle.pack import pack  # noqa: E402
from paredown.bundle.storage import BundleParts, assemble  # noqa: E402
from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model, dense_network, state_of  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.models.decode import default_decode  # noqa: E402
from paredown.runtime.bundle_files import read_manifest  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Scheme  # noqa: E402
from paredown.space.cost import layer_bytes  # noqa: E402
from paredown.trials.evaluation import uncompressed  # noqa: E402
from tests.bundle.models import FRONTEND, shared_model  # noqa: E402
from tests.bundle.sessions import run  # noqa: E402
from tests.models.checkpoints import ENCODERS, TOKENS, asr_config, st_config, write_checkpoint  # noqa: E402

PARTS = {"frontend_conf": FRONTEND, "normalize": None}
CONFIGS = {
    "asr": asr_config(**PARTS),
    "st": st_config(**PARTS, model_conf={"st_mtlalpha": 0.3}),
    "st with a source CTC": st_config(**PARTS, model_conf={"asr_weight": 0.3, "mtlalpha": 1.0, "st_mtlalpha": 0.3}),
    "asr e_branchformer": asr_config(**PARTS, **ENCODERS["e_branchformer"])
    | {
        "encoder_conf": {
            "output_size": 12,
            "attention_heads": 2,
            "linear_units": 24,
            "num_blocks": 1,
            **ENCODERS["e_branchformer"]["encoder_conf"],
        }
    },
}


@cache
def model_of(name: str) -> Model:
    with TemporaryDirectory() as folder:
        return load_model(write_checkpoint(Path(folder), CONFIGS[name]))


def parts_of(model: Model, configuration: Configuration) -> BundleParts:
    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    return assemble(architecture, model.inventory(), state_of(model), compress_model(model, configuration))


def head_of(model: Model) -> str:
    return next(layer.path for layer in model.inventory().layers if layer.group == "ctc")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("bits", [None, 3, 8])
def test_the_graph_computes_what_torch_computes(name: str, bits: int | None) -> None:
    model = model_of(name)
    configuration = Configuration(bits=((head_of(model), bits),) if bits else (), scheme=Scheme(kernel="fp32"))
    parts = parts_of(model, configuration)
    assert parts.ctc is not None
    states = np.random.default_rng(0).standard_normal((37, model.network.encoder.output_size())).astype(np.float32)
    with torch.no_grad():
        head = dense_network(model, compress_model(model, configuration)).output_ctc
        expected = head.log_softmax(torch.from_numpy(states)[None])[0].numpy()
    (found,) = run(parts.ctc, parts.tensors, {"encoder_out": states})
    np.testing.assert_allclose(found, expected, atol=1e-5)  # one product of 16 units and a log-softmax
    assert found.shape == (37, len(TOKENS))


def test_the_int8_kernel_takes_its_layer_too() -> None:
    model = model_of("asr")
    int8 = parts_of(model, Configuration(bits=((head_of(model), 8),)))
    assert int8.ctc is not None
    assert [node.op_type for node in int8.ctc.model.graph.node] == ["DynamicQuantizeMatMul", "LogSoftmax"]
    states = np.random.default_rng(0).standard_normal((37, 16)).astype(np.float32)
    fp32 = parts_of(model, Configuration())
    assert fp32.ctc is not None
    difference = np.abs(
        run(int8.ctc, int8.tensors, {"encoder_out": states})[0] - run(fp32.ctc, fp32.tensors, {"encoder_out": states})[0]
    ).max()
    assert 0 < difference < 0.1  # 1/255 of the activations' range, about 8, in each of 16 products with weights below 0.25


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_a_layer_like_others_and_its_bytes_are_those_foreseen(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    inventory, rng = model.inventory(), np.random.default_rng(0)
    bits = tuple((layer.path, int(rng.integers(2, 9))) for layer in inventory.layers)
    shares = (("ctc", 0.7), ("decoder.output", 0.5))
    bundle = write_bundle(model, compress_model(model, Configuration(bits=bits, sparsity=shares)), tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["layers"]) == {path for path, _ in bits}
    assert manifest["graphs"]["ctc"]["file"] == "ctc.onnx"
    assert manifest["layers"][head_of(model)]["kernel"] == "int8"
    assert manifest["layers"][head_of(model)]["sparsity"] == pytest.approx(0.7, abs=0.01)
    folded = sum(size for name, size in inventory.vectors if ".conv_module.norm." in name)
    assert manifest["parameters"] == {"model": model.inference_parameters, "stored": model.inference_parameters - folded}
    assert "output_ctc" not in manifest["model"]["dropped"]
    foreseen = 4 * (sum(size for _, size in inventory.vectors) - folded)
    for path, width in bits:
        layer, share = inventory.by_path[path], dict(shares).get(inventory.by_path[path].group)
        foreseen += layer_bytes(layer, width, None if share is None else layer.weights - round(share * layer.weights))
    assert (bundle / "weights.bin").stat().st_size == foreseen


def test_a_model_without_one_has_no_graph_for_it(tmp_path: Path) -> None:
    bundle = write_bundle(shared_model(), compress_model(shared_model(), Configuration()), tmp_path / "bundle")
    assert not (bundle / "ctc.onnx").exists()
    assert read_manifest(bundle).ctc is None
    assert not any(record.name.startswith("ctc") for record in read_manifest(bundle).tensors)  # the source CTC stays out


def test_a_configuration_that_decodes_with_a_ctc_needs_one(tmp_path: Path) -> None:
    configuration = Configuration(decode=Decode(ctc_weight=0.3))
    with pytest.raises(BadInput, match=r"decode.ctc_weight must be 0 for a model without a CTC over its output text, got 0\.3"):
        write_bundle(shared_model(), compress_model(shared_model(), configuration), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_tensors_of_a_ctc_do_not_depend_on_how_it_is_decoded() -> None:
    model = model_of("asr")
    first, second = (parts_of(model, Configuration(decode=Decode(ctc_weight=weight))) for weight in (0.0, 0.3))
    assert pack(first.tensors) == pack(second.tensors)


def test_asr_models_decode_jointly_by_default_and_st_models_do_not() -> None:
    assert default_decode(model_of("asr")) == Decode(ctc_weight=0.3)
    assert default_decode(model_of("st")) == default_decode(shared_model()) == Decode()
    assert uncompressed(model_of("asr")) == Configuration(scheme=Scheme(kernel="fp32"), decode=Decode(ctc_weight=0.3))
    with TemporaryDirectory() as folder:
        decoder_only = load_model(write_checkpoint(Path(folder), asr_config(**PARTS, model_conf={"ctc_weight": 0.0})))
    assert decoder_only.network.output_ctc is None
    assert default_decode(decoder_only) == Decode()
