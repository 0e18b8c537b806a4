"""`paredown convert --recover`: training before the codes, from the command line; and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.space.configuration import Configuration
from tests.commands.tiny import write_model, write_split


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_model(tmp_path / "model")
    write_split(tmp_path / "train", 5)
    return tmp_path


def convert(place: Path, *options: str, output: str = "out") -> int:
    return main(["convert", str(place / "model"), "--bits", "4", "-o", str(place / output), *options])


def trained(place: Path, kind: str, *options: str, output: str = "out") -> int:
    return convert(place, "--recover", kind, "--train", str(place / "train"), "--steps", "2", *options, output=output)


def digest_of(place: Path, output: str) -> Any:
    return json.loads((place / output / "manifest.json").read_text())["files"]["weights.bin"]


def test_a_model_is_trained_and_then_quantized(place: Path) -> None:
    assert convert(place, output="plain") == 0
    assert trained(place, "qat", output="trained") == 0
    manifest = json.loads((place / "trained" / "manifest.json").read_text())
    (stage,) = (stage for stage in manifest["configuration"]["schedule"] if isinstance(stage, dict))
    assert (stage["kind"], stage["steps"]) == ("qat", 2)
    assert digest_of(place, "trained") != digest_of(place, "plain")
    assert main(["translate", str(place / "trained"), str(place / "train" / "0.wav")]) == 0
    assert trained(place, "qat", output="again") == 0  # from the cache
    assert digest_of(place, "again") == digest_of(place, "trained")


def test_what_was_trained_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(place, "distill", "--teacher", "0.3", "--rate", "1e-3") == 0
    assert "recovered: kind distill, steps_done 2" in capsys.readouterr().out
    assert trained(place, "fine-tune", "--json", output="other") == 0
    assert json.loads(capsys.readouterr().out)["recovered"]["steps_done"] == 2


def test_stages_of_a_configuration_keep_their_order(place: Path) -> None:
    schedule = ("factorize", "narrow", "drop", "prune", "quantize")
    (place / "one.json").write_text(Configuration(schedule=schedule).to_json())
    flags = ("--configuration", str(place / "one.json"), "--recover", "fine-tune", "--train", str(place / "train"), "--steps", "1")
    assert main(["convert", str(place / "model"), "-o", str(place / "out"), *flags]) == 0
    found = json.loads((place / "out" / "manifest.json").read_text())["configuration"]["schedule"]
    assert [stage if isinstance(stage, str) else stage["kind"] for stage in found] == [*schedule[:-1], "fine-tune", "quantize"]


def test_adapters_tell_what_quantizing_them_costs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("peft")
    assert trained(place, "lora", "--rank", "4", "--data", str(place / "train"), "--json") == 0
    gap = json.loads(capsys.readouterr().out)["requantization_gap"]
    assert gap["utterances"] == 5
    assert gap["before"] > 0
    assert gap["after"] != gap["before"]
    assert trained(place, "lora", "--rank", "4", output="untold") == 0
    assert "gap not measured (no --data with references)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--recover", "qat"), "--recover needs --train DATA and a bound, --steps N or --minutes N"),
        (("--recover", "qat", "--train", "train"), "--recover needs --train DATA and a bound"),
        (("--steps", "3"), "--steps say how a model is recovered, got no --recover"),
        (("--other", "train"), "--other is out-of-domain data beside --train DATA"),
        (("--recover", "qat", "--train", "nowhere", "--steps", "3"), "nowhere"),
        (("--recover", "fine-tune", "--train", "train", "--steps", "3", "--teacher", "0.5"), "fine-tune has no teacher"),
        (("--recover", "qat", "--train", "train", "--steps", "3", "--rate", "2"), "rate must be a number in (0, 1], got 2"),
        (
            ("--recover", "qat", "--train", "train", "--steps", "3", "--distilled", "-1"),
            "mixture.distilled must be a whole number in [0, 1000]",
        ),
        (("--recover", "distill", "--train", "train", "--steps", "3", "--rank", "8"), "--rank is that of adapters"),
        (("--train", "train"), "--train is data for --recover or for a configuration that trains, got train for neither"),
        (("--recover", "qat", "--train", "train", "--steps", "3", "--bits", "32"), "as their codes will have them, got no codes"),
        (("--recover", "fine-tune", "--train", "train", "--steps", "9999", "--method", "gptq"), "method gptq needs --data DATA"),
        (("--recover", "fine-tune", "--train", "train", "--steps", "9999", "--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(place)
    assert convert(place, *options) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error
    assert not (place / "out").exists()


def test_out_of_domain_data_is_mixed_in(place: Path) -> None:
    write_split(place / "other", 3)
    assert trained(place, "fine-tune", "--other", str(place / "other")) == 0
    manifest = json.loads((place / "out" / "manifest.json").read_text())
    (stage,) = (stage for stage in manifest["configuration"]["schedule"] if isinstance(stage, dict))
    assert stage["mixture"] == {"references": 1, "distilled": 0, "out_of_domain": 1}
    assert stage["other_data"]
