"""The loop of a study: choose a candidate, evaluate it, remember it, until trials, time or the space are spent.

Order: what a dead process left undone, then the given candidates (uncompressed model first, then the obvious points), then what the
chooser proposes. Where evaluations run elsewhere (a cluster), several are under way at once, each in a lane of its own; this thread alone
chooses and remembers. With one lane everything happens here, one trial after the other.
"""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from paredown.errors import BadInput
from paredown.search.budget import violations
from paredown.search.chooser import Chooser, Foretell, know_nothing
from paredown.search.failures import Failures, StudyStopped, cause_of, is_of_configuration, reason_of
from paredown.search.hypervolume import Volume
from paredown.search.objective import read_values
from paredown.search.outcome import Evaluate, Outcome, Stopped
from paredown.search.recovery import Recovering, given_up, rung_of
from paredown.search.sampler import choose_sampler
from paredown.search.study import Study
from paredown.search.trial import STOPPED_WITH, Candidate, Trial
from paredown.search.units import format_duration

HEARTBEAT_S = 5.0  # how often lanes are looked at while nothing ends


@dataclass(frozen=True)
class Standing:
    """How far the study is, for the progress display. `running`: label of the trial at work, None between two trials.

    `stage`: what it is at. `hypervolume`: of the front so far, None before the uncompressed model was measured.
    """

    trials: tuple[Trial, ...]
    planned: int
    seconds_spent: float
    seconds_limit: float | None
    running: str | None
    stage: str | None = None
    hypervolume: float | None = None

    @property
    def done(self) -> int:
        return sum(trial.is_finished for trial in self.trials)

    @property
    def seconds_left(self) -> float | None:
        """Until trials or time are spent, whichever comes first; None before the first trial where there is no time limit."""
        length = typical_seconds(self.trials)
        by_trials = None if length is None else length * (self.planned - self.done)
        by_time = None if self.seconds_limit is None else max(0.0, self.seconds_limit - self.seconds_spent)
        known = [seconds for seconds in (by_trials, by_time) if seconds is not None]
        return min(known) if known else None


Watch = Callable[[Standing], None]
Stage = Callable[[int, str], None]  # trial number, what it is at


@dataclass
class Board:
    """Where evaluations, in whatever thread, say what they are at."""

    listen: Stage = lambda number, stage: None

    def say(self, number: int, stage: str) -> None:
        """`stage`: such as "race, 96 of 200 utterances"."""
        self.listen(number, stage)


def run_study(
    study: Study,
    evaluate: Evaluate,
    given: Sequence[Candidate],
    seconds_used: float = 0.0,
    watch: Watch = lambda standing: None,
    clock: Callable[[], float] = time.monotonic,
    recovering: Recovering | None = None,
    lanes: Callable[[], int] = lambda: 1,
    foretell: Foretell = know_nothing,
    board: Board | None = None,
    asides: Sequence[Candidate] = (),
) -> str:
    """Adds trials until the study has as many as its file asks for, its time is spent or its space is exhausted.

    `evaluate(configuration, number)` measures one configuration; if it raises `Stopped` or `Rejected`, or fails in a way that is the
    configuration's own, the trial is recorded with the reason and the study goes on. Any other exception marks the trial interrupted and
    comes out; the same call goes on from there later. Raises StudyStopped where evaluations fail again and again of one cause.
    `given`: tried first, in this order, each once; `asides`: tried once the search is on its way, for comparison.
    `seconds_used`: of the study's time, what went before (the analysis).
    Trials of earlier runs count, in number (interrupted ones do not) and in time. `watch` is called before and after each trial, and
    whenever one says on the `board` what it is at.
    `recovering`: how candidates are trained, None where they are not; what an evaluation trains is part of its time.
    `lanes`: how many evaluations may be under way at once, asked anew before each; `foretell`: costs that need no evaluation.
    Returns one line that says why it stopped.
    """
    blocking = given_up(study.trials)  # what ended two processes is not tried first a third time, or it would block the study for ever
    interrupted = [trial.candidate for trial in study.trials if trial.state == "interrupted" and trial.digest not in blocking]
    first = deque([*interrupted, *(study.check(candidate) for candidate in given)])
    sampler = choose_sampler(study.spec.search.sampler, study.spec.search.trials)
    later = deque(study.check(candidate) for candidate in asides)
    chooser = Chooser(study, first, sampler, recovering, foretell, later)
    loop = _Loop(study, evaluate, chooser, seconds_used, watch, clock, lanes, board or Board())
    why = loop.run()
    study.events.append("stopped", why=why)
    loop.report()
    return why


