"""Which configuration comes next: given ones, longer training for those that deserve it, the sampler, now and then a neighbour.

Every choice depends on the seed, on the trials so far and on what is being evaluated alone. A candidate whose costs are known to break a
budget is not evaluated while the sampler has another one to offer.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from paredown.search.budget import violations
from paredown.search.by_loss import LossLine, ended_by_loss
from paredown.search.filling import fill
from paredown.search.front import non_dominated
from paredown.search.guess import Kept
from paredown.search.hypervolume import reference_point, scaled
from paredown.search.objective import read_values
from paredown.search.outcome import Outcome
from paredown.search.proposer import Observation, Proposer
from paredown.search.recovery import Recovering, given_up, plain, rung_of
from paredown.search.refinement import refine
from paredown.search.sampler import SamplerName
from paredown.search.seeding import sampler_seed, trial_rng
from paredown.search.study import Study
from paredown.search.surrogate import Seen, Surrogate, place_of
from paredown.search.trial import Candidate, Trial
from paredown.search.unseen import Asks, Digests, find_unseen
from paredown.search.warm_start import gentlest
from paredown.space.configuration import Configuration

Foretell = Callable[[Configuration], Mapping[str, float]]  # measures that are known, or predicted, without an evaluation
ASIDE_FROM, ASIDE_EVERY = 24, 3  # trials: before, every one of them is worth more than a comparison
REFINE_EVERY = 4  # proposals: three of the sampler, then a neighbour of the front
REFINE_FROM = 20  # trials with figures: before, there is no front worth a closer look
_BEYOND_BUDGET = 6  # proposals in a row that a budget refuses, before the least bad of them is taken all the same


def know_nothing(configuration: Configuration) -> Mapping[str, float]:
    """The costs of a configuration where nobody can tell them beforehand."""
    return {}


@dataclass
class Chooser:
    """Chooses for one call of `run_study`.

    `queue`: what is tried first; `asides`: what is tried in between, later on; `foretell`: costs that are known beforehand.
    """

    study: Study
    queue: deque[Candidate]
    sampler: SamplerName
    recovering: Recovering | None = None
    foretell: Foretell = know_nothing
    asides: deque[Candidate] = field(default_factory=deque)
    _plain: dict[int, str] = field(default_factory=dict)  # of recovered trials, by number
    _seen: dict[int, Observation | None] = field(default_factory=dict)  # of finished trials, by number
    _digests: Digests = field(default_factory=dict)
    _line: LossLine | None = None
    _trials: Sequence[Trial] = ()
    _hyperparameters: Kept = field(default_factory=Kept)

    def next(self, trials: Sequence[Trial], pending: Sequence[Candidate], left_s: float) -> Candidate | None:
        """A candidate whose configuration was not tried and is not being evaluated; None when the space is exhausted.

        `left_s`: seconds of the study that are left, infinite without a limit.
        """
        self._line, self._trials = LossLine.through(trials), trials
        known, busy = self._known(trials, pending), {candidate.digest for candidate in pending}
        tried = {trial.digest for trial in trials if trial.is_finished} | busy
        first = self._untried(self.queue, known, tried)
        if first is not None:
            return self._prepared(first, trials)
        promoted = self._promoted(trials, busy, left_s)
        if promoted is not None:
            return promoted
        index = len(tried)
        if index >= ASIDE_FROM and index % ASIDE_EVERY == 0:
            aside = self._untried(self.asides, known, tried)
            if aside is not None:
                return self._prepared(aside, trials)
        known |= dict.fromkeys(given_up(trials) - known.keys())
        found = self._neighbour(trials, known, index) or self._proposed(trials, pending, known, index)
        found = found or self._untried(self.asides, known, tried)  # nothing else is left
        return None if found is None else self._prepared(found, trials)

    def _untried(self, waiting: deque[Candidate], known: Mapping[str, Observation | None], tried: set[str]) -> Candidate | None:
        """The next of these that was not tried; it leaves the queue."""
        while waiting:
            candidate = waiting.popleft()
            if candidate.digest not in (tried if candidate.configuration.is_recovered else known):
                return candidate
        return None

    def _prepared(self, candidate: Candidate, trials: Sequence[Trial]) -> Candidate:
        return candidate if self.recovering is None else self.recovering.prepare(candidate, trials)

    def _promoted(self, trials: Sequence[Trial], busy: set[str], left_s: float) -> Candidate | None:
        """The first of those that deserve longer training for which there is time."""
        if self.recovering is None:
            return None
        for candidate in self.recovering.promotions(trials, self.study.objectives, self.study.budgets):
            length_s = self.recovering.expected_seconds(candidate, trials)
            if candidate.digest not in busy and (length_s is None or length_s <= left_s):
                return candidate
        return None

    def _neighbour(self, trials: Sequence[Trial], known: Mapping[str, Observation | None], index: int) -> Candidate | None:
        """A configuration beside one of the front, every few trials."""
        figures = [trial for trial in trials if trial.outcome is not None and rung_of(trial) == 0]
        if not self.study.spec.search.refine or len(figures) < REFINE_FROM or index % REFINE_EVERY:
            return None
        within = [trial for trial in figures if self._misses(trial.outcome) <= 0] or figures
        objectives = self.study.objectives
        points = np.array([scaled(read_values(objectives, trial.outcome), objectives) for trial in within if trial.outcome])
        front = [trial for trial, on in zip(within, non_dominated(points).tolist(), strict=True) if on]
        for candidate in refine(self.study.space, front, known, trial_rng(self._seed, index, purpose=2)):
            if self._beyond(candidate) <= 0:
                return candidate
        return None

    def _proposed(
        self, trials: Sequence[Trial], pending: Sequence[Candidate], known: dict[str, Observation | None], index: int
    ) -> Candidate | None:
        """What the sampler says; of what it says again and again beyond a budget the least bad."""
        asks = self._asks(trials, pending, index)
        rng = trial_rng(self._seed, index, purpose=1)
        refused: list[tuple[float, Candidate]] = []
        while len(refused) < _BEYOND_BUDGET:
            found = find_unseen(self.study.space, asks, known, rng, self._digests)
            if found is None:
                break
            beyond = self._beyond(found)
            if beyond <= 0:
                return found
            refused.append((beyond, found))
            known[found.digest] = None
        return min(refused, key=lambda pair: pair[0])[1] if refused else None

    def _asks(self, trials: Sequence[Trial], pending: Sequence[Candidate], index: int) -> Asks:
        short = [trial for trial in trials if rung_of(trial) == 0]
        waiting = [candidate.knobs for candidate in pending if candidate.knobs]
        if self.sampler == "model":
            return self._surrogate(short, waiting, index)
        history = [seen for seen in map(self._observe, short) if seen is not None and seen.knobs]
        planned, space = self.study.spec.search.trials, self.study.space
        return Proposer(space.knobs, self.study.objectives, self.sampler, self._seed, planned, history, waiting, index)

    def _surrogate(self, trials: Sequence[Trial], waiting: Sequence[tuple[tuple[str, float], ...]], index: int) -> Surrogate:
        knobs, objectives = self.study.space.knobs, self.study.objectives
        seen = []
        for trial in trials:
            observed = self._observe(trial)
            if observed is not None and observed.knobs:
                found = self._figures(trial)
                assert found is not None  # it was observed
                missed = [miss for budget, miss in zip(self.study.budgets, observed.violations, strict=True) if budget.is_quality]
                noise = 0.0 if trial.outcome is not None else _variance(found)
                values = scaled(observed.values, objectives)
                seen.append(Seen(place_of(knobs, dict(observed.knobs)), values, max(missed, default=0.0), noise))
        return Surrogate(
            knobs,
            objectives,
            seen,
            self._corner(trials),
            self._foretold_values,
            [place_of(knobs, dict(one)) for one in waiting],
            sampler_seed(self._seed, index),
            self._hyperparameters,
            place_of(knobs, gentlest(self.study.space)),
        )

    def _corner(self, trials: Sequence[Trial]) -> tuple[float, ...] | None:
        """What hypervolume is counted from [objectives]: no cost beyond its budget is worth anything."""
        corner = reference_point(trials, self.study.objectives)
        if corner is None:
            return None
        limits = {budget.measure: budget.limit for budget in self.study.budgets if not budget.is_quality}
        return tuple(
            min(float(worst), math.log(limits[objective.name])) if objective.scale == "log" and objective.name in limits else float(worst)
            for worst, objective in zip(corner, self.study.objectives, strict=True)
        )

    def _foretold_values(self, values: Mapping[str, float]) -> dict[str, float]:
        """Costs of knob values as logarithms."""
        sound = self.study.space.checked(values)
        configuration = self.study.space.resolve(sound)
        self._digests[tuple(sound.values())] = configuration.digest
        costs = self.foretell(configuration)
        logarithmic = [objective.name for objective in self.study.objectives if objective.scale == "log" and objective.name in costs]
        return {name: math.log(costs[name]) for name in logarithmic}

    def _beyond(self, candidate: Candidate) -> float:
        """By how much the known costs of a candidate break budgets, at most 0 where they break none."""
        limits = [budget for budget in self.study.budgets if not budget.is_quality]
        if not limits:
            return 0.0
        costs = self.foretell(candidate.configuration)
        return sum(max(0.0, budget.violation(costs[budget.measure])) for budget in limits if budget.measure in costs)

    def _misses(self, outcome: Outcome | None) -> float:
        return 0.0 if outcome is None else max(violations(self.study.budgets, outcome), default=0.0)

    @property
    def _seed(self) -> int:
        return self.study.spec.search.seed

    def _known(self, trials: Sequence[Trial], pending: Sequence[Candidate]) -> dict[str, Observation | None]:
        """What is known of every configuration that the space resolved, by its digest, after the short recovery where there is one."""
        shorts = (trial for trial in trials if trial.is_finished and rung_of(trial) == 0)
        found: dict[str, Observation | None] = {
            plain(candidate.configuration).digest if candidate.configuration.is_recovered else candidate.digest: None
            for candidate in pending
        }
        return found | {self._plain_digest(trial): self._observe(trial) for trial in shorts}

    def _plain_digest(self, trial: Trial) -> str:
        if not trial.configuration.is_recovered:
            return trial.digest
        if trial.number not in self._plain:
            self._plain[trial.number] = plain(trial.configuration).digest
        return self._plain[trial.number]

    def _observe(self, trial: Trial) -> Observation | None:
        """What the sampler may learn from a trial, by the budgets of today; None where it has no figure of some objective."""
        if not trial.is_finished:
            return None
        if trial.partial is not None:
            return _observed(self.study, trial, self._figures(trial))
        if trial.number not in self._seen:
            self._seen[trial.number] = _observed(self.study, trial, self._figures(trial))
        return self._seen[trial.number]

    def _figures(self, trial: Trial) -> Outcome | None:
        """What was measured of a trial; of a stopped one what it lacks is estimated."""
        if trial.partial is None:
            return trial.outcome
        filled = fill(trial.partial, self.study.objectives, self._trials)
        if not ended_by_loss(trial):
            return filled
        return None if self._line is None else self._line.complete(filled)


def _observed(study: Study, trial: Trial, outcome: Outcome | None) -> Observation | None:
    if outcome is None:
        return None
    try:
        values = read_values(study.objectives, outcome)
        return Observation(trial.candidate.knobs or (), values, violations(study.budgets, outcome))
    except ValueError:
        return None  # a stopped trial may lack an objective or what a budget is about


def _variance(outcome: Outcome) -> float:
    """Of the quality of a trial that was judged on a part of the utterances, by its 95 % interval."""
    around = outcome.measurement_of["quality"].ci95
    return 0.0 if around is None else ((around[1] - around[0]) / 3.92) ** 2
