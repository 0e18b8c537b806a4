"""The verbs on bundles and models as a program calls them, beside what the commands write and print."""

import json
from pathlib import Path
from typing import Any

import pytest

import paredown
from paredown.cli import main


@pytest.fixture(scope="module")
def bundle(place: Path) -> paredown.Bundle:
    return paredown.convert(place / "model", place / "four", bits=4, beam_size=3, data=str(place / "analysis"))


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_a_conversion_is_that_of_the_command(
    bundle: paredown.Bundle, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--bits", "4", "--beam-size", "3", "--data", str(place / "analysis"), "-o", str(tmp_path / "four"), "--json"]
    figures = printed(["convert", str(place / "model"), *flags], capsys)
    assert bundle.to_dict() == figures | {"bundle": str(bundle.folder)}
    for path in (tmp_path / "four").iterdir():
        assert path.read_bytes() == (bundle.folder / path.name).read_bytes(), path.name
    assert any("parity" in note for note in bundle.notes)


def test_a_configuration_is_a_value(study: paredown.Study, place: Path, tmp_path: Path) -> None:
    point = study.front(every=True)[-1]
    made = paredown.convert(place / "model", tmp_path / "again", configuration=point.configuration)
    manifest = json.loads((made.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["configuration"] == point.to_dict()["configuration"]


def test_scores_are_those_of_the_command(bundle: paredown.Bundle, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = printed(["evaluate", str(bundle.folder), "--data", str(place / "search"), "--workers", "1", "--json"], capsys)
    found = paredown.evaluate(bundle, place / "search", metrics="all", workers=1)
    assert json.loads(json.dumps(found.to_dict())) == figures
    assert len(found.hypotheses) == found.utterances == figures["utterances"]
    few = paredown.evaluate(bundle, place / "search", metrics=["chrf"], first=2, workers=1)
    assert set(few.scores) == {"chrf"}
    assert few.hypotheses == found.hypotheses[:2]


def test_a_comparison_is_that_of_the_command(bundle: paredown.Bundle, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(bundle.folder), str(place / "model")]
    flags = ["--data", str(place / "search"), "--workers", "1", "--no-latency", "--json"]
    figures = printed(["compare", *pair, *flags], capsys)
    found = paredown.compare(pair[0], pair[1], place / "search", workers=1, latency=False)
    assert json.loads(json.dumps(found.to_dict())) == figures
    assert len(found.rows) == 4


def test_what_a_bundle_costs(bundle: paredown.Bundle, place: Path) -> None:
    found = paredown.profile(bundle, data=place / "search", first=2, quick=True, time=1, fixed_tokens=3, energy="none")
    assert found.latency.free.median_ms > 0
    assert found.size.size.size_bytes == bundle.size_bytes
    assert found.energy is None
    with pytest.raises(paredown.BadInput, match="is for energy estimate alone"):
        paredown.profile(bundle, tdp_w=15.0)


def test_an_analysis_of_heads(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    found = paredown.analyse(place / "model", place / "analysis", parts=["heads"], utterances=2, tell=told.append)
    flags = ["--data", str(place / "analysis"), "--parts", "heads", "--utterances", "2", "--json"]
    figures = printed(["analyse", str(place / "model"), *flags], capsys)
    assert json.loads(json.dumps(found.to_dict()["heads"])) == figures["heads"]
    with pytest.raises(paredown.BadInput, match="a part is one of"):
        paredown.analyse(place / "model", place / "analysis", parts=["head"])  # type: ignore[list-item]


def test_what_is_wrong_is_said_in_a_line(bundle: paredown.Bundle, place: Path, tmp_path: Path) -> None:
    with pytest.raises(paredown.BadInput, match="bit-widths are 2 to 8"):
        paredown.convert(place / "model", tmp_path / "nine", bits=9)
    with pytest.raises(paredown.BadInput, match="about layers that are quantized"):
        paredown.convert(place / "model", tmp_path / "none", kernel="int8")
    with pytest.raises(paredown.BadInput, match="for none of them"):
        paredown.convert(place / "model", tmp_path / "none", data=str(place / "analysis"))
    with pytest.raises(paredown.BadInput, match="a metric is one of"):
        paredown.evaluate(bundle, place / "search", metrics=["blue"])
    with pytest.raises(paredown.BadInput, match="a bundle has a"):
        paredown.evaluate(tmp_path, place / "search")
    with pytest.raises(paredown.BadInput):
        paredown.translate(bundle, tmp_path / "none.wav")
    assert not list(tmp_path.iterdir())


def test_what_contradicts_itself_is_refused_and_nothing_is_written(place: Path, tmp_path: Path) -> None:
    model, folder, data = place / "model", tmp_path / "out", place / "search"
    with pytest.raises(paredown.BadInput, match="an ESPnet checkpoint has no kernels and no decoding, got kernel int8"):
        paredown.convert(model, folder, bits=8, kernel="int8", form="espnet")
    with pytest.raises(paredown.BadInput, match="a form is one of bundle, self-contained, espnet; got 'onnx'"):
        paredown.convert(model, folder, bits=8, form="onnx")  # type: ignore[arg-type]
    with pytest.raises(paredown.BadInput, match="train is data for a configuration that trains"):
        paredown.convert(model, folder, bits=8, train=str(data))
    assert not folder.exists()
    with pytest.raises(paredown.BadInput, match="metrics are a sequence of names, 'all' or 'task'; got 'chrf'"):
        paredown.evaluate(model, data, metrics="chrf")
    with pytest.raises(paredown.BadInput, match="first is a count of utterances, at least 1; got 0"):
        paredown.evaluate(model, data, first=0)
    with pytest.raises(paredown.BadInput, match=r"a metric is one of bleu, .*; got 'comet'"):
        paredown.compare(model, model, data, metric="comet")
