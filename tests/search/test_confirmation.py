"""What is tested in which order, by hand; the record, and who is picked from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.search.budget import make_budget
from paredown.search.confirmation import (
    FILE,
    By,
    Confirmation,
    Planned,
    Verdict,
    pick_confirmed,
    plan,
    read_confirmation,
    write_confirmation,
)
from paredown.search.pick import pick_trial
from paredown.space.configuration import Configuration, Decode
from tests.search.toy import toy_spec, trial

OBJECTIVES = toy_spec().objective_list
REFERENCE = Configuration(decode=Decode(beam_size=1))  # that of trial 0
TRIALS = [
    trial(0, 0.0, 100.0, 16e6),  # uncompressed
    trial(1, -0.5, 60.0, 8e6),
    trial(2, 0.25, 90.0, 10e6),
    trial(3, -0.75, 50.0, 9e6),  # beaten by 1 in size and loss, but faster
    trial(4, -1.0, 95.0, 4e6),
    trial(5, -1.1, 20.0, 2e6),  # loses too much
    trial(6, -0.9, 99.0, 4.5e6),
    trial(7, 0.5, 10.0, 1e6, "rejected"),
]


def order_of(by: By, margin: float = 1.0, *limits: tuple[str, str]) -> list[int]:
    budgets = [make_budget(*limit) for limit in limits]
    return [planned.trial for planned in plan(TRIALS, OBJECTIVES, budgets, margin, by, REFERENCE)]


def test_from_mild_to_aggressive_in_cost_and_in_loss() -> None:
    assert order_of("size") == [2, 1, 6, 4]
    assert order_of("latency") == [2, 1, 3]
    assert order_of("size", 0.6) == [2, 1]
    assert order_of("size", 2.0) == [2, 1, 6, 4, 5]
    planned = plan(TRIALS, OBJECTIVES, (), 2.0, "size", REFERENCE)
    assert [one.search_loss for one in planned] == sorted(one.search_loss for one in planned)
    assert planned[0] == Planned(2, TRIALS[2].digest, 10e6, -0.25)


def test_budgets_of_the_study_leave_out_what_it_does_not_want() -> None:
    assert order_of("size", 1.0, ("size", "9 MB")) == [1, 6, 4]
    assert order_of("size", 1.0, ("latency@cpu", "92 ms")) == [2, 1]


def test_equal_figures_are_tested_once() -> None:
    twice = [*TRIALS[:3], trial(8, 0.25, 90.0, 10e6)]
    assert [planned.trial for planned in plan(twice, OBJECTIVES, (), 1.0, "size", REFERENCE)] == [2, 1]


def test_nothing_to_test_is_said() -> None:
    with pytest.raises(BadInput, match=r"no trial of the front loses at most 0\.5 on search.*nothing was tested"):
        plan([TRIALS[0], TRIALS[4]], OBJECTIVES, (), 0.5, "size", REFERENCE)
    with pytest.raises(BadInput, match="an order by energy needs the objective energy_mj; this study has quality, latency_ms@cpu"):
        plan(TRIALS, OBJECTIVES, (), 1.0, "energy", REFERENCE)


def verdict(planned: Planned, passed: bool) -> Verdict:
    loss = 0.1 if passed else 2.0
    return Verdict(
        planned.trial, planned.digest, "non-inferiority", 1.0, 1000, loss, loss + 0.5, 0.5, None, passed, "paired bootstrap", 0.2, 0.6
    )


def record_of(*passed: bool, by: By = "size") -> Confirmation:
    order = plan(TRIALS, OBJECTIVES, (), 1.0, by, REFERENCE)
    record = Confirmation("chrf", 1.0, by, "a" * 64, "b" * 64, "x/test", order)
    for planned, one in zip(order, passed, strict=False):
        record = record.with_verdict(verdict(planned, one))
    return record


def test_it_is_done_when_all_passed_or_one_failed() -> None:
    assert [record_of(*passed).is_done for passed in [(), (True,), (True, False), (True, True, True, True)]] == [False, False, True, True]
    assert [record_of(True, False).passed(one) for one in TRIALS[:4]] == [None, False, True, None]
    assert record_of(True, False).passed(trial(2, 0.5, 90.0, 10e6)) is True
    assert record_of(True, False).passed(replace(TRIALS[2], candidate=TRIALS[3].candidate)) is None  # of another study
    with pytest.raises(ValueError, match=r"verdicts must follow the order of the plan, got those of trials \[1\]"):
        replace(record_of(), verdicts=(verdict(record_of().order[1], True),))


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_confirmation(tmp_path) is None
    for record in (record_of(), record_of(True, False)):
        write_confirmation(record, tmp_path)
        assert read_confirmation(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    value = json.loads((tmp_path / FILE).read_text())
    assert (value["done"], value["margin"], [entry["trial"] for entry in value["verdicts"]]) == (True, 1.0, [2, 1])


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"schema": 2}', "null"])
def test_a_damaged_record_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(BadInput, match=r"must be a record written by paredown confirm"):
        read_confirmation(tmp_path)


def test_a_record_of_another_order_is_refused(tmp_path: Path) -> None:
    write_confirmation(record_of(True, True), tmp_path)
    text = json.loads((tmp_path / FILE).read_text())
    text["verdicts"].reverse()
    (tmp_path / FILE).write_text(json.dumps(text))
    with pytest.raises(BadInput, match="verdicts must follow the order of the plan"):
        read_confirmation(tmp_path)


def test_lossless_is_the_smallest_or_fastest_that_passed() -> None:
    record = record_of(True, True, True, False)
    assert pick_confirmed(record, TRIALS, OBJECTIVES).number == 6
    assert pick_confirmed(record, TRIALS, OBJECTIVES, by="latency").number == 1
    assert pick_confirmed(record, TRIALS, OBJECTIVES, [make_budget("latency@cpu", "95 ms")]).number == 1
    assert pick_confirmed(record_of(True, True, False, by="latency"), TRIALS, OBJECTIVES).number == 1
    assert pick_confirmed(record_of(True, True, False, by="latency"), TRIALS, OBJECTIVES, by="size").number == 1
    assert pick_trial("lossless", TRIALS, OBJECTIVES, record=record, by="latency").number == 1
    with pytest.raises(BadInput, match="an order by latency goes with the pick lossless, got the pick smallest"):
        pick_trial("smallest", TRIALS, OBJECTIVES, record=record, by="latency")
    with pytest.raises(BadInput, match="run paredown confirm STUDY"):
        pick_trial("lossless", TRIALS, OBJECTIVES)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "takes a trial that was confirmed on test, none was confirmed yet: run paredown confirm STUDY"),
        (record_of(True), "the confirmation of this study is not finished: run paredown confirm STUDY"),
        (record_of(False), "no trial of this study was confirmed within 1 chrF on x/test"),
        (record_of(True, False), "no trial that was confirmed keeps size <= 1 MB; confirmed are 2"),
    ],
)
def test_without_a_confirmed_trial_it_is_said_what_to_do(record: Confirmation | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pick_confirmed(record, TRIALS, OBJECTIVES, [make_budget("size", "1 MB")])
