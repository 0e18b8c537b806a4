"""Bundles that are not what their manifest says: every file that differs is named, a changed byte is seen, no path leaves the folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.runtime import Translator
from paredown.runtime.bundle_files import SCHEMA, check_files, read_manifest
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import canonical_json, digest_of, seal
from tests.runtime.toy_bundle import make_tensors, write_toy_bundle

FILES = ("weights.bin", "encoder.onnx", "decoder.onnx", "tokens.txt", "frontend.json")
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy", make_tensors())


@pytest.fixture
def damaged(bundle: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(bundle, tmp_path / "toy"))


def refused(bundle: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BadInput) as caught:
        Translator.from_bundle(bundle)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], None], sealed: bool = True) -> None:
    """Change the manifest as somebody would who can compute its digest."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(seal(manifest) if sealed else json.dumps(manifest), encoding="utf-8")


def edit(*keys: str | int, value: object = None) -> Damage:
    """Replace the entry of the manifest that the keys lead to; without a value, remove it. The manifest is sealed again."""

    def change(manifest: dict[str, Any]) -> None:
        inner: Any = manifest
        for key in keys[:-1]:
            inner = inner[key]
        if value is None:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value

    return lambda bundle: rewrite(bundle, change)


def test_an_untouched_bundle_passes_and_other_files_may_lie_beside(damaged: Path) -> None:
    (damaged / "measurements.json").write_text("{}")
    (damaged / "LICENSE").write_text("CC-BY")
    (damaged / "notes").mkdir()
    check_files(damaged, read_manifest(damaged))
    Translator.from_bundle(damaged)


