"""The loop of a study: choose a candidate, evaluate it, remember it, until trials, time or the space are spent.

Order: what a dead process left undone, then the given candidates (uncompressed model first, then the obvious points), then what the
sampler proposes. Where candidates are trained, those that deserve longer training get it before the sampler is asked for another. Every
choice depends on the seed and on the trials so far alone.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from paredown.search.budget import violations
from paredown.search.objective import read_values
from paredown.search.outcome import Evaluate, Rejected
from paredown.search.proposer import Observation, Proposer
from paredown.search.recovery import Recovering, given_up, plain, rung_of
from paredown.search.sampler import SamplerName, choose_sampler
from paredown.search.seeding import sampler_seed, trial_rng
from paredown.search.study import Study
from paredown.search.trial import Candidate, Trial
from paredown.search.units import format_duration
from paredown.search.unseen import find_unseen


@dataclass(frozen=True)
class Standing:
    """How far the study is, for the progress display. `running`: label of the trial at work, None between two trials."""

    trials: tuple[Trial, ...]
    planned: int
    seconds_spent: float
    seconds_limit: float | None
    running: str | None

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


def run_study(
    study: Study,
    evaluate: Evaluate,
    given: Sequence[Candidate],
    seconds_used: float = 0.0,
    watch: Watch = lambda standing: None,
    clock: Callable[[], float] = time.monotonic,
    recovering: Recovering | None = None,
) -> str:
    """Adds trials until the study has as many as its file asks for, its time is spent or its space is exhausted.

    `evaluate(configuration, number)` measures one configuration; if it raises `Rejected`, the trial is recorded with the reason and
    the study goes on. Any other exception marks the trial interrupted and comes out; the same call goes on from there later.
    `given`: tried first, in this order, each once. `seconds_used`: of the study's time, what went before (the analysis).
    Trials of earlier runs count, in number (interrupted ones do not) and in time. `watch` is called before and after each trial.
    `recovering`: how candidates are trained, None where they are not; what an evaluation trains is part of its time.
    Returns one line that says why it stopped.
    """
    loop = _Loop(study, evaluate, seconds_used, watch, clock, recovering)
    blocking = given_up(study.trials)  # what ended two processes is not tried first a third time, or it would block the study for ever
    interrupted = [trial.candidate for trial in study.trials if trial.state == "interrupted" and trial.digest not in blocking]
    queue = deque([*interrupted, *(study.check(candidate) for candidate in given)])
    while (why := loop.why_stop()) is None:
        candidate = loop.choose(queue)
        if candidate is None:
            why = "the space is exhausted: no configuration is left that was not tried"
            break
        loop.attempt(candidate)
    study.events.append("stopped", why=why)
    loop.report(None)
    return why


def typical_seconds(trials: Sequence[Trial]) -> float | None:
    """Median length of the trials done, None before the first."""
    lengths = [trial.seconds for trial in trials if trial.is_finished]
    return median(lengths) if lengths else None


class _Loop:
    """One call of `run_study`."""

    def __init__(
        self,
        study: Study,
        evaluate: Evaluate,
        seconds_used: float,
        watch: Watch,
        clock: Callable[[], float],
        recovering: Recovering | None,
    ) -> None:
        self._study = study
        self._evaluate = evaluate
        self._watch = watch
        self._clock = clock
        self._recovering = recovering
        self._plain: dict[int, str] = {}  # of recovered trials, by number
        self._begin = clock()
        self._trials = study.trials
        # What an interrupted trial trained is kept, so its time was spent too, as far as its process lived to write it down.
        self._before_s = seconds_used + sum(trial.seconds for trial in self._trials)
        settings = study.spec.search
        self._planned, self._limit_s, self._seed = settings.trials, settings.time_s, settings.seed
        self._sampler: SamplerName = choose_sampler(settings.sampler, settings.trials)
        study.events.append("running", pid=os.getpid(), sampler=self._sampler, seed=self._seed, trials=self._planned, seconds=self._limit_s)

    @property
    def _spent_s(self) -> float:
        return self._before_s + self._clock() - self._begin

    def why_stop(self) -> str | None:
        """Why no further trial may start, None if one may."""
        done = sum(trial.is_finished for trial in self._trials)
        if done >= self._planned:
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

    def choose(self, queue: deque[Candidate]) -> Candidate | None:
        """The next candidate whose configuration was not tried; None when the space is exhausted."""
        known, tried = self._known(), {trial.digest for trial in self._trials if trial.is_finished}
        while queue:
            candidate = queue.popleft()
            if candidate.digest not in (tried if candidate.configuration.is_recovered else known):
                return self._prepared(candidate)
        promoted = self._promoted()
        if promoted is not None:
            return promoted
        index = len(tried)
        history = [
            seen for seen in (self._observe(trial) for trial in self._trials if rung_of(trial) == 0) if seen is not None and seen.knobs
        ]
        proposer = Proposer(
            self._study.space.knobs, self._study.objectives, self._sampler, sampler_seed(self._seed, index), self._planned, history
        )
        found = find_unseen(self._study.space, proposer, known, trial_rng(self._seed, index, purpose=1))
        return None if found is None else self._prepared(found)

    def _prepared(self, candidate: Candidate) -> Candidate:
        return candidate if self._recovering is None else self._recovering.prepare(candidate, self._trials)

    def _promoted(self) -> Candidate | None:
        """The first of those that deserve longer training for which there is time."""
        if self._recovering is None:
            return None
        left_s = float("inf") if self._limit_s is None else self._limit_s - self._spent_s
        for candidate in self._recovering.promotions(self._trials, self._study.objectives, self._study.budgets):
            length_s = self._recovering.expected_seconds(candidate, self._trials)
            if length_s is None or length_s <= left_s:
                return candidate
        return None

    def attempt(self, candidate: Candidate) -> None:
        """Evaluates one candidate and records how it ended, whatever happens short of a kill."""
        study = self._study
        running = study.storage.begin(candidate, study.space.knobs)
        number = running.number
        study.events.append("trial started", trial=number, label=candidate.label, digest=candidate.digest)
        self.report(candidate.label)
        begin = self._clock()
        try:
            outcome = self._evaluate(candidate.configuration, number)
            values = read_values(study.objectives, outcome)
            constraints = violations(study.budgets, outcome)
        except Rejected as reason:
            study.storage.fail(running, "rejected", str(reason), self._clock() - begin)
            study.events.append("trial rejected", trial=number, reason=str(reason))
        except BaseException as error:
            reason_text = f"{type(error).__name__}: {error}"
            study.storage.fail(running, "interrupted", reason_text, self._clock() - begin)
            study.events.append("trial interrupted", trial=number, reason=reason_text)
            raise
        else:
            seconds = self._clock() - begin
            named = {budget.name: violation for budget, violation in zip(study.budgets, constraints, strict=True)}
            study.storage.complete(running, outcome, values, named, seconds)
            figures = {objective.name: value for objective, value in zip(study.objectives, values, strict=True)}
            study.events.append("trial done", trial=number, values=figures, seconds=round(seconds, 3))
        self._trials = study.trials
        self.report(None)

    def report(self, running: str | None) -> None:
        self._watch(Standing(self._trials, self._planned, self._spent_s, self._limit_s, running))

    def _known(self) -> Mapping[str, Observation | None]:
        """What is known of every configuration that the space resolved, by its digest, after the short recovery where there is one."""
        shorts = (trial for trial in self._trials if trial.is_finished and rung_of(trial) == 0)
        return {self._plain_digest(trial): self._observe(trial) for trial in shorts}

    def _plain_digest(self, trial: Trial) -> str:
        if not trial.configuration.is_recovered:
            return trial.digest
        if trial.number not in self._plain:
            self._plain[trial.number] = plain(trial.configuration).digest
        return self._plain[trial.number]

    def _observe(self, trial: Trial) -> Observation | None:
        """What the sampler may learn from a trial, by the budgets of today; None where it was rejected."""
        if trial.outcome is None:
            return None
        values = read_values(self._study.objectives, trial.outcome)
        return Observation(trial.candidate.knobs or (), values, violations(self._study.budgets, trial.outcome))
