"""`paredown profile` and studies with energy, end to end on a tiny model."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.errors import BadInput
from paredown.profilers.energy.base import EnergySource
from paredown.profilers.energy.estimate import EstimateSource
from paredown.profilers.energy.protocol import CHEAP
from paredown.trials import metering
from paredown.trials.timing import Device, Timed
from tests.commands.tiny import write_model, write_split, write_study

ESTIMATE = ["--energy", "estimate", "--tdp", "64", "--tdp-cores", "8"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    write_split(folder / "data")
    assert main(["convert", str(folder / "model"), "--bits", "8", "-o", str(folder / "bundle")]) == 0
    return folder


def profile(place: Path, *options: str) -> int:
    data = ["--data", str(place / "data"), "--fixed-tokens", "3", "--quick"]
    return main(["profile", str(place / "bundle"), *data, *options])


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_keys_are_stable(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile(place, "--json", "--against", str(place / "model"), *ESTIMATE) == 0
    told = printed(capsys)
    assert {"median", "p90", "ci95", "runs", "tokens", "fixed_tokens_median", "per_token", "rtf", "ratio"} <= set(told["latency_ms"])
    assert told["latency_ms"]["runs"] == 4
    assert told["latency_ms"]["fixed_tokens"] == 3
    assert {"value", "ci95", "provenance"} <= set(told["energy_mj"])
    assert told["energy_mj"]["provenance"] == "estimated"
    assert told["energy_mj"]["value"] > 0
    assert told["against"]["energy_mj"]["provenance"] == "estimated"
    assert told["size_bytes"] == sum(path.stat().st_size for path in (place / "bundle").iterdir() if path.name != "measurements.json")
    assert set(told["ratios"]) == {"nominal_bits", "weight_bytes", "bundle_bytes"}
    assert told["peak_rss_bytes"] > told["imported_bytes"] > 0
    assert told["params"]["stored"] <= told["params"]["model"]
    assert told["macs"]["value"] > 0
    assert (told["target"]["device"], told["target"]["threads"], len(told["target"]["digest"])) == ("cpu", 1, 64)


def test_energy_that_cannot_be_measured_is_told_and_never_filled_in(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "open_source", no_counter)
    assert profile(place, "--json") == 0
    energy = printed(capsys)["energy_mj"]
    assert energy == {"value": None, "ci95": None, "provenance": "unavailable", "reason": "no counter here; modprobe it"}


def no_counter(*given: object, **named: object) -> EnergySource:
    raise BadInput("no counter here; modprobe it")


def test_energy_that_is_asked_for_by_name_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "open_source", no_counter)
    assert profile(place, "--energy", "rapl") == 2
    assert capsys.readouterr().err == "paredown: no counter here; modprobe it\n"


def test_tables_tell_everything(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile(place, "--charge", "50", *ESTIMATE) == 0
    text = capsys.readouterr().out
    assert re.search(r"features \d+%, encoder \d+%, search \d+% of a run", text)
    for part in ("per utterance, ms", "per second of audio, s", "ESTIMATED", "50 Wh carry", "nothing drew from it but what is counted"):
        assert part in text
    for part in ("nominal bits", "weight bytes", "bundle bytes", "peak memory", "multiply-accumulates", "target: "):
        assert part in text


def test_a_figure_is_written_and_refused_before_anything_is_measured(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile(place, "--energy", "none", "--figure", str(place / "latency.png"), "--against", str(place / "bundle")) == 0
    assert (place / "latency.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert profile(place, "--figure", str(place / "latency.bmp")) == 2
    assert "a figure ends in one of png, svg, pdf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tdp", "15"), "--tdp is for --energy estimate alone, got it with --energy auto"),
        (("--energy", "nvml"), "energy source nvml measures cuda, not cpu"),
        (("--energy", "wind"), "argument --energy: invalid choice: 'wind'"),
        (("--charge", "0"), "a figure must be above zero, got '0'"),
        (("--seed", "-1"), "a seed must be a whole number of at least 0, got '-1'"),
        (("--figure", "/nowhere/f.png"), "the folder of a figure must exist, got /nowhere/f.png"),
        (("--time", "0 s"), "--time must be above zero, got '0 s'"),
        (("--target", "tpu"), "argument --target: invalid choice: 'tpu'"),
    ],
)
def test_bad_input_gets_one_line(place: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile(place, *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def energy_study(folder: Path, energy: str, target: str = "") -> Path:
    study = write_study(folder)
    study.write_text(study.read_text().replace("trials = 9", "trials = 3") + f"[objectives]\nenergy = {energy}\n{target}")
    return study


def test_a_study_drives_an_estimate_that_says_so_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = energy_study(tmp_path, '"estimate"', "[target]\ntdp_w = 64\ntdp_cores = 8\n"), str(tmp_path / "runs")
    assert main(["run", str(study), "-o", folder]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--json", "--all"]) == 0
    points = json.loads(capsys.readouterr().out)
    assert len(points) == 3
    assert all(point["values"]["energy_mj@cpu"] > 0 for point in points)
    assert main(["show", folder, "--trial", "0", "--json"]) == 0
    measured = printed(capsys)["measurements"]
    assert measured["energy_mj@cpu"]["provenance"] == "estimated"
    assert measured["energy_mj@cpu"]["target"] == measured["latency_ms@cpu"]["target"]
    assert measured["latency_ms@cpu"]["target"] is not None
    assert measured["macs"]["value"] > 0
    assert measured["params"]["target"] is None
    assert main(["front", folder]) == 0
    assert "ESTIMATED" in capsys.readouterr().out
    assert all(point["estimated"] == ["energy_mj@cpu"] for point in points)
    assert main(["status", str(tmp_path), "--json"]) == 0
    assert " mJ estimated (trial " in json.loads(capsys.readouterr().out)[0]["best"]
    study.write_text(study.read_text().replace("tdp_w = 64", "tdp_w = 32"))
    assert main(["run", str(study), "-o", folder]) == 2  # figures of two models of energy share no scale
    assert 'energy source is "estimate: CPU seconds x 8 W a core' in capsys.readouterr().err
    assert main(["export", folder, "--pick", "frugal", "-o", str(tmp_path / "frugal")]) == 0
    assert (tmp_path / "frugal" / "manifest.json").is_file()


def test_a_study_of_energy_without_a_counter_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "open_source", no_counter)
    study = energy_study(tmp_path, '["cpu"]')
    assert main(["run", str(study), "-o", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == "paredown: no counter here; modprobe it\n"
    assert not (tmp_path / "runs").exists()


def test_the_request_names_its_source() -> None:
    source = metering.EnergyRequest("cpu", "estimate", 64.0, 8).open()
    assert isinstance(source, EstimateSource)
    assert source.core_w == 8.0


def test_a_folder_is_named_as_it_stands(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are markup for rich."""
    monkeypatch.chdir(place)
    (place / "x[").mkdir()
    (place / "x[" / "b]").symlink_to(place / "bundle")
    assert profile(place, "--energy", "none", "--against", "x[/b]") == 0
    assert "x of x[/b]" in capsys.readouterr().out


def test_counters_are_closed_where_a_bundle_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(EstimateSource, "close", lambda source: closed.append(source.name))
    request = metering.EnergyRequest("cpu", "estimate", 64.0, 8)
    with pytest.raises(BadInput):
        metering._meter({"reference": Timed(tmp_path / "none")}, (), request, CHEAP, 0, Device(1))
    assert closed == ["estimate"]
