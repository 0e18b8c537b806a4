"""`convert` as a user types it: kernels, decoding, the forms of the output, and flags that contradict each other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

torch = pytest.importorskip("torch")

import paredown.models  # noqa: E402
from paredown.cli import main  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "model"))


def manifest_of(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command refuses its input."""
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("flags", "scheme", "decode"),
    [
        ("--bits 4", {"kernel": "int8", "granularity": "channel"}, {"beam_size": 10, "ctc_weight": 0.0}),
        ("--bits 4 --kernel nbits", {"kernel": "nbits", "granularity": "channel"}, {"beam_size": 10}),
        ("--bits 4 --granularity tensor --kernel fp32", {"kernel": "fp32", "granularity": "tensor"}, {"beam_size": 10}),
        ("--beam-size 3", {"kernel": "fp32"}, {"beam_size": 3}),
    ],
)
def test_flags_become_the_configuration(model: str, tmp_path: Path, flags: str, scheme: dict[str, Any], decode: dict[str, Any]) -> None:
    assert main(["convert", model, *flags.split(), "-o", str(tmp_path / "bundle")]) == 0
    configuration = manifest_of(tmp_path / "bundle")["configuration"]
    assert scheme.items() <= configuration["scheme"].items()
    assert decode.items() <= configuration["decode"].items()
    assert bool(configuration["bits"]) == ("--bits" in flags)


def test_flags_change_a_configuration_file(model: str, tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps({"configuration": {"keep": {"decoder": [0, 3]}, "decode": {"length_bonus": 0.5}}}))
    assert main(["convert", model, "--configuration", str(file), "--beam-size", "2", "-o", str(tmp_path / "bundle")]) == 0
    configuration = manifest_of(tmp_path / "bundle")["configuration"]
    assert configuration["keep"] == {"decoder": [0, 3]}
    assert configuration["decode"] == {"beam_size": 2, "ctc_weight": 0.0, "length_bonus": 0.5}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--kernel int8", "--kernel int8 is about layers that are quantized, got none: add --bits 2 to 8"),
        ("--granularity tensor", "--granularity tensor is about layers that are quantized"),
        ("--bits 4 --ctc-weight 1.5", "CTC weight must lie in [0, 1], got 1.5"),
        ("--bits 4 --ctc-weight nan", "a number must be finite, got 'nan'"),
        ("--bits 4 --ctc-weight 0.3", "the CTC weight must be 0 for a model without a CTC over its output text, got 0.3"),
        ("--bits 4 --beam-size 0", "at least 1, got '0'"),
        ("--bits 4 --kernel fast", "invalid choice: 'fast'"),
        ("--self-contained --as espnet", "not allowed with"),
        ("--bits 4 --configuration x.json", "not allowed with"),
        ("--configuration x.json", "x.json cannot be read"),
        ("--bits 4 --beam-size 100000", "beam size must lie in [1, 14] (the vocabulary), got 100000"),
        ("--as espnet --bits 4 --kernel fp32", "--as espnet writes no kernels and no decoding, got --kernel fp32"),
        ("--as espnet --beam-size 3 --ctc-weight 0", "got --beam-size 3, --ctc-weight 0.0"),
        ("--data x.jsonl", "--data is for --method gptq and for layers in int8"),
        ("--bits 4 --kernel fp32 --data x.jsonl", "got x.jsonl for none of them"),
    ],
)
def test_flags_that_contradict_are_refused(
    model: str, tmp_path: Path, flags: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(["convert", model, *flags.split(), "-o", str(tmp_path / "out")], capsys)
    assert not (tmp_path / "out").exists()


def test_a_configuration_nested_too_deep_is_refused(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("[" * 100_000, '{"configuration":' + "[" * 900 + "]" * 900 + "}"):
        (tmp_path / "deep.json").write_text(text)
        line = refused(["convert", model, "--configuration", str(tmp_path / "deep.json"), "-o", str(tmp_path / "out")], capsys)
        assert "deep.json is no configuration" in line


@pytest.mark.parametrize(("flags", "blocks"), [((), 1), (("--self-contained",), 40), (("--as", "espnet"), 40)])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(model: str, flags: tuple[str, ...], blocks: int, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    limit = blocks * 1024
    program = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); import paredown.cli as cli; "
    command = [sys.executable, "-c", program + "sys.exit(cli.main(sys.argv[1:]))", "convert", model, *flags, "-o", str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch"), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("paredown: ")
    assert line.endswith("cannot be written: File too large")
    assert {path.name for path in tmp_path.rglob("*")} <= {"scratch", ".ses"}  # the latter is onnxruntime's


def test_the_current_directory_is_refused_before_the_model_is_loaded(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paredown.models, "load_model", None)
    assert "which is the current directory" in refused(["convert", model, "-o", "."], capsys)
    assert not list(tmp_path.iterdir())


def test_a_self_contained_folder_is_loaded_by_onnxruntime(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plain"
    assert main(["convert", model, "--self-contained", "-o", str(out)]) == 0
    assert "plain onnxruntime loads" in capsys.readouterr().out
    for graph in ("encoder", "decoder"):
        onnxruntime.InferenceSession(out / f"{graph}.onnx", providers=["CPUExecutionProvider"])
    assert main(["convert", model, "--bits", "4", "--self-contained", "-o", str(out), "--force", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["form"] == "self-contained"
    assert figures["size_bytes"] == sum(path.stat().st_size for path in out.iterdir())


def test_an_espnet_checkpoint_is_a_model_again(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps({"keep": {"decoder": [0, 3]}}))
    assert main(["convert", model, "--configuration", str(file), "--as", "espnet", "-o", str(tmp_path / "checkpoint")]) == 0
    assert "for more training" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "checkpoint"), "-o", str(tmp_path / "again")]) == 0
    assert main(["convert", model, "--configuration", str(file), "-o", str(tmp_path / "direct")]) == 0
    assert manifest_of(tmp_path / "again")["keep"]["decoder"] == [0, 1]
    again, direct = ((tmp_path / name / "weights.bin").read_bytes() for name in ("again", "direct"))
    assert sorted(again) == sorted(direct)  # the same numbers; blocks are counted anew, so tensors lie in another order


@pytest.mark.parametrize("form", [["--self-contained"], ["--as", "espnet"], []])
def test_a_place_that_is_taken_is_refused_before_the_model_is_loaded(
    model: str, form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    monkeypatch.setattr(paredown.models, "load_model", None)
    assert "which is neither" in refused(["convert", model, *form, "--force", "-o", str(tmp_path)], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
