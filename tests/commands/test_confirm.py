"""`paredown confirm` on a tiny model: tested once, in the order that was fixed, and never otherwise; a killed one goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from paredown import commands
from paredown.cli import main
from paredown.data import Split, load_split
from paredown.models import load_model
from paredown.quality.judgement import NonInferiority
from paredown.search.confirmation import FILE, read_confirmation
from paredown.search.lock import StudyLock
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.study import Study
from paredown.search.study_file import parse_spec
from paredown.search.trial import Candidate
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from paredown.trials import confirming
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.evaluation import uncompressed
from paredown.trials.space import uniform_bits
from tests.commands.tiny import write_split, write_study
from tests.search.toy import outcome

Texts = tuple[str, ...]
BITS = (8, 6, 4, 3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a tiny model, its splits, and a study of it with made-up figures on search: fewer bits lose more."""
    place = tmp_path_factory.mktemp("made")
    study, test = write_study(place), write_split(place / "test", utterances=3)
    write_split(place / "analysis", utterances=5)
    spec = parse_spec(study.read_text().replace('analysis = "', f'test = "{test}", analysis = "').replace("trials = 9", "trials = 5"))
    model = load_model(place / "model")
    given = [Candidate("uncompressed", uncompressed(model))]
    given += [Candidate(f"uniform {bits} bits", uniform_bits(model.inventory(), bits, given[0].configuration.decode)) for bits in BITS]
    identity = {"model": model.digest, "search split": load_split(place / "search").digest}

    def evaluate(configuration: Configuration, number: int) -> Outcome:
        bits = BITS[number - 1] if number else 32
        return outcome(-number / 10, 10.0 + bits, 1000.0 * bits)

    space = SearchSpace([LayersAxis("decoder", 4, (2, 1), 2, 4)])
    with Study.open(place / "runs", spec, space, spec.objective_list, (), identity) as opened:
        run_study(opened, evaluate, given)
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The study, for one test."""
    return shutil.copytree(made / "runs", tmp_path / "runs")


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
    assert costs == [8000.0, 6000.0, 4000.0, 3000.0]
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
    monkeypatch.setenv("COLUMNS", "240")  # a line for each trial
    assert main(["front", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "within 90 chrF, fixed beforehand" in " ".join(told.split())
    marks = {row.split("│")[1].strip(): row.split("│")[-2].strip() for row in told.splitlines() if row.startswith("│")}
    assert [marks[str(trial)] for trial in order[:3]] == ["yes", "no", ""]
    assert main(["confirm", str(folder)]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("confirmed", "failed", "not", "tested"))


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


def test_what_was_fixed_beforehand_stays(folder: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_split(tmp_path / "other", utterances=2)
    assert "other data than trials were chosen on" in refused(confirm(folder, "--data", str(made / "search")), capsys)
    assert "a figure must be above zero, got '0'" in refused(["confirm", str(folder), "--margin", "0"], capsys)
    assert "an order by energy needs the objective energy_mj" in refused(confirm(folder, "--by", "energy"), capsys)
    for split in ("search", "analysis"):
        assert f"{made / split} is the {split} split" in refused(confirm(folder, "--data", str(made / split)), capsys)
    assert not (folder / FILE).exists()
    lock = StudyLock(folder)
    assert "one process drives a study at a time" in refused(confirm(folder), capsys)
    lock.release()
    assert not (folder / FILE).exists()
    assert main(confirm(folder)) == 0
    fixed = "is fixed before the first test: this study was confirmed with"
    assert f"--margin {fixed} 90.0, got 91.0" in refused(["confirm", str(folder), "--margin", "91"], capsys)
    assert f"--by {fixed} size, got latency" in refused(["confirm", str(folder), "--by", "latency"], capsys)
    assert f"--data {fixed} {made / 'test'}, got {other}" in refused(["confirm", str(folder), "--data", str(other)], capsys)


def test_too_few_utterances_for_the_margin_are_refused_before_anything_is_tested(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three answers that are right: 63 % of all might be wrong."""

    def right(self: Decoder, bundle: Path, split: Split, *given: Any) -> tuple[Hypothesis, ...]:
        return tuple(Hypothesis(text, (1,), False) for text in split.references("st"))

    monkeypatch.setattr(Decoder, "decode", right)
    told = refused(["confirm", str(folder), "--margin", "60"], capsys)
    assert "3 utterances of" in told
    assert "cannot confirm a margin of 60 chrF: what none of them shows may cost 63.16; take more of them" in told
    assert not (folder / FILE).exists()
    assert main(["confirm", str(folder), "--margin", "64", "--json"]) == 0
    assert printed(capsys)["verdicts"][0]["passed"]


def test_a_study_without_a_test_split_says_what_is_missing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "study.toml").read_text().splitlines(keepends=True)
    (folder / "study.toml").write_text("".join(line for line in text if not line.startswith("test = ")))
    assert "needs data.test: a manifest or a folder" in refused(["confirm", str(folder)], capsys)
    assert "study.db" in refused(["confirm", str(tmp_path / "nowhere")], capsys)


def test_another_model_or_another_trial_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirming, "non_inferiority", Judge(passes=99))
    assert main(confirm(folder)) == 0
    record = json.loads((folder / FILE).read_text())
    record |= {"order": [{**record["order"][0], "digest": "0" * 64}]}
    for verdicts in ([], [record["verdicts"][0] | {"digest": "0" * 64}]):  # not finished, and finished
        (folder / FILE).write_text(json.dumps(record | {"verdicts": verdicts}))
        assert "the plan names trial 1 as 000000000000, which is not the trial of this study" in refused(["confirm", str(folder)], capsys)
    assert main(["front", str(folder), "--json"]) == 0
    assert {point["confirmed"] for point in printed(capsys)} == {None}
    assert "no trial of this study was confirmed" in refused(
        ["export", str(folder), "--pick", "lossless", "-o", str(folder / "out")], capsys
    )


def test_the_table_is_whole_on_a_screen_of_eighty_columns(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirming, "non_inferiority", Judge(passes=1))
    assert main(confirm(folder)) == 0
    capsys.readouterr()
    for module in (commands.confirm, commands.fronts):
        monkeypatch.setattr(module, "console", lambda: Console(width=80))
    assert main(["confirm", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    assert all(word in told for word in ("confirmed", "failed", "≤ +0.11", "from 0.01", "tested"))
    assert main(["front", str(folder), "--all"]) == 0
    assert "…" not in capsys.readouterr().out
