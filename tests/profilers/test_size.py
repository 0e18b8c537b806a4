"""Sizes: what `du` would say, and ratios worked out by hand."""

import json
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.size import measure_ratios, measure_size


def bundle(folder: Path, weight_bytes: int = 100) -> Path:
    tensors = [
        {"name": "a", "kind": "dense", "shape": [10, 8], "bits": 4},  # 80 weights at 4 bits: 320 bits
        {"name": "b", "kind": "sparse", "shape": [10, 8], "bits": 3, "survivors": 20},  # 20 survivors at 3 bits: 60 bits
        {"name": "c", "kind": "raw", "shape": [5]},  # 5 numbers at 32 bits: 160 bits
        {"name": "d", "kind": "half", "shape": [2]},  # 2 numbers at 16 bits: 32 bits
    ]
    (folder / "sub").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"tensors": tensors}))
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
