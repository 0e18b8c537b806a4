"""The course of a study: when its trials ended, by its diary, and how its hypervolume grew."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from paredown.report.front_rows import StudyFront
from paredown.report.page.numbers import short
from paredown.search.hypervolume import Volume

FILE = "events.jsonl"
_ENDS = ("trial done", "trial stopped", "trial rejected", "trial interrupted")
_BEGINS = ("started", "resumed", "running")  # what was before was another run: the time between does not count


@dataclass(frozen=True)
class Course:
    """`ended`: seconds of running when a trial ended, by its number; `seconds`: of all runs; `last`: when the last line was written."""

    ended: Mapping[int, float]
    seconds: float
    last: str | None
    sampler: str | None


def read_course(folder: Path) -> Course:
    """From the diary of the study; without one nothing is known. Lines that are damaged are skipped."""
    ended: dict[int, float] = {}
    seconds, before, last, sampler = 0.0, None, None, None
    for line in _lines(folder / FILE):
        try:
            at, event = datetime.fromisoformat(line["time"]), str(line["event"])
            if before is not None and event not in _BEGINS:
                seconds += max(0.0, (at - before).total_seconds())
            before, last = at, str(line["time"])
            if event in _ENDS:
                ended[int(line["trial"])] = seconds
            sampler = str(line["sampler"]) if event == "running" and "sampler" in line else sampler
        except (KeyError, TypeError, ValueError):
            continue
    return Course(ended, seconds, last, sampler)


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def volumes(front: StudyFront) -> list[list[float]]:
    """The hypervolume after each complete trial, as pairs of its number and the volume; none before the uncompressed model was measured."""
    volume, found = Volume(front.objectives, front.budgets), []
    for trial in front.trials:
        if trial.outcome is not None and (known := volume.of((trial,))) is not None:
            found.append([trial.number, short(known)])
    return found
