"""`convert` with calibration and with the check for activation outliers, and a study whose codes are calibrated."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from paredown.cli import main
from tests.commands.tiny import write_model, write_split, write_study

LAYER = "encoder.encoders.0.feed_forward.w_1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    write_split(folder / "data")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


def convert(place: Path, *flags: str, model: str = "model", output: str) -> int:
    return main(["convert", str(place / model), *flags, "-o", str(place / output)])


def manifest(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return value


def test_the_same_data_give_the_same_bytes_and_the_manifest_says_which(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = ("--data", str(place / "data"))
    assert convert(place, "--bits", "4", "--method", "gptq", *data, output="first") == 0
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path))  # so that it is calibrated again
    assert convert(place, "--bits", "4", "--method", "gptq", *data, output="second") == 0
    assert convert(place, "--bits", "4", "--method", "gptq", *data, output="third") == 0  # with the calibration that the second kept
    names = sorted(path.name for path in (place / "first").iterdir())
    for other in ("second", "third"):
        assert names == sorted(path.name for path in (place / other).iterdir())
        for name in names:
            assert (place / "first" / name).read_bytes() == (place / other / name).read_bytes(), name
    written = manifest(place / "first")
    assert written["configuration"]["scheme"]["method"] == "gptq"
    assert written["calibration"]["utterances"] == 4
    assert len(written["calibration"]["digest"]) == 64
    assert convert(place, "--bits", "4", *data, output="nearest") == 0
    assert manifest(place / "nearest")["calibration"] is None
    assert (place / "nearest" / "weights.bin").read_bytes() != (place / "first" / "weights.bin").read_bytes()
    assert (place / "nearest" / "weights.bin").stat().st_size == (place / "first" / "weights.bin").stat().st_size


def test_without_data_nothing_is_calibrated(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(place, "--bits", "4", "--method", "gptq", output="none") == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "paredown: method gptq needs --data DATA, utterances that the model hears while it is calibrated; got none"
    ]
    assert captured.out == ""
    assert convert(place, "--method", "gptq", output="none") == 2
    assert "--method gptq is about layers that are quantized" in capsys.readouterr().err
    assert convert(place, "--bits", "4", "--method", "gptq", "--data", str(place / "nowhere.jsonl"), output="none") == 2
    assert "nowhere.jsonl" in capsys.readouterr().err
    assert not (place / "none").exists()


def test_static_activations_are_heard_in_the_data(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    static = ("--bits", "8", "--activations", "static", "--data", str(place / "data"))
    assert convert(place, *static, output="static") == 0
    written = manifest(place / "static")
    assert written["configuration"]["scheme"]["activations"] == "static"
    assert written["calibration"]["utterances"] == 4
    assert [entry["name"] for entry in written["tensors"] if entry["name"].endswith("input_ranges")]
    configuration = place / "static.json"
    configuration.write_text(json.dumps(written["configuration"]))
    assert convert(place, "--configuration", str(configuration), "--data", str(place / "data"), output="again") == 0
    for name in ("weights.bin", "encoder.onnx", "decoder.onnx", "manifest.json"):
        assert (place / "static" / name).read_bytes() == (place / "again" / name).read_bytes(), name
    assert convert(place, *static, "--method", "gptq", "--self-contained", output="alone") == 0
    audio = str(next((place / "data").rglob("*.wav")))
    assert main(["translate", str(place / "static"), audio, "--beam-size", "2"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--bits", "8"), "static activations need --data DATA, utterances that the model hears while it is calibrated; got none"),
        ((), "--activations static is about layers that are quantized, got none"),
        (("--bits", "4", "--kernel", "nbits"), "activations are static for kernel int8 alone, got kernel nbits"),
        (("--bits", "4", "--as", "espnet"), "--as espnet writes no kernels and no decoding, got --activations static"),
    ],
)
def test_static_activations_that_cannot_be_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], reason: str
) -> None:
    assert convert(place, *flags, "--activations", "static", output="refused") == 2
    captured = capsys.readouterr()
    assert reason in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (place / "refused").exists()


def plant_outlier(place: Path) -> None:
    """The model once more, with one unit a hundred times as large behind a normalization, and small weights for it."""
    write_model(place / "planted")
    state = torch.load(place / "planted" / "model.pth", weights_only=True)
    block, _, rest = LAYER.rpartition(".feed_forward")
    for name in ("weight", "bias"):
        state[f"{block}.norm_ff.{name}"][5] *= 100
    weight = state[f"{block}.feed_forward{rest}.weight"]
    weight[:, 5] = 0
    weight[:, 5] = weight.abs().amax(1) / 127
    torch.save(state, place / "planted" / "model.pth")


def test_what_falls_back_is_said_and_in_the_manifest(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_outlier(place)
    assert convert(place, "--bits", "8", "--data", str(place / "data"), "--json", model="planted", output="checked") == 0
    outliers = json.loads(capsys.readouterr().out)["outliers"]
    assert LAYER in {outlier["path"] for outlier in outliers}
    fallen = {outlier["path"]: "fp32" for outlier in outliers}
    assert manifest(place / "checked")["configuration"]["kernels"] == fallen
    layers = manifest(place / "checked")["layers"]
    assert {path for path in fallen if layers[path]["kernel"] == "fp32" and layers[path]["bits"] == 8} == set(fallen)
    assert convert(place, "--bits", "8", "--data", str(place / "data"), model="planted", output="told") == 0
    told = capsys.readouterr().out
    assert f"activation outliers: {len(fallen)} layers fall back to fp32" in told
    assert all(path in told for path in fallen)


def test_what_was_not_checked_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(place, "--bits", "8", output="unchecked") == 0
    assert "activation outliers: not checked (no --data)" in capsys.readouterr().out
    configuration = place / "configuration.json"
    configuration.write_text(json.dumps(manifest(place / "unchecked")["configuration"]))
    assert convert(place, "--configuration", str(configuration), "--data", str(place / "data"), "--json", output="fixed") == 0
    assert json.loads(capsys.readouterr().out)["outliers"] is None
    assert manifest(place / "fixed")["configuration"]["kernels"] == {}
    for flags in ((), ("--bits", "4", "--kernel", "fp32"), ("--bits", "4", "--kernel", "nbits")):
        assert convert(place, *flags, "--data", str(place / "data"), output="other") == 2  # no layer computes in int8
        assert "--data is for --method gptq and for layers in int8" in capsys.readouterr().err
        assert not (place / "other").exists()


def test_a_study_may_calibrate_its_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    text = study.read_text().replace("bits = { average = [2.5, 8.0] }", 'bits = { average = [2.5, 8.0], method = "gptq" }')
    study.write_text(text.replace("trials = 9", "trials = 5"))
    folder = tmp_path / "runs"
    assert main(["run", str(study), "-o", str(folder), "--json"]) == 0
    capsys.readouterr()
    assert main(["front", str(folder), "--all", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)
    assert all(point["configuration"]["scheme"]["method"] == "gptq" for point in points if point["configuration"]["bits"])
    smallest = min(points, key=lambda point: point["values"]["size_bytes"])
    assert main(["export", str(folder), "--trial", str(smallest["trial"]), "-o", str(tmp_path / "pick"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == smallest["values"]["size_bytes"]
    assert manifest(tmp_path / "pick")["calibration"]["utterances"] == 4
    (tmp_path / "analysis" / "manifest.jsonl").write_text((tmp_path / "analysis" / "manifest.jsonl").read_text().replace("a b c d", "e"))
    assert main(["run", str(study), "-o", str(folder)]) == 2
    assert "calibration" in capsys.readouterr().err
