"""Bundles on disk: complete or not there, the same bytes each time, never over something else."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.manifest import _shortest, write_frontend, write_tokens  # noqa: E402
from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.compress import CompressedModel  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.runtime.bundle_files import check_files, read_manifest  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Scheme  # noqa: E402
from tests.bundle.models import shared_model  # noqa: E402

FILES = {"manifest.json", "weights.bin", "encoder.onnx", "decoder.onnx", "tokens.txt", "frontend.json"}


def compressed(bits: int | None = 4, **settings: object) -> CompressedModel:
    layers = shared_model().inventory().layers if bits else ()
    return compress_model(shared_model(), Configuration(bits=tuple((layer.path, bits or 8) for layer in layers), **settings))  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_bundle_is_complete_and_its_checksums_hold(tmp_path: Path) -> None:
    bundle = write_bundle(shared_model(), compressed(decode=Decode(beam_size=3)), tmp_path / "new" / "bundle")
    assert set(content(bundle)) == FILES
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    assert (manifest.beam_size, manifest.least_frames, manifest.token_type) == (3, 11, "bpe")
    assert (bundle / "tokens.txt").read_text(encoding="utf-8").splitlines() == list(shared_model().tokens)
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_bundle(shared_model(), compressed(), tmp_path / name) for name in ("a", "another name"))
    assert content(first) == content(second)
    other = write_bundle(shared_model(), compressed(5), tmp_path / "c")
    assert content(other)["weights.bin"] != content(first)["weights.bin"]


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    bundle = write_bundle(shared_model(), compressed(None, scheme=Scheme(kernel="fp32")), tmp_path / "bundle")
    folded = sum(size for name, size in shared_model().inventory().vectors if ".conv_module.norm." in name)
    assert folded == 2 * 2 * 16  # weight and bias of two batch norms
    assert (bundle / "weights.bin").stat().st_size == 4 * (shared_model().inference_parameters - folded)


def test_the_manifest_says_what_became_of_each_layer(tmp_path: Path) -> None:
    bundle = write_bundle(shared_model(), compressed(4, sparsity=(("encoder.feed_forward", 0.5),)), tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    layers = manifest["layers"]
    assert set(layers) == {layer.path for layer in shared_model().inventory().layers}
    assert layers["decoder.output_layer"] == {"bits": 4, "kernel": "int8"}
    assert layers["encoder.encoders.0.conv_module.depthwise_conv"] == {"bits": 4, "kernel": "fp32"}
    sparsities = [entry["sparsity"] for path, entry in layers.items() if "feed_forward" in path and path.startswith("encoder")]
    assert np.mean(sparsities) == pytest.approx(0.5, abs=0.02)  # biases and norms of the group are ranked with its matrices
    assert manifest["model"]["dropped"] == ["specaug", "source_ctc"]
    assert {"paredown", "opset", "ir", "numpy", "onnx", "onnxruntime", "torch", "espnet"} == set(manifest["versions"])
    assert manifest["model"]["digest"] == shared_model().digest
    assert manifest["configuration_digest"] == Configuration.from_json(json.dumps(manifest["configuration"])).digest
    assert manifest["keep"] == {"encoder": [0, 1], "decoder": [0, 1, 2]}
    assert not any(record["name"].startswith("ctc") for record in manifest["tensors"])


@pytest.mark.parametrize("there", ["file", "folder", "broken bundle"])
def test_something_else_is_never_replaced(there: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if there == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / ("manifest.json" if there == "broken bundle" else "thesis.tex")).write_text("mine")
    with pytest.raises(BadInput, match="new folder or over a bundle"):
        write_bundle(shared_model(), compressed(), target, force=True)
    assert (target if there == "file" else next(target.iterdir())).read_text() == "mine"


def test_a_bundle_of_another_schema_and_a_damaged_one_can_be_replaced(tmp_path: Path) -> None:
    target = write_bundle(shared_model(), compressed(4), tmp_path / "bundle")
    before = content(target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    (target / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}), encoding="utf-8")
    (target / "weights.bin").unlink()
    write_bundle(shared_model(), compressed(4), target, force=True)
    assert content(target) == before


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_that_is_not_the_bundles_is_not_deleted_with_it(folder: bool, tmp_path: Path) -> None:
    target = write_bundle(shared_model(), compressed(4), tmp_path / "bundle", about={"trial": 3})
    assert json.loads((target / "measurements.json").read_text()) == {"trial": 3}
    write_bundle(shared_model(), compressed(4), target, force=True)
    assert not (target / "measurements.json").exists()
    mine = target / "notes"
    if folder:
        mine.mkdir()
    else:
        mine.write_text("mine")
    with pytest.raises(BadInput, match=r"which is neither: it also holds notes$"):
        write_bundle(shared_model(), compressed(5), target, force=True)
    assert mine.exists()


def test_a_bundle_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = write_bundle(shared_model(), compressed(4), tmp_path / "bundle")
    before = content(target)
    with pytest.raises(BadInput, match="--force"):
        write_bundle(shared_model(), compressed(5), target)
    assert content(target) == before
    write_bundle(shared_model(), compressed(5), target, force=True)
    assert content(target) != before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_normalization_is_written_so_that_it_reads_back_exactly() -> None:
    frontend = json.loads(write_frontend(shared_model(), Configuration()))
    normalize = shared_model().network.normalize
    assert frontend["n_mels"] == 40
    for name in ("mean", "std"):
        np.testing.assert_array_equal(np.float32(frontend["normalize"][name]), getattr(normalize, name).numpy())
    assert frontend["normalize"]["kind"] == "global"
    hard = np.float32([0.1, 1e-20, -3.4028235e38, 1 / 3])
    np.testing.assert_array_equal(np.float32(_shortest(hard)), hard)


def test_a_token_that_is_no_line_is_refused() -> None:
    assert write_tokens(("<blank>", "▁ä")) == "<blank>\n▁ä\n"
    with pytest.raises(BadInput, match="one line"):
        write_tokens(("a\nb",))
