"""A study of an ASR model: the CTC over its text is compressed with it, and everything is decoded jointly."""

import json
from pathlib import Path

import pytest

from paredown.cli import main
from tests.commands.tiny import write_split, write_study
from tests.models.checkpoints import asr_config, write_checkpoint

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijk", "<sos/eos>"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


def write_model(folder: Path) -> Path:
    config = asr_config(token_list=TOKENS)
    config["decoder_conf"] = {**config["decoder_conf"], "num_blocks": 4}
    return write_checkpoint(folder, config)


def test_a_study_compresses_the_ctc_and_decodes_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_study(tmp_path), str(tmp_path / "runs")
    write_model(tmp_path / "model")
    study.write_text(
        study.read_text().replace('"decoder.feed_forward"', '"decoder.feed_forward", "ctc"').replace("trials = 9", "trials = 6")
    )
    assert main(["run", str(study), "-o", folder, "--trials", "4"]) == 0
    assert main(["run", str(study), "-o", folder]) == 0  # resumed: the reference is recognized, its latency known
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)
    assert [point["configuration"]["decode"]["ctc_weight"] for point in points] == 6 * [0.3]
    quantized = [point["configuration"]["bits"] for point in points if point["configuration"]["bits"]]
    assert len(quantized) == 5
    assert all("ctc.ctc_lo" in bits for bits in quantized)
    sizes = {point["trial"]: point["values"]["size_bytes"] for point in points}
    assert main(["export", folder, "--pick", "smallest", "-o", str(tmp_path / "pick"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == min(sizes.values())
    assert (tmp_path / "pick" / "ctc.onnx").is_file()


def test_a_converted_model_decodes_jointly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "model")
    write_split(tmp_path / "data")
    for bits in ("32", "8"):
        assert main(["convert", str(tmp_path / "model"), "--bits", bits, "-o", str(tmp_path / bits)]) == 0
        manifest = json.loads((tmp_path / bits / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["configuration"]["decode"]["ctc_weight"] == 0.3
        assert main(["translate", str(tmp_path / bits), str(tmp_path / "data" / "0.wav")]) == 0
    capsys.readouterr()


def test_a_model_of_recognition_is_judged_by_its_word_errors(tmp_path: Path) -> None:
    from paredown.trials.default_study import asked_spec

    write_model(tmp_path / "model")
    assert asked_spec(str(tmp_path / "model")).objectives.quality == "wer"
    assert asked_spec("bundled:tatoeba-en-de").objectives.quality == "chrf"


def test_word_errors_are_an_objective_and_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_study(tmp_path, quality="-100"), str(tmp_path / "runs")
    write_model(tmp_path / "model")
    text = study.read_text().replace("trials = 9", "trials = 4").replace("[space]", '[objectives]\nquality = "wer"\n[space]')
    study.write_text(text)
    assert main(["run", str(study), "-o", folder]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)
    assert [str(point["values"]["quality"]) for point in points if point["trial"] == 0] == ["0.0"]  # not -0.0
    assert main(["show", folder, "--trial", "3", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["measurements"]
    assert measured["quality"]["unit"] == measured["wer"]["unit"] == "WER"
    assert main(["show", folder, "--trial", "0", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)["measurements"]
    assert measured["quality"]["value"] == pytest.approx(whole["wer"]["value"] - measured["wer"]["value"])
    assert main(["front", folder, "--budget", "quality=1000"]) == 2  # a score, in points
    assert main(["front", folder, "--budget", "quality=100"]) == 0


def test_word_errors_of_a_language_that_does_not_space_its_words_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_study(tmp_path), str(tmp_path / "runs")
    write_model(tmp_path / "model")
    study.write_text(study.read_text().replace("[space]", '[objectives]\nquality = "wer"\n[space]'))
    manifest = tmp_path / "search" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("x y", "他们在城里"))
    assert main(["run", str(study), "-o", folder]) == 2
    assert "wer counts words between white space, which the references do not have" in capsys.readouterr().err
    assert not Path(folder).exists()
