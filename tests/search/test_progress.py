"""The progress display, on a terminal and in a log."""

import io
import re
from dataclasses import replace

import pytest
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
    assert lines[0].startswith(
        "trial 0 (1/12): search: quality +0.00 chrF, latency@cpu 68 ms, size 16 MB; best none yet within size <= 10 MB"
    )
    assert "best quality -1.50 chrF (trial 1), latency@cpu 60 ms (trial 1), size 9 MB (trial 1)" in lines[1]
    assert lines[2].startswith("trial 2 (3/12): search: rejected, parity;")
    assert lines[2].endswith("0 s left")


def test_trials_of_an_earlier_run_are_not_told_again() -> None:
    assert show([standing(2, "8 bits"), standing(3)], terminal=False).count("\n") == 1


def test_a_terminal_shows_done_best_now_and_time_left() -> None:
    text = show([standing(2, "6 bits", 100.0)], terminal=True)
    for part in (
        "2/12 trials",
        "left",
        "best so far  quality -1.50 chrF (trial 1)",
        "now          6 bits",
        "last         search: quality -1.50",
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
    assert told.describe(estimated) == "search: quality +0.00 chrF, latency@cpu 60 ms estimated, size 9 MB"
    assert told.bests([estimated]) == "quality +0.00 chrF (trial 0), latency@cpu 60 ms estimated (trial 0), size 9 MB (trial 0)"


class Clock:
    """Stands still until it is turned."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def shown(terminal: bool, width: int = 200) -> tuple[StudyProgress, io.StringIO, Clock]:
    text, clock = io.StringIO(), Clock()
    console = Console(file=text, force_terminal=terminal, width=width, _environ={"TERM": "xterm" if terminal else "dumb"})
    return StudyProgress(OBJECTIVES, BUDGETS, console, clock), text, clock


AT_RACE = replace(standing(2, "search"), stage="trial 2: race, 96 of 200 utterances", hypervolume=0.53124)


def test_a_sign_of_life_in_a_log_is_one_line_with_everything() -> None:
    progress, text, clock = shown(terminal=False)
    progress(AT_RACE)
    assert text.getvalue() == ""
    clock.now_s = 20.0
    progress.beat()
    assert text.getvalue() == (
        "trial 2: race, 96 of 200 utterances (search), for 20 s; 2/12 trials; best quality -1.50 chrF (trial 1), "
        "latency@cpu 60 ms (trial 1), size 9 MB (trial 1); hypervolume 0.531; 0 s left\n"
    )


def test_time_of_a_stage_begins_anew_with_the_next() -> None:
    progress, text, clock = shown(terminal=False)
    progress(AT_RACE)
    clock.now_s = 30.0
    progress(replace(AT_RACE, stage="trial 2: measure"))
    clock.now_s = 42.0
    progress(replace(AT_RACE, stage="trial 2: measure"))  # told again, nothing new
    progress.beat()
    assert text.getvalue().startswith("trial 2: measure (search), for 12 s;")


def test_without_a_standing_there_is_no_sign_yet() -> None:
    progress, text, _ = shown(terminal=False)
    progress.beat()
    assert text.getvalue() == ""


@pytest.mark.parametrize("width", [40, 200])
def test_a_sign_of_life_on_a_terminal_replaces_the_last_line_alone(width: int) -> None:
    """Seen by an emulator: the last line changes, none is added, and the next display finds its place."""
    progress, text, clock = shown(terminal=True, width=width)
    with progress:
        progress(AT_RACE)
        before = screen(text.getvalue())
        clock.now_s = 65.0
        progress.beat()
        beaten = screen(text.getvalue())
        progress(AT_RACE)
        after = screen(text.getvalue())
    assert beaten[:-1] == before[:-1]
    assert beaten[-1] == "now          trial 2: race, 96 of 200 utterances (search), for 1 min 05 s"[: width - 1]
    assert len(after) == len(before)
    assert after[:2] != [""]


def screen(text: str) -> list[str]:
    """What a terminal shows: the few control sequences that the display uses."""
    lines, row, column = [""], 0, 0
    for control, end, plain in re.findall(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])", text):
        if plain == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif plain == "\r":
            column = 0
        elif plain:
            lines[row] = lines[row][:column].ljust(column) + plain + lines[row][column + 1 :]
            column += 1
        elif end == "A":
            row -= int(control or 1)
            assert row >= 0
        elif end == "K":
            assert control == "2"
            lines[row] = ""
    return [line.rstrip() for line in lines]


def test_trials_that_end_in_any_order_are_told_once_each() -> None:
    """Several at once: the later number first."""
    running = replace(TRIALS[1], state="running", outcome=None)
    first, last = (TRIALS[0], running, TRIALS[2]), tuple(TRIALS)
    texts = show(
        [Standing((), 12, 0.0, 300.0, "2 trials at once"), *(Standing(each, 12, 0.0, 300.0, None) for each in (first, last))], False
    )
    assert re.findall(r"^trial (\d)", texts, re.MULTILINE) == ["0", "2", "1"]


def test_a_trial_that_the_search_ended_early_says_why_in_one_line() -> None:
    ended = replace(TRIALS[1], state="stopped", outcome=None, partial=TRIALS[1].outcome, reason="raced out after 48 of 200 utterances")
    text = show([standing(1), Standing((TRIALS[0], ended), 12, 0.0, 300.0, None)], terminal=False)
    assert text.startswith("trial 1 (2/12): search: stopped, raced out after 48 of 200 utterances; best none yet")
    assert text.count("\n") == 1
