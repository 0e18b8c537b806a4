"""Sizes: what `du` would say, and ratios worked out by hand."""

import json
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.size import Breakdown, BundleSize, WeightBytes, measure_breakdown, measure_ratios, measure_size


def bundle(folder: Path, weight_bytes: int = 100) -> Path:
    tensors = [
        # 80 weights at 4 bits: 320 bits
        {"name": "a", "kind": "dense", "shape": [10, 8], "bits": 4, "nbytes": 40, "channels": 10},
        # 20 survivors at 3 bits: 60 bits; a mask of 80 bits, and 3 planes of 20 bits, each in 3 bytes
        {"name": "b", "kind": "sparse", "shape": [10, 8], "bits": 3, "survivors": 20, "nbytes": 19, "channels": 1},
        {"name": "c", "kind": "raw", "shape": [5], "nbytes": 20},  # 5 numbers at 32 bits: 160 bits
        {"name": "d", "kind": "half", "shape": [2], "nbytes": 4},  # 2 numbers at 16 bits: 32 bits
    ]
    (folder / "sub").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"tensors": tensors, "parameters": {"stored": 87, "model": 167}}))
    (folder / "weights.bin").write_bytes(b"x" * weight_bytes)
    (folder / "sub" / "extra").write_bytes(b"y" * 7)
    (folder / "measurements.json").write_bytes(b"z" * 10_000)
    return folder


def test_counts_every_file_but_the_measurements(tmp_path: Path) -> None:
    size = measure_size(bundle(tmp_path / "b"))
    manifest = (tmp_path / "b" / "manifest.json").stat().st_size
    assert dict(size.files) == {"manifest.json": manifest, "sub/extra": 7, "weights.bin": 100}
    assert size.size_bytes == 107 + manifest
    assert size.to_measurement().value == 107 + manifest
    assert size.to_measurement().unit == "bytes"


def test_three_ratios(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    ratios = measure_ratios(folder, original_parameters=167)
    assert ratios.nominal_bits == pytest.approx(167 * 32 / (320 + 60 + 160 + 32))
    assert ratios.weight_bytes == pytest.approx(6.68)
    assert ratios.bundle_bytes == pytest.approx(668 / measure_size(folder).size_bytes)


def test_bytes_by_kind_and_the_weights_by_what_they_hold(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", weight_bytes=127)
    for name, size in (("encoder.onnx", 30), ("ctc.onnx", 3), ("tokens.txt", 5), ("frontend.json", 6)):
        (folder / name).write_bytes(b"x" * size)
    found = measure_breakdown(folder)
    manifest = (folder / "manifest.json").stat().st_size
    assert found.size.kinds == {"weights": 127, "graphs": 33, "texts": 11, "manifest": manifest, "other": 7}
    assert sum(found.size.kinds.values()) == found.size.size_bytes
    assert found.weights == WeightBytes(codes_bytes=40 + 9, masks_bytes=10, scales_bytes=44, fp32_bytes=20, fp16_bytes=4)
    assert found.ratios == measure_ratios(folder, original_parameters=167)
    assert found.to_dict()["params"] == {"stored": 87, "model": 167}
    assert found.to_dict()["size_bytes"] == found.size.size_bytes
    assert json.loads(json.dumps(found.to_dict()))["weights"]["codes_bytes"] == 49


def test_files_that_are_not_on_disk_give_the_same_figures(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    manifest = json.loads((folder / "manifest.json").read_text())
    size = BundleSize(measure_size(folder).files)
    assert Breakdown.of(size, iter(manifest["tensors"]), manifest["parameters"]) == measure_breakdown(folder)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a bundle is a folder"):
        measure_size(tmp_path / "missing")
    with pytest.raises(BadInput, match="holds files, got the empty folder"):
        measure_size(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"has a manifest\.json, none in"):
        measure_ratios(tmp_path, 1)
    for text in ("{", "{}", "[]", '{"tensors": [{"kind": "raw"}]}', '{"tensors": [{"kind": "thin", "shape": [1]}]}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(BadInput, match="must list the tensors"):
            measure_ratios(tmp_path, 1)
        with pytest.raises(BadInput, match="must list the tensors"):
            measure_breakdown(tmp_path)
