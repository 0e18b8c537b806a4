"""`paredown finish` on a tiny model: strict figures and those on test beside the search's, once; a killed one goes on."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from paredown.cli import main
from paredown.commands import finish as finish_command
from paredown.data import Split, load_split
from paredown.models import load_model
from paredown.profilers.energy.energy import Energy, Figures, Origin
from paredown.profilers.energy.protocol import Protocol
from paredown.profilers.energy.spread import Spread
from paredown.profilers.latency import Effort, Latency, Timing
from paredown.profilers.measurement import Measurement
from paredown.quality.paired import paired_difference
from paredown.search.final import FILE, read_final
from paredown.search.lock import StudyLock
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.study import Study
from paredown.search.study_file import parse_spec
from paredown.search.trial import Candidate
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from paredown.trials import finishing, judging
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.space import uniform_bits
from paredown.trials.timing import REFERENCE, Timed
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_split, write_study
from tests.search.toy import outcome

BITS = (8, 6, 4, 3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


def make_study(place: Path, targets: tuple[str, ...] = ("cpu",), trials: int = 5, energy: str = "[]", **budgets: str) -> Path:
    """A study of the tiny model with made-up figures of the search: fewer bits are smaller and faster and lose more."""
    study, test = write_study(place, **budgets), write_split(place / "test", utterances=3)
    write_split(place / "analysis", utterances=5)
    text = study.read_text().replace('analysis = "', f'test = "{test}", analysis = "').replace("trials = 9", f"trials = {trials}")
    kernel = "nbits" if "cuda" in targets else "int8"
    text += f'[objectives]\nlatency = {json.dumps(targets)}\nenergy = {energy}\n[target]\nkernel = "{kernel}"\n'
    text += "tdp_w = 15\ntdp_cores = 4\n" if energy == '"estimate"' else ""
    add_trials(place, text)
    return place / "runs"


def add_trials(place: Path, text: str) -> None:
    spec, model = parse_spec(text), load_model(place / "model")
    given = [Candidate("uncompressed", uncompressed(model))]
    given += [Candidate(f"uniform {bits} bits", uniform_bits(model.inventory(), bits, given[0].configuration.decode)) for bits in BITS]
    identity = {"model": model.digest, "search split": load_split(place / "search").digest}

    def evaluate(configuration: Configuration, number: int) -> Outcome:
        bits = BITS[number - 1] if number else 32
        found = outcome(-number / 10, 10.0 + bits, 1000.0 * bits)
        others = [(f"latency_ms@{target}", Measurement(5.0 + bits, "ms")) for target in spec.objectives.latency if target != "cpu"]
        others += [("energy_mj@cpu", Measurement(100.0 + bits, "mJ", provenance="estimated"))] if spec.objectives.energy else []
        return replace(found, measurements=(*found.measurements, *others))

    space = SearchSpace([LayersAxis("decoder", 4, (2, 1), 2, 4)])
    with Study.open(place / "runs", spec, space, spec.objective_list, spec.budget_list, identity) as opened:
        run_study(opened, evaluate, given)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    make_study(place)
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "runs", tmp_path / "runs")


class Timer:
    """A stopwatch whose clock is a formula: every target has a speed, and a candidate takes as long as its bundle has bytes."""

    speed: ClassVar[Mapping[str, float]] = {"cpu": 1.0, "cuda": 10.0}
    asked: ClassVar[list[tuple[str, int, float]]] = []

    def __init__(self, threads: int, target: str = "cpu") -> None:
        self._target = target

    def __enter__(self) -> "Timer":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def time(self, candidates: Mapping[str, Timed], split: Split, effort: Effort, *, fixed_tokens: int, seed: int) -> dict[str, Latency]:
        self.asked.append((self._target, len(candidates), effort.seconds))
        size = {name: sum(file.stat().st_size for file in timed.bundle.iterdir()) for name, timed in candidates.items()}
        ratio = {name: each / size[REFERENCE] for name, each in size.items()}
        return {name: self._latency(ratio[name], name == REFERENCE) for name in candidates}

    def _latency(self, ratio: float, itself: bool) -> Latency:
        around = (1.0, 1.0) if itself else (0.99 * ratio, 1.01 * ratio)
        milliseconds = 1000.0 * ratio / self.speed[self._target]
        return Latency(Timing(milliseconds, None, (milliseconds, milliseconds), ratio, around, 48, 7.0))


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> type[Timer]:
    monkeypatch.setattr(finishing, "Stopwatch", Timer)
    monkeypatch.setattr(Timer, "asked", [])
    return Timer


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_all_is_real_once(folder: Path, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles are timed beside the uncompressed one and decode test; the second call prints the record and measures nothing."""
    assert main(["finish", str(folder), "--time", "3s", "--json"]) == 0
    first = printed(capsys)
    assert [point["trial"] for point in first["points"]] == [0, 1, 2, 3, 4]
    assert (first["feasible"], first["finished"], first["looks"], first["searched_after_test"]) == (True, 5, [5], False)
    for point in first["points"]:
        strict = point["strict"]["latency_ms@cpu"]
        assert strict["target"] is not None
        assert set(point["test"]) == {"quality", "chrf", "bleu"}
        assert point["search"]["quality"]["value"] == -point["trial"] / 10
        if point["trial"]:
            low, high = strict["ci95"]
            assert low <= strict["value"] <= high
            assert strict["value"] == pytest.approx(42.0 * strict["detail"]["ratio"])  # on the scale of the study's uncompressed model
    assert first["points"][0]["strict"]["latency_ms@cpu"]["value"] == 42.0
    assert first["points"][0]["test"]["quality"]["value"] == 0.0
    assert json.loads((folder / FILE).read_text()) == first
    monkeypatch.setattr(Decoder, "decode", None)
    monkeypatch.setattr(finishing, "Stopwatch", None)
    assert main(["finish", str(folder), "--json"]) == 0
    assert printed(capsys) == first
    assert main(["finish", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).split())
    assert "final figures of tiny" in told
    assert "looked at once" in told
    chosen = next(point for point in first["points"] if point["trial"] == 4)
    place = next(number for number, line in enumerate(lines) if line.startswith("4  "))
    for figures, line in ((chosen["search"], lines[place]), (chosen["strict"] | chosen["test"], lines[place + 1])):
        for name, digits in (("quality", 2), ("latency_ms@cpu", 1)):
            assert f"{figures[name]['value']:.{digits}f}" in line
    assert f"chrF {chosen['test']['chrf']['value']:.2f} on test" in told