def test_every_file_that_differs_is_named_in_one_line(damaged: Path) -> None:
    (damaged / "weights.bin").unlink()
    (damaged / "encoder.onnx").write_bytes(b"0123456789")
    flip(damaged / "tokens.txt", 3)
    line = refused(damaged)
    encoder_bytes = {record.name: record.size_bytes for record in read_manifest(damaged).files}["encoder.onnx"]
    assert str(damaged) in line
    assert "weights.bin is missing" in line
    assert f"encoder.onnx has 10 bytes, not {encoder_bytes}" in line
    assert "tokens.txt was changed (SHA-256 " in line
    assert "decoder.onnx" not in line
    assert "frontend.json" not in line


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from((*FILES, "manifest.json")), place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_bit_changed_anywhere_is_seen(bundle: Path, name: str, place: int, bit: int) -> None:
    copy = bundle.parent / "flipped"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bundle, copy)
    flip(copy / name, place % (copy / name).stat().st_size, bit)
    assert name in refused(copy)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda text: text.replace(":", ": "), id="spaces"),
        pytest.param(lambda text: text + "\n", id="a line end"),
        pytest.param(lambda text: text.replace('"schema"', '"model":{},"schema"'), id="a key twice"),
        pytest.param(
            lambda text: text.replace("\u2019", "\\u2019") if "\u2019" in text else text.replace("st", "s\\u0074"), id="an escape"
        ),
        pytest.param(lambda text: json.dumps({**json.loads(text), "digest": "0" * 64}), id="another digest"),
        pytest.param(lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "digest"}), id="no digest"),
    ],
)
def test_a_manifest_that_was_written_again_is_refused(damaged: Path, text: Callable[[str], str]) -> None:
    path = damaged / "manifest.json"
    before = path.read_text(encoding="utf-8")
    path.write_text(text(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    assert "manifest.json must describe a bundle" in refused(damaged)


def test_a_seal_covers_all_but_itself() -> None:
    value = {"b": [1, 2.5, "ü"], "a": None}
    assert seal(value) == canonical_json({**value, "digest": digest_of(value)})
    assert seal(json.loads(seal(value))) == seal(value)
    assert digest_of(value) != digest_of({**value, "a": 0})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda bundle: (bundle / "manifest.json").unlink(), "folder with a readable manifest.json"),
        (lambda bundle: (bundle / "manifest.json").write_text("{"), "manifest.json must be JSON"),
        (lambda bundle: (bundle / "manifest.json").write_text("[" * 100_000), "manifest.json must be JSON"),
        (lambda bundle: (bundle / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json must be JSON"),
        (lambda bundle: (bundle / "manifest.json").write_text("[]"), "schema number, got schema None"),
        (edit("schema", value=SCHEMA + 1), f"must have schema {SCHEMA} to be read here, got schema {SCHEMA + 1}: it needs paredown 0.1.0"),
        (edit("schema", value=SCHEMA - 1), "write the bundle again with this paredown"),
        (edit("schema", value="1"), "got schema '1'"),
        (edit("schema", value=True), "got schema True"),
        (edit("tensors"), "no key 'tensors'"),
        (edit("layers"), "no key 'layers'"),
        (edit("model", "sos", value=float("inf")), "sos must be a whole number of at least 0, got inf"),
        (edit("model", "subsampling_least_frames", value=7.5), "must be a whole number of at least 1, got 7.5"),
        (edit("configuration", "decode", "length_bonus", value=1e38), "length_bonus must lie within 1000 of 0"),
        (edit("memory", value=dict.fromkeys(("frame_bytes", "frame_pair_bytes", "node_bytes"), 0) | {"frames_per_state": 4}), "above 0"),
        (edit("tensors", 0, "offset", value=0.5), "must be whole numbers"),
        (edit("tensors", 0, "shape", value=[6, 12]), "decoder.onnx"),
        (edit("tensors", 1, "shape", value=[60]), "weights.bin must hold the weights of encoder.onnx"),
        (lambda bundle: plant(bundle, "encoder.onnx", b""), "encoder.onnx must be a graph that onnxruntime can load"),
        (edit("configuration", "decode", "beam_size"), "no key 'beam_size'"),
        (edit("model", "token_type", value="syllable"), "one of bpe, char, word, got 'syllable'"),
        (edit("files", "tokens.txt"), "files must list tokens.txt"),
        (edit("files", "tokens.txt", "bytes", value="7"), "whole number of bytes, got '7' for tokens.txt"),
        (edit("tensors", 0, "offset", value=10**6), "tensor embed.weight reaches beyond the"),
        (edit("tensors", 0, "scales_offset", value=10**6), "tensor embed.weight reaches beyond the"),
        (edit("tensors", 0, "offset", value=-1), "tensor embed.weight reaches beyond the"),
        (edit("tensors", 0, "shape", value=[12, 60]), "tensor embed.weight of 720 weights must have 630 bytes, got 63"),
        (edit("tensors", 3, "survivors", value=7), "tensor output.weight of 72 weights must have 14 bytes, got 29"),
        (edit("tensors", 0, "bits", value=9), "bit-width must lie in [2, 8], got 9 for embed.weight"),
        (edit("tensors", 0, "kind", value="ternary"), "got 'ternary' for embed.weight"),
        (edit("model", "eos", value=12), "ids must lie in [0, 11], got 11 and 12"),
        (edit("graphs", "encoder", "initializers", 0, "tensors", value=["lost"]), "initializer project needs tensor lost"),
        (edit("graphs", "encoder", "initializers", 0, "form", value="bits"), "form must be one of"),
        (edit("graphs", "encoder", "file", value="tokens.txt"), "graph's file must end in .onnx, got 'tokens.txt'"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_manifest_that_describes_no_bundle_gets_one_line(damaged: Path, damage: Damage, message: str) -> None:
    damage(damaged)
    assert message in refused(damaged)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "..", ".", "", "a/b", "a\\b", "a\0b", "a\nb", "-o", ".hidden", "x" * 200])
def test_no_name_of_a_file_leaves_the_folder(damaged: Path, name: str) -> None:
    (damaged.parent / "outside").write_bytes(b"")
    edit("files", name, value=describe_files({"x": b""})["x"])(damaged)
    line = refused(damaged)
    assert "under a plain name, not at" in line
    edit("files", name)(damaged)
    edit("graphs", "encoder", "file", value=name)(damaged)
    assert "files must list" in refused(damaged)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_that_leaves_the_folder_is_refused(damaged: Path, name: str) -> None:
    outside = damaged.parent / "outside"
    shutil.move(damaged / name, outside)
    (damaged / name).symlink_to(outside)
    assert f"{name} is a link that leaves the folder" in refused(damaged)


def test_a_link_inside_the_folder_and_a_link_to_it_are_fine(damaged: Path) -> None:
    (damaged / "weights.bin").rename(damaged / "elsewhere")
    (damaged / "weights.bin").symlink_to("elsewhere")
    (damaged.parent / "link").symlink_to(damaged)
    Translator.from_bundle(damaged.parent / "link")


def test_what_is_no_file_is_named(damaged: Path) -> None:
    (damaged / "weights.bin").unlink()
    os.mkfifo(damaged / "weights.bin")  # to open it would wait for ever
    (damaged / "tokens.txt").unlink()
    (damaged / "tokens.txt").mkdir()
    (damaged / "frontend.json").unlink()
    (damaged / "frontend.json").symlink_to("frontend.json")
    line = refused(damaged)
    assert "weights.bin is no file" in line
    assert "tokens.txt is no file" in line
    assert "frontend.json cannot be read" in line


def plant(bundle: Path, name: str, data: bytes) -> None:
    """Replace a file and make the manifest agree: a bundle of somebody who means harm."""
    (bundle / name).write_bytes(data)
    edit("files", name, value=describe_files({name: data})[name])(bundle)


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link", "up/secret.bin", "*/_ORT_MEM_ADDR_/*", "weights"])
def test_a_graph_cannot_make_onnxruntime_open_a_file(damaged: Path, location: str) -> None:
    import onnx

    (damaged.parent / "secret.bin").write_bytes(np.arange(60, dtype=np.float32).tobytes())
    (damaged / "link").symlink_to("../secret.bin")
    (damaged / "up").symlink_to("..")
    (damaged / "weights").symlink_to("../secret.bin")
    model = onnx.load(damaged / "encoder.onnx", load_external_data=False)
    (tensor,) = (entry for entry in model.graph.initializer if entry.name == "project")
    tensor.external_data[0].value = location.format(folder=damaged.parent)
    if location == "weights":  # the manifest does not say that the runtime supplies it
        edit("graphs", "encoder", "initializers", value=[])(damaged)
    plant(damaged, "encoder.onnx", model.SerializeToString())
    line = refused(damaged)
    assert "encoder.onnx must be a graph that opens no other file" in line
    assert "'project'" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hop_samples", 2.5),
        ("sample_rate_hz", 1),
        ("n_fft", 10**12),
        ("n_mels", 10**6),
        ("n_mels", None),
        ("win_length", 257),
        ("fmax_hz", None),
        ("fmax_hz", float("inf")),
        ("fmin_hz", "0"),
        ("fmin_hz", 9_000.0),
        ("center", 1),
        ("log_base", 1.0),
        ("normalize", {"kind": "utterance", "eps": None}),
        ("normalize", {"kind": "global", "mean": ["a"] * 10, "std": [1.0] * 10}),
    ],
)
def test_a_frontend_that_is_none_gets_one_line(damaged: Path, name: str, value: object) -> None:
    frontend = json.loads((damaged / "frontend.json").read_text())
    plant(damaged, "frontend.json", json.dumps({**frontend, name: value}).encode())
    assert "frontend.json must hold the frontend's settings, got: " in refused(damaged)
