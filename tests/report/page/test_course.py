"""The course of a study by its diary: time between two runs does not count, damaged lines are skipped."""

import json
from pathlib import Path

import pytest

from paredown.report.front_rows import read_front
from paredown.report.page.course import read_course, volumes
from paredown.search.hypervolume import Volume
from tests.report.page import pages


def line(second: int, event: str, **more: object) -> str:
    return json.dumps({"time": f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000+00:00", "event": event, **more})


def test_the_time_between_runs_does_not_count(tmp_path: Path) -> None:
    lines = [line(0, "started"), line(0, "running", sampler="model"), line(10, "trial done", trial=0), line(12, "stopped")]
    lines += ["{damaged", '["no object"]', line(300, "resumed"), line(301, "running", sampler="tpe"), line(311, "trial stopped", trial=1)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    course = read_course(tmp_path)
    assert course.ended == {0: 10.0, 1: 22.0}
    assert course.seconds == 22.0
    assert course.sampler == "tpe"
    assert course.last == "2026-01-01T00:05:11.000+00:00"


def test_without_a_diary_nothing_is_known(tmp_path: Path) -> None:
    course = read_course(tmp_path)
    assert (course.ended, course.seconds, course.last, course.sampler) == ({}, 0.0, None, None)


def test_hypervolume_grows_to_that_of_all(tmp_path: Path) -> None:
    front = read_front(pages.write_study(tmp_path))
    found = volumes(front)
    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    values = [value for _, value in found]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(Volume(front.objectives).of(front.trials), rel=1e-5)  # six digits are kept
