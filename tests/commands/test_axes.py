"""A study over input, decoding and the blocks of both stacks, end to end on a tiny model; and what each axis bought."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from tests.commands.tiny import write_study

SPACE = """[space]
bits = { average = [3.0, 8.0] }
layers = { decoder = [2, 4], encoder = [1, 2], by = "bleu", protect = false }
input = { hop_samples = [100, 150], sample_rate_hz = [8000], variants = ["naive", "matched"] }
decode = { beam_size = [1, 3], length_bonus = [0.0, 0.5] }
[budgets]
"""


def write_wide_study(folder: Path, space: str = SPACE) -> Path:
    study = write_study(folder)
    text = study.read_text()
    study.write_text(text[: text.index("[space]")] + space + text[text.index("[search]") :])
    return study


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_every_axis_moves_what_bundles_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    study, folder = write_wide_study(tmp_path), str(tmp_path / "runs")
    study.write_text(study.read_text().replace("[search]", '[search]\nsampler = "random"'))  # one that learns may shun what does damage
    assert main(["run", str(study), "-o", folder, "--trials", "18"]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    configurations = {point["trial"]: point["configuration"] for point in printed(capsys)}
    searched = [configuration for number, configuration in configurations.items() if number > 12]
    assert {json.dumps(one["input"]) for one in searched} != {json.dumps(configurations[0]["input"])}
    assert {one["decode"]["beam_size"] for one in searched} - {configurations[0]["decode"]["beam_size"]}
    assert any("encoder" in one["keep"] for one in searched)
    number = max(configurations)
    assert main(["export", folder, "--trial", str(number), "-o", str(tmp_path / "bundle")]) == 0
    written = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["configuration"]
    assert written == configurations[number]
    assert main(["translate", str(tmp_path / "bundle"), str(tmp_path / "search" / "0.wav")]) == 0
    capsys.readouterr()
    assert main(["show", folder, "--trial", str(number), "--ablate", "--json"]) == 0
    told = printed(capsys)["ablation"]
    assert told[0]["without"] == ""
    assert "bits" in {row["without"] for row in told}
    sizes = {row["without"]: row["measurements"]["size_bytes"]["value"] for row in told}
    assert sizes["bits"] > sizes[""]
    monkeypatch.setenv("COLUMNS", "140")
    assert main(["show", folder, "--trial", str(number), "--ablate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line for line in lines if "without bits" in line)
    assert f"{sizes['bits'] / 1e6:.2f}" in row
    assert re.search(r"[+-]\d+\.\d\d .* x \d\.\d{3} .* x 0\.\d{3} ", row)  # quality, latency and bytes that bits bought


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[100, 150]", "[100, 300]", "input.hop_samples must be at most the window of 200 samples, got 300"),
        ("[8000]", "[11025]", "n_fft of 256 samples at 16000 Hz must be whole samples at 11025 Hz"),
        ("length_bonus = [0.0, 0.5]", "ctc_weight = [0.0, 0.5]", "decode.ctc_weight needs a model with a CTC over its output text"),
        ("encoder = [1, 2]", "encoder = [1, 3]", "layers.encoder must lie in [1, 2]: the model has 2 encoder blocks; got [1, 3]"),
    ],
)
def test_what_the_model_cannot_hear_is_refused_before_anything_is_written(
    tmp_path: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_wide_study(tmp_path, SPACE.replace(old, new))
    assert main(["run", str(study), "-o", str(tmp_path / "runs")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_middle_removal_measures_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = '[space]\nlayers = { decoder = [2, 4], rule = "middle" }\n[budgets]\n'
    study, folder = write_wide_study(tmp_path, space), str(tmp_path / "runs")
    assert main(["run", str(study), "-o", folder, "--trials", "7"]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    kept = {tuple(point["configuration"]["keep"].get("decoder", (0, 1, 2, 3))) for point in printed(capsys)}
    assert kept == {(0, 1, 2, 3), (0, 2, 3), (0, 3)}
