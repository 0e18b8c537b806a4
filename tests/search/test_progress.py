"""The progress display, on a terminal and in a log."""

import io
from dataclasses import replace

from rich.console import Console

from paredown.search.budget import make_budget
from paredown.search.loop import Standing
from paredown.search.outcome import Outcome
from paredown.search.progress import StudyProgress
from paredown.search.trial import Trial
from tests.search.toy import toy_spec, trial

OBJECTIVES = toy_spec().objective_list
BUDGETS = [make_budget("size", "10 MB")]
TRIALS = [trial(0, 0.0, 68.0, 16e6), trial(1, -1.5, 60.0, 9e6), Trial(2, "rejected", trial(2, 0, 1, 1).candidate, reason="parity")]


def show(standings: list[Standing], terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=200, _environ={"TERM": "xterm" if terminal else "dumb"})
    with StudyProgress(OBJECTIVES, BUDGETS, console) as progress:
        for standing in standings:
            progress(standing)
    return text.getvalue()


def standing(count: int, running: str | None = None, seconds_spent: float = 0.0) -> Standing:
    return Standing(tuple(TRIALS[:count]), 12, seconds_spent, 300.0, running)


def test_a_log_gets_one_plain_line_per_trial() -> None:
    text = show([standing(0, "uncompressed"), standing(1), standing(1, "8 bits"), standing(2), standing(3, None, 260.0)], terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("trial 0 (1/12): search: quality 0 chrF, latency@cpu 68 ms, size 16 MB; best none yet within size <= 10 MB")
    assert "best quality -1.5 chrF (trial 1), latency@cpu 60 ms (trial 1), size 9 MB (trial 1)" in lines[1]
    assert lines[2].startswith("trial 2 (3/12): search: rejected, parity;")
    assert lines[2].endswith("0 s left")


def test_trials_of_an_earlier_run_are_not_told_again() -> None:
    assert show([standing(2, "8 bits"), standing(3)], terminal=False).count("\n") == 1


def test_a_terminal_shows_done_best_now_and_time_left() -> None:
    text = show([standing(2, "6 bits", 100.0)], terminal=True)
    for part in (
        "2/12 trials",
        "left",
        "best so far  quality -1.5 chrF (trial 1)",
        "now          6 bits",
        "last         search: quality -1.5",
    ):
        assert part in text


def test_without_trials_there_is_still_something_to_see() -> None:
    assert "0/12 trials" in show([standing(0, "uncompressed")], terminal=True)


def test_estimates_say_so() -> None:
    """In the line of a trial and among the best; what is measured beside it does not."""
    known = trial(0, 0.0, 60.0, 9e6)
    assert known.outcome is not None
    pairs = tuple(
        (name, replace(figure, provenance="estimated") if name == "latency_ms@cpu" else figure)
        for name, figure in known.outcome.measurements
    )
    told = StudyProgress(OBJECTIVES, BUDGETS)
    estimated = replace(known, outcome=Outcome(pairs))
    assert told.describe(estimated) == "search: quality 0 chrF, latency@cpu 60 ms estimated, size 9 MB"
    assert told.bests([estimated]) == "quality 0 chrF (trial 0), latency@cpu 60 ms estimated (trial 0), size 9 MB (trial 0)"
