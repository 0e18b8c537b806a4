"""Recovery inside a study: a short one for every candidate, longer ones for those that are worth it.

A candidate's configuration is what the space resolves plus training stages before "quantize", one for each rung that it has reached. A
longer recovery is the same schedule with one stage more, so that it goes on from the weights behind the shorter one, which are kept by
their digest, and still says all that was done. The sampler learns from short recoveries alone, which are equally long.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from paredown.search.budget import Budget, violations
from paredown.search.halving import Contestant, find_promotable
from paredown.search.nearest import distance, find_nearest
from paredown.search.objective import Objective, losses, read_values
from paredown.search.recovery_section import RecoverySection
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.training import Training

MOST_ATTEMPTS = 2  # what ended so many processes is not tried again by itself
Key = Callable[[Configuration], str]  # digest of the weights that a recovered configuration's training makes


def given_up(trials: Sequence[Trial]) -> set[str]:
    """Digests of what ended so many processes that it is not tried again by itself; a user who stopped the study ended none."""
    attempts = Counter(trial.digest for trial in trials if trial.state == "interrupted" and not trial.was_stopped)
    return {digest for digest, count in attempts.items() if count >= MOST_ATTEMPTS}


def plain(configuration: Configuration) -> Configuration:
    """The configuration as the space resolved it: without training, and without weights inherited from a recovery."""
    kept = tuple(stage for stage in configuration.schedule if isinstance(stage, str) and not stage.startswith("recovered:"))
    return replace(configuration, schedule=kept)


def rung_of(trial: Trial) -> int:
    """How many longer recoveries a trial had; 0 for a short one, and for one that was not trained."""
    return max(0, len(trial.configuration.trainings) - 1)


def _longer(configuration: Configuration, stage: Training) -> Configuration:
    """One training stage more, right before the codes."""
    *before, quantize = configuration.schedule
    return replace(configuration, schedule=(*before, stage, quantize))


@dataclass(frozen=True)
class Recovering:
    """What a study trains. `data`, `other`: digests of its splits; `reference`: the uncompressed model, which is not trained.

    `key` tells which configurations share a recovery.
    """

    section: RecoverySection
    data: str
    other: str | None
    inventory: Inventory
    reference: Configuration
    key: Key

    def prepare(self, candidate: Candidate, trials: Sequence[Trial]) -> Candidate:
        """The candidate with its short recovery; the uncompressed model as it is.

        It takes a recovery that is there, where another trial's is the same but for what follows it. Else it starts from the weights of
        the nearest trial that was recovered, and where none is near, or its own start is a supernet, from the model's.
        """
        configuration = candidate.configuration
        if configuration == self.reference or configuration.is_recovered:
            return candidate
        trained = [trial for trial in trials if trial.state == "complete" and trial.configuration.trainings]
        same = self._same(configuration, trained)
        if same is not None:
            recovered = replace(configuration, schedule=same.configuration.schedule)
        else:
            recovered = _longer(self._started(configuration, trained), self.stage(0))
        return Candidate(candidate.label, recovered, candidate.knobs)

    def _same(self, configuration: Configuration, trained: Sequence[Trial]) -> Trial | None:
        """The latest trial whose short recovery is what this configuration's would be."""
        for trial in reversed(trained):
            other = trial.configuration
            if rung_of(trial) or other.input != configuration.input or distance(self.inventory, configuration, other) > 0:
                continue
            as_there = replace(configuration, schedule=other.schedule)
            if plain(as_there) == configuration and self.key(as_there) == self.key(other):
                return trial
        return None

    def _started(self, configuration: Configuration, trained: Sequence[Trial]) -> Configuration:
        if not self.section.inherit or configuration.supernet is not None:
            return configuration
        # Units of a supernet stand in another order than the model's, so its narrowed layers fit none of the model's.
        nearest = find_nearest(self.inventory, configuration, [trial for trial in trained if trial.configuration.supernet is None])
        if nearest is None:
            return configuration
        return replace(configuration, schedule=(f"recovered:{self.key(nearest.configuration)}", *configuration.schedule))

    def stage(self, rung: int) -> Training:
        """The training that leads to this rung from the one before."""
        return self.section.training(rung, self.data, self.other)

    def promotions(self, trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget]) -> tuple[Candidate, ...]:
        """What is worth training longer now, the first choice first; see `paredown.search.halving`."""
        tried = {trial.digest for trial in trials if trial.is_finished} | given_up(trials)
        by_number = {trial.number: trial for trial in trials}
        rungs: list[list[Contestant]] = [[] for _ in self.section.rungs]
        for trial in trials:
            if trial.outcome is not None and trial.configuration.trainings and rung_of(trial) < len(rungs):
                rungs[rung_of(trial)].append(self._contestant(trial, tried, objectives, budgets))
        return tuple(
            Candidate(f"recovered longer (trial {each.trial})", self._promoted(source, rung), source.candidate.knobs)
            for rung, each in find_promotable(rungs, self.section.eta)
            for source in (by_number[each.trial],)
        )

    def _promoted(self, trial: Trial, rung: int) -> Configuration:
        return _longer(trial.configuration, self.stage(rung + 1))

    def _contestant(self, trial: Trial, tried: set[str], objectives: Sequence[Objective], budgets: Sequence[Budget]) -> Contestant:
        assert trial.outcome is not None
        rung = rung_of(trial)
        # A missed budget on quality (at most a word error rate, too) may be mended by training, one on costs never is.
        missed = violations([budget for budget in budgets if not budget.is_quality], trial.outcome)
        beyond = sum(max(0.0, miss) for miss in missed)
        spent = rung + 1 == len(self.section.rungs) or self._promoted(trial, rung).digest in tried
        return Contestant(trial.number, losses(objectives, read_values(objectives, trial.outcome)), beyond, spent)

    def describe(self) -> dict[str, Any]:
        """What must be equal for trials to be comparable: the settings, and the digests of the data."""
        splits = {"train split": self.data} | ({} if self.other is None else {"other split": self.other})
        return splits | self.section.describe()

    def expected_seconds(self, candidate: Candidate, trials: Sequence[Trial]) -> float | None:
        """How long a trial of this candidate may take: as those of its rung; before the first of them, as a short one times the training.

        None before any trial.
        """
        rung = max(0, len(candidate.configuration.trainings) - 1)
        lengths = [[trial.seconds for trial in trials if trial.is_finished and rung_of(trial) == each] for each in (rung, 0)]
        if lengths[0]:
            return median(lengths[0])
        if not lengths[1]:
            return None
        rungs = self.section.rungs
        return median(lengths[1]) * max(1.0, (rungs[rung] - rungs[rung - 1]) / rungs[0])
