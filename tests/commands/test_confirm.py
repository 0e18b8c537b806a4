"""`paredown confirm` on a tiny model: tested once, in the order that was fixed, and never otherwise; a killed one goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.quality.judgement import NonInferiority
from paredown.search.confirmation import FILE, read_confirmation
from paredown.search.lock import StudyLock
from paredown.trials import confirming
from paredown.trials.decoding import Decoder
from tests.commands.tiny import write_split, write_study

Texts = tuple[str, ...]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A study that ran, with a test split."""
    study = write_study(tmp_path)
    test = write_split(tmp_path / "test", utterances=3)
    study.write_text(study.read_text().replace('analysis = "', f'test = "{test}", analysis = "').replace("trials = 9", "trials = 7"))
    assert main(["run", str(study), "-o", str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    return tmp_path / "runs"


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


class Judge:
    """Stands for the test: passes as many as it is told, and counts."""

    def __init__(self, passes: int) -> None:
        self.passes, self.asked = passes, 0

    def __call__(self, metric: str, texts: Texts, baseline: Texts, references: Texts, margin: float, tokenizer: str) -> NonInferiority:
        self.asked += 1
        passed = self.asked <= self.passes
        loss = 0.1 if passed else margin
        return NonInferiority(metric, margin, loss, loss + 0.01, passed, len(references), 0.01, None)


def confirm(folder: Path, *flags: str) -> list[str]:
    return ["confirm", str(folder), "--margin", "90", *flags, "--json"]


def test_all_is_real_once(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles decode, tests test; the second call prints the record and decodes nothing."""
    assert main(confirm(folder)) == 0
    first = printed(capsys)
    assert first["done"]
    costs = [planned["cost"] for planned in first["order"]]
    assert costs == sorted(costs, reverse=True)
    assert costs
    for planned, verdict in zip(first["order"], first["verdicts"], strict=False):
        assert (verdict["trial"], verdict["digest"], verdict["margin"]) == (planned["trial"], planned["digest"], 90.0)
        assert verdict["utterances"] == 3
        assert verdict["passed"] == (verdict["upper95"] < 90.0)
        assert verdict["upper95"] == pytest.approx(verdict["loss"] + verdict["smallest_visible"])
        assert 0 < verdict["dagger_p"] <= 1
    assert json.loads((folder / FILE).read_text()) == first
    monkeypatch.setattr(Decoder, "decode", None)
    assert main(["confirm", str(folder), "--json"]) == 0
    assert printed(capsys) == first
    assert main(["confirm", str(folder)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no loss of tiny" in told
    assert "90 chrF, which was fixed beforehand" in told


def test_it_stops_at_the_first_that_fails(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "non_inferiority", Judge(passes=1))
    assert main(confirm(folder)) == 0
    found = printed(capsys)
    assert len(found["order"]) > 2
    assert [verdict["passed"] for verdict in found["verdicts"]] == [True, False]
    assert main(["front", str(folder), "--all", "--json"]) == 0
    confirmed = {point["trial"]: point["confirmed"] for point in printed(capsys)}
    order = [planned["trial"] for planned in found["order"]]
    assert [confirmed[trial] for trial in order[:3]] == [True, False, None]
    assert main(["front", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "confirmed" in told
    assert "failed" in told
    assert main(["confirm", str(folder)]) == 0
    assert "not tested" in capsys.readouterr().out


def test_a_confirmation_that_was_killed_goes_on_where_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(passes=99)

    def die(*given: Any, **named: Any) -> NonInferiority:
        if judge.asked == 1:
            raise KeyboardInterrupt
        return judge(*given, **named)

    monkeypatch.setattr(confirming, "non_inferiority", die)
    assert main(confirm(folder)) == 130
    half = read_confirmation(folder)
    assert half is not None
    assert (len(half.verdicts), half.is_done) == (1, False)
    decoded: list[Path] = []
    decode = Decoder.decode

    def counted(self: Decoder, bundle: Path, *given: Any) -> Any:
        decoded.append(bundle)
        return decode(self, bundle, *given)

    monkeypatch.setattr(Decoder, "decode", counted)
    monkeypatch.setattr(confirming, "non_inferiority", judge)
    assert main(["confirm", str(folder), "--json"]) == 0
    assert printed(capsys)["verdicts"][0] == json.loads(json.dumps(half.to_dict()))["verdicts"][0]
    assert judge.asked == len(half.order)
    assert len(decoded) == len(half.order)  # all but the first, and the uncompressed model


def test_what_was_fixed_beforehand_stays(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_split(tmp_path / "other", utterances=2)
    assert "other data than trials were chosen on" in refused(confirm(folder, "--data", str(tmp_path / "search")), capsys)
    assert "a figure must be above zero, got '0'" in refused(["confirm", str(folder), "--margin", "0"], capsys)
    assert "an order by energy needs the objective energy_mj" in refused(confirm(folder, "--by", "energy"), capsys)
    assert not (folder / FILE).exists()
    lock = StudyLock(folder)
    assert "one process drives a study at a time" in refused(confirm(folder), capsys)
    lock.release()
    assert not (folder / FILE).exists()
    assert main(confirm(folder)) == 0
    fixed = "is fixed before the first test: this study was confirmed with"
    assert f"--margin {fixed} 90.0, got 91.0" in refused(["confirm", str(folder), "--margin", "91"], capsys)
    assert f"--by {fixed} size, got latency" in refused(["confirm", str(folder), "--by", "latency"], capsys)
    assert f"--data {fixed} {tmp_path / 'test'}, got {other}" in refused(["confirm", str(folder), "--data", str(other)], capsys)


def test_a_study_without_a_test_split_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    assert main(["run", str(study), "-o", str(tmp_path / "runs"), "--trials", "2"]) == 0
    assert "needs data.test: a manifest or a folder" in refused(["confirm", str(tmp_path / "runs")], capsys)
    assert "study.db" in refused(["confirm", str(tmp_path / "nowhere")], capsys)
