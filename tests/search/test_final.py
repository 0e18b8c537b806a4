"""Which points get final figures, by hand; the record of them, damaged and cut off too."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.search.budget import make_budget
from paredown.search.final import FILE, Final, FinalPoint, choose_points, read_final, write_final
from paredown.search.outcome import Outcome
from tests.search.toy import toy_spec, trial

OBJECTIVES = toy_spec().objective_list
TRIALS = [
    trial(0, 0.0, 100.0, 16e6),
    trial(1, -0.5, 60.0, 8e6),
    trial(2, -0.6, 70.0, 9e6),  # beaten by 1
    trial(3, -2.0, 30.0, 4e6),
    trial(4, -3.0, 20.0, 3e6),
    trial(5, -9.0, 19.0, 2e6),
    trial(6, 1.0, 1.0, 1.0, "rejected"),
]


def chosen(*limits: tuple[str, str], of: Sequence[int] = range(7)) -> tuple[list[int], bool]:
    trials, feasible = choose_points([TRIALS[number] for number in of], OBJECTIVES, [make_budget(*limit) for limit in limits])
    return [each.number for each in trials], feasible


def test_the_front_of_those_that_keep_the_budgets() -> None:
    assert chosen() == ([0, 1, 3, 4, 5], True)
    assert chosen(("size", "8.5 MB")) == ([1, 3, 4, 5], True)
    assert chosen(("size", "10 MB"), ("quality", "-1")) == ([1], True)


def test_without_a_feasible_one_the_three_that_miss_least() -> None:
    assert chosen(("size", "1 MB")) == ([5], False)
    assert chosen(("size", "1 MB"), ("quality", "0")) == ([5, 4, 3], False)  # nearer to one budget, farther from the other
    assert chosen(("size", "1 MB"), ("latency@cpu", "1 ms"), of=(0, 2)) == ([2], False)
    with pytest.raises(BadInput, match="need a complete trial, this study has none among 1"):
        chosen(of=(6,))


def point(number: int) -> FinalPoint:
    known = TRIALS[number]
    assert known.outcome is not None
    return FinalPoint(number, known.digest, known.outcome)


STRICT = Measurement(61.0, "ms", (60.0, 62.0), 48, detail=(("ratio_ci95", (0.6, 0.62)),), target="ab")
QUALITY = Outcome((("quality", Measurement(-0.7, "chrF", (-1.0, -0.4), 1000)),))


def filled() -> Final:
    record = Final("chrf", "m" * 64, finished=6).with_point(point(0)).with_point(point(1))
    record = record.with_point(point(1).with_strict("latency_ms@cpu", STRICT)).with_look("d" * 64, "x/test")
    return record.with_point(replace(record.points[1], test=QUALITY))


def test_figures_stand_beside_those_of_the_search() -> None:
    record = filled()
    assert [each.trial for each in record.points] == [0, 1]
    assert record.figure(TRIALS[1], "latency_ms@cpu") == STRICT
    quality = record.figure(TRIALS[1], "quality")
    assert quality is not None
    assert quality.value == -0.7
    assert record.points[1].search.value("quality") == -0.5
    assert record.figure(TRIALS[0], "quality") is None
    assert record.figure(replace(TRIALS[1], candidate=TRIALS[2].candidate), "quality") is None  # of another study


def test_it_says_that_test_was_looked_at_before_the_search_went_on() -> None:
    record = filled()
    assert (record.searched_after_test(), record.warning()) == (False, None)
    assert "after 6 trials; 4 followed" in str(record.warning(10))
    later = replace(record, finished=9).with_look("d" * 64, "x/test")
    assert later.looks == (6, 9)
    assert later.to_dict()["searched_after_test"] is True
    assert not Final("chrf", "m", finished=9).searched_after_test(20)  # test was never looked at


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_final(tmp_path) is None
    for record in (Final("chrf", "m" * 64), filled()):
        write_final(record, tmp_path)
        assert read_final(tmp_path) == record
    assert [path.name for path in (tmp_path / "front").iterdir()] == [FILE.name]


def test_an_unavailable_figure_comes_back_as_one(tmp_path: Path) -> None:
    missing = Measurement.unavailable("mJ", "the counter wrapped")
    write_final(Final("chrf", "m", (point(1).with_strict("energy_mj@cpu", missing),)), tmp_path)
    known = read_final(tmp_path)
    assert known is not None
    figure = known.figure(TRIALS[1], "energy_mj@cpu")
    assert figure is not None
    assert (figure.provenance, figure.detail_of["reason"]) == ("unavailable", "the counter wrapped")


def test_a_full_disk_leaves_the_record_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_final(Final("chrf", "m"), tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_final(filled(), tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert [path.name for path in (tmp_path / "front").iterdir()] == [FILE.name]


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"schema": 2}', "null", '{"schema": 1, "metric": "x"}'])
def test_a_damaged_record_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "front").mkdir()
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(BadInput, match="must be a record written by paredown finish"):
        read_final(tmp_path)


def test_the_json_form_is_plain(tmp_path: Path) -> None:
    write_final(filled(), tmp_path)
    value = json.loads((tmp_path / FILE).read_text())
    assert value["points"][1]["search"]["quality"]["value"] == -0.5
    assert value["points"][1]["test"]["quality"]["value"] == -0.7
    assert (value["looks"], value["finished"], value["split"]) == ([6], 6, "x/test")