def test_quality_on_test_is_that_of_the_bundle(folder: Path, made: Path, capsys: pytest.CaptureFixture[str], timer: type[Timer]) -> None:
    assert main(["finish", str(folder), "--json"]) == 0
    point = printed(capsys)["points"][4]
    model, test = load_model(made / "model"), load_split(made / "test")
    with Workshop(model) as workshop, Decoder(1) as decoder:
        reference = uncompressed(model)
        three = uniform_bits(model.inventory(), 3, reference.decode)
        texts = [[each.text for each in decoder.decode(workshop.build(one), test)] for one in (three, reference)]
    known = paired_difference("chrf", *texts, test.references("st"))
    assert point["test"]["quality"]["value"] == pytest.approx(known.value)
    assert point["test"]["quality"]["ci95"] == pytest.approx(list(known.ci95))
    assert point["test"]["quality"]["samples"] == 3


def test_one_that_was_killed_goes_on_where_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, timer: type[Timer]
) -> None:
    decode, decoded = Decoder.decode, list[Path]()

    def die(self: Decoder, bundle: Path, split: Split, *given: Any) -> Any:
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(bundle)
        return decode(self, bundle, split, *given)

    monkeypatch.setattr(Decoder, "decode", die)
    assert main(["finish", str(folder), "--json"]) == 130
    half = read_final(folder)
    assert half is not None
    assert [len(point.test.measurements) > 0 for point in half.points] == [True, True, False, False, False]
    assert half.looks == (5,)
    monkeypatch.setattr(Decoder, "decode", decode)
    capsys.readouterr()
    assert main(["finish", str(folder), "--json"]) == 0
    whole = printed(capsys)
    assert whole["points"][1] == json.loads(json.dumps(half.points[1].to_dict()))
    assert all(point["test"] for point in whole["points"])
    assert timer.asked == [("cpu", 5, 90.0)]  # once, 18 s each: four candidates, and the reference, which is a point itself