def typical_seconds(trials: Sequence[Trial]) -> float | None:
    """Median length of the trials done, None before the first."""
    lengths = [trial.seconds for trial in trials if trial.is_finished]
    return median(lengths) if lengths else None


@dataclass
class _Running:
    """A trial under way: `handle` is the storage's."""

    candidate: Candidate
    handle: Any
    begin: float
    stage: str | None = None


@dataclass(frozen=True)
class _Ended:
    """How an evaluation ended: what it measured, or what it raised."""

    number: int
    seconds: float
    outcome: Outcome | None = None
    error: BaseException | None = None


@dataclass
class _Loop:
    """One call of `run_study`."""

    study: Study
    evaluate: Evaluate
    chooser: Chooser
    seconds_used: float
    watch: Watch
    clock: Callable[[], float]
    lanes: Callable[[], int]
    board: Board
    _running: dict[int, _Running] = field(default_factory=dict)
    _news: "queue.SimpleQueue[_Ended | tuple[int, str]]" = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self._begin = self.clock()
        self._trials = self.study.trials
        self._volume = Volume(self.study.objectives, self.study.budgets)
        self._failures = Failures()
        # What an interrupted trial trained is kept, so its time was spent too, as far as its process lived to write it down.
        self._before_s = self.seconds_used + sum(trial.seconds for trial in self._trials) / max(1, self.lanes())
        settings = self.study.spec.search
        self._planned, self._limit_s = settings.trials, settings.time_s
        running = {"sampler": self.chooser.sampler, "seed": settings.seed, "trials": self._planned, "seconds": self._limit_s}
        self.study.events.append("running", pid=os.getpid(), **running)

    def run(self) -> str:
        """Until no further trial may start and none is under way; whatever comes out leaves none under way either."""
        try:
            while True:
                why = self._fill()
                if not self._running:
                    assert why is not None
                    return why
                self._wait()
        except BaseException as error:
            told = reason_of(error) if isinstance(error, KeyboardInterrupt) else f"{STOPPED_WITH}: {reason_of(error)}"
            for number, running in list(self._running.items()):
                self._interrupt(number, running, told, self.clock() - running.begin)
            if isinstance(error, StudyStopped):
                self.study.events.append("stopped", why=str(error))
            raise

    def _fill(self) -> str | None:
        """Starts trials until every lane has one; why no further one may start, None if one may as soon as a lane is free."""
        while True:
            why = self._why_stop()
            if why is not None:
                return why
            lanes = max(1, self.lanes())
            if len(self._running) >= lanes:
                return None
            left_s = float("inf") if self._limit_s is None else self._limit_s - self._spent_s
            candidate = self.chooser.next(self._trials, [one.candidate for one in self._running.values()], left_s)
            if candidate is None:
                return "the space is exhausted: no configuration is left that was not tried"
            number = self._start(candidate)
            if lanes == 1 and len(self._running) == 1:
                self.board.listen = self._say
                self._record(self._evaluated(number, self._running[number]))
            else:
                self.board.listen = lambda one, stage: self._news.put((one, stage))
                evaluate = partial(self._evaluated, number, self._running[number])
                threading.Thread(target=lambda evaluate=evaluate: self._news.put(evaluate()), daemon=True).start()

    @property
    def _spent_s(self) -> float:
        return self._before_s + self.clock() - self._begin

    def _why_stop(self) -> str | None:
        """Why no further trial may start, None if one may."""
        done = sum(trial.is_finished for trial in self._trials)
        if done + len(self._running) >= self._planned:
            return f"all {self._planned} trials are done"
        if self._limit_s is None:
            return None
        left_s = self._limit_s - self._spent_s
        if left_s <= 0:
            return f"the time of {format_duration(self._limit_s)} is spent, {done} trials are done"
        length_s = typical_seconds([trial for trial in self._trials if rung_of(trial) == 0])
        if length_s is not None and length_s > left_s:
            return f"{format_duration(left_s)} are left and a trial takes {format_duration(length_s)}, {done} trials are done"
        return None

    def _start(self, candidate: Candidate) -> int:
        handle = self.study.storage.begin(candidate, self.study.space.knobs)
        number: int = handle.number
        self._running[number] = _Running(candidate, handle, self.clock())
        self.study.events.append("trial started", trial=number, label=candidate.label, digest=candidate.digest)
        self.report()
        return number

    def _evaluated(self, number: int, running: _Running) -> _Ended:
        """Runs in a lane; whatever is raised is told, not lost."""
        try:
            outcome = self.evaluate(running.candidate.configuration, number)
        except BaseException as error:
            return _Ended(number, self.clock() - running.begin, error=error)
        return _Ended(number, self.clock() - running.begin, outcome)

    def _wait(self) -> None:
        """Until a trial ends; what others are at is shown meanwhile."""
        while True:
            try:
                news = self._news.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                self.report()
                continue
            if isinstance(news, _Ended):
                return self._record(news)
            self._say(*news)

    def _record(self, ended: _Ended) -> None:
        """Remembers how a trial ended, and raises what is no fault of its configuration."""
        running = self._running.pop(ended.number)
        error = ended.error
        try:
            if error is None and ended.outcome is not None:
                self._complete(ended.number, running, ended.outcome, ended.seconds)
        except ValueError as fault:  # a figure that is missing, NaN or infinite
            error = fault
        if isinstance(error, Stopped):
            self.study.storage.stop(running.handle, error.partial, str(error), ended.seconds)
            self.study.events.append("trial stopped", trial=ended.number, reason=str(error), seconds=round(ended.seconds, 3))
            if {"quality", "loss"} & error.partial.measurement_of.keys():  # it ran: evaluations can work
                self._failures.worked()
        elif error is not None:
            self._fail(ended.number, running, error, ended.seconds)
        self._trials = self.study.trials
        self.report()

    def _complete(self, number: int, running: _Running, outcome: Outcome, seconds: float) -> None:
        study = self.study
        values, constraints = read_values(study.objectives, outcome), violations(study.budgets, outcome)
        named: Mapping[str, float] = {budget.name: miss for budget, miss in zip(study.budgets, constraints, strict=True)}
        study.storage.complete(running.handle, outcome, values, named, seconds)
        figures = {objective.name: value for objective, value in zip(study.objectives, values, strict=True)}
        study.events.append("trial done", trial=number, values=figures, seconds=round(seconds, 3))
        self._failures.worked()

    def _fail(self, number: int, running: _Running, error: BaseException, seconds: float) -> None:
        if not is_of_configuration(error):
            self._interrupt(number, running, reason_of(error), seconds)
            raise error
        self.study.storage.fail(running.handle, "rejected", reason_of(error), seconds)
        self.study.events.append("trial rejected", trial=number, reason=reason_of(error), cause=cause_of(error))
        self._failures.note(error, number)

    def _interrupt(self, number: int, running: _Running, reason: str, seconds: float) -> None:
        """It will not be finished: the next start takes it back. On a full disk it stays running until then."""
        self._running.pop(number, None)
        with suppress(BadInput):  # the first error is the one to tell
            self.study.storage.fail(running.handle, "interrupted", reason, seconds)
            self.study.events.append("trial interrupted", trial=number, reason=reason)

    def _say(self, number: int, stage: str) -> None:
        if number in self._running:
            self._running[number].stage = stage
            self.study.events.append("stage", trial=number, stage=stage)
            self.report()

    def report(self) -> None:
        running = list(self._running.items())
        label = running[0][1].candidate.label if len(running) == 1 else f"{len(running)} trials at once" if running else None
        stages = [f"trial {number}: {one.stage}" for number, one in running if one.stage is not None]
        volume = self._volume.of(self._trials)
        self.watch(Standing(self._trials, self._planned, self._spent_s, self._limit_s, label, stages[-1] if stages else None, volume))