def test_test_may_be_left_unseen_and_looked_at_later(folder: Path, capsys: pytest.CaptureFixture[str], timer: type[Timer]) -> None:
    assert main(["finish", str(folder), "--no-test", "--json"]) == 0
    costs = printed(capsys)
    assert (costs["test_split"], costs["looks"]) == (None, [])
    assert all(point["strict"] and not point["test"] for point in costs["points"])
    assert main(["finish", str(folder)]) == 0
    assert len(timer.asked) == 1
    record = read_final(folder)
    assert record is not None
    assert record.looks == (5,)


def test_trials_that_follow_a_look_at_test_are_measured_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], timer: type[Timer]
) -> None:
    folder = make_study(tmp_path, trials=3)
    assert main(["finish", str(folder), "--json"]) == 0
    assert printed(capsys)["looks"] == [3]
    add_trials(tmp_path, (folder / "study.toml").read_text().replace("trials = 3", "trials = 5"))
    assert main(["finish", str(folder), "--json"]) == 0
    streams = capsys.readouterr()
    found = json.loads(streams.out)
    assert "warning: test was looked at before the search went on, after 3 trials; 2 followed" in streams.err
    assert (found["searched_after_test"], found["looks"], found["finished"]) == (True, [3, 5], 5)
    assert [point["trial"] for point in found["points"]] == [0, 1, 2, 3, 4]
    assert [asked[1] for asked in timer.asked] == [3, 3]  # the two new ones beside the reference
    assert main(["finish", str(folder)]) == 0
    assert "Warning: test was looked at before the search went on" in " ".join(capsys.readouterr().out.split())


def test_where_nothing_is_feasible_the_nearest_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], timer: type[Timer]) -> None:
    folder = make_study(tmp_path, size="2 kB")
    assert main(["finish", str(folder), "--no-test", "--json"]) == 0
    found = printed(capsys)
    assert (found["feasible"], [point["trial"] for point in found["points"]]) == (False, [4])
    assert main(["finish", str(folder), "--no-test"]) == 0
    assert "No trial keeps the budgets: these miss them least." in " ".join(capsys.readouterr().out.split())


def test_every_target_has_figures_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, timer: type[Timer]
) -> None:
    folder = make_study(tmp_path, ("cpu", "cuda"))
    monkeypatch.setattr("paredown.doctor.accelerator.look_at_accelerator", lambda: iter(()))  # as if all were well
    assert main(["finish", str(folder), "--no-test", "--time", "20s", "--json"]) == 0
    found = printed(capsys)
    assert timer.asked == [("cpu", 5, 10.0), ("cuda", 5, 10.0)]
    for point in found["points"][1:]:
        on_cpu, on_cuda = (point["strict"][f"latency_ms@{target}"] for target in ("cpu", "cuda"))
        assert on_cpu["value"] / 42.0 == pytest.approx(on_cuda["value"] / 37.0)  # what the study has of its reference on each of them
        assert on_cpu["target"] != on_cuda["target"]
    monkeypatch.setenv("COLUMNS", "300")  # headings in one line
    assert main(["finish", str(folder), "--no-test"]) == 0
    assert "latency@cuda ms" in " ".join(capsys.readouterr().out.split())


def test_energy_is_counted_strictly_and_what_was_refused_is_counted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, timer: type[Timer]
) -> None:
    folder = make_study(tmp_path, energy='"estimate"')
    origin, asked = Origin("model", "a model", "cpu", "as it says", "estimated"), list[tuple[int, int]]()

    def count(
        stopwatch: Any, candidates: Mapping[str, Timed], split: Split, request: Any, protocol: Protocol, *, seed: int
    ) -> dict[str, Energy]:
        def energy(ratio: float) -> Energy:
            ratios = Spread.of_ratios([0.99 * ratio, ratio, 1.01 * ratio] if ratio != 1.0 else [1.0] * 3)
            return Energy(origin, Figures(Spread.of([500.0 * ratio] * 3), None, (), 1.0, None, ratios, 2.0, 16, 1, 3.0, 0, None))

        asked.append((len(candidates), protocol.repeats))
        found = {name: energy(1.0 if name == REFERENCE else 0.5) for name in candidates}
        return found | ({"3": Energy(origin, None, "the counter wrapped")} if len(asked) == 1 else {})

    monkeypatch.setattr(finishing, "meter", count)
    assert main(["finish", str(folder), "--no-test", "--json"]) == 0
    strict = {point["trial"]: point["strict"]["energy_mj@cpu"] for point in printed(capsys)["points"]}
    assert strict[1]["value"] == pytest.approx(66.0, rel=1e-3)  # half of the 132 mJ of the study; ratios are spread by 1 %
    assert strict[1]["ci95"][0] < 66.0 < strict[1]["ci95"][1]
    assert (strict[3]["value"], strict[3]["provenance"]) == (None, "unavailable")
    assert main(["finish", str(folder), "--no-test", "--json"]) == 0
    assert printed(capsys)["points"][3]["strict"]["energy_mj@cpu"]["value"] == pytest.approx(66.0, rel=1e-3)
    assert asked == [(5, 12), (2, 12)]


def test_what_cannot_be_finished_is_refused(
    folder: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], timer: type[Timer]
) -> None:
    for split in ("search", "analysis"):
        assert f"{made / split} is the {split} split" in refused(["finish", str(folder), "--test", str(made / split)], capsys)
    assert "--no-test leaves test unseen" in refused(["finish", str(folder), "--no-test", "--test", "x"], capsys)
    assert "--time must have a unit" in refused(["finish", str(folder), "--time", "5 parsecs"], capsys)
    assert "study.db" in refused(["finish", str(tmp_path / "nowhere")], capsys)
    lock = StudyLock(folder)
    assert "one process drives a study at a time" in refused(["finish", str(folder)], capsys)
    lock.release()
    assert not (folder / FILE).exists()
    assert main(["finish", str(folder), "--json"]) == 0
    other = write_split(tmp_path / "other", utterances=2)
    told = refused(["finish", str(folder), "--test", str(other)], capsys)
    assert f"--test stays what it was: the front of this study was scored on {made / 'test'}, got {other}" in told


def test_another_machine_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    read = judging.read_study

    def elsewhere(path: Path) -> Any:
        spec, trials = read(path)
        there = [
            (name, replace(each, target="f" * 64) if name == "latency_ms@cpu" else each) for name, each in trials[1].outcome.measurements
        ]
        return spec, (trials[0], replace(trials[1], outcome=Outcome(tuple(there))), *trials[2:])

    monkeypatch.setattr(judging, "read_study", elsewhere)
    told = refused(["finish", str(folder)], capsys)
    assert "costs are measured on the target that the study was: trial 1 was on cpu ffffffffffff, this is" in told
    assert not (folder / FILE).exists()


def test_the_table_is_whole_on_a_narrow_screen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, timer: type[Timer]
) -> None:
    monkeypatch.setattr(finish_command, "console", lambda: Console(width=80))
    assert main(["finish", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    assert "42.0" in told
