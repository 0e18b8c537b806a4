"""What the sampler proposes next, given everything measured so far.

The study's storage and the sampler's view are kept apart. The storage holds every trial; the sampler sees, in a throwaway study in
memory, those that have knob values, and what is being evaluated now as running: one complete trial without parameters empties the space
that GP and NSGA infer (Optuna's intersection search space), and they silently fall back to random.
The view is built anew for each trial, so a proposal depends on the history and the seed alone, not on which process made the history; and
a proposal that turns out to be known already leaves no trace in the storage. It is bounded (`sampler.VIEW`), so a proposal costs as much
after 2,000 trials as after 500.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from paredown.search.distributions import distributions_of
from paredown.search.front import non_dominated
from paredown.search.objective import Objective
from paredown.search.quiet import quiet_optuna
from paredown.search.sampler import VIEW, SamplerName, SequenceSampler, make_sampler, population_size
from paredown.space.knobs import Knob

Knobs = tuple[tuple[str, float], ...]
_GENERATION = {"nsga2": "NSGAIISampler:generation", "nsga3": "NSGAIIISampler:generation"}


@dataclass(frozen=True)
class Observation:
    """What the sampler may learn from a point.

    `knobs`: (name, value) pairs; `values`: one per objective, in the study's order and unit;
    `violations`: one per budget, at most 0 where it is kept. Every observation of a study has equally many.
    """

    knobs: Knobs
    values: tuple[float, ...]
    violations: tuple[float, ...] = ()


class Proposer:
    """Asks a sampler for knob values, for one trial."""

    def __init__(
        self,
        knobs: Sequence[Knob],
        objectives: Sequence[Objective],
        sampler: SamplerName,
        seed: int,
        trials: int,
        history: Sequence[Observation],
        pending: Sequence[Knobs] = (),
        index: int = 0,
    ) -> None:
        """`seed`: of the study; `index`: how many trials came before this one; `trials`: size of the whole study.

        `history`: in the order it was measured; `pending`: knob values of what is being evaluated now. tpe and gp keep away from these.
        """
        self._knobs = tuple(knobs)
        self._objectives = tuple(objectives)
        self._distributions = distributions_of(knobs)
        self._generation, self._population = _GENERATION.get(sampler), population_size(trials)
        shown = in_view(history, objectives, VIEW[sampler])
        with quiet_optuna():
            chosen = make_sampler(sampler, seed, trials, index)
            if isinstance(chosen, SequenceSampler):
                chosen.distributions = self._distributions
            self._study = optuna.create_study(directions=[objective.direction for objective in objectives], sampler=chosen)
            self._study.add_trials(self._frozen(history[place], place) for place in shown)
            if VIEW[sampler] != 0:
                self._study.add_trials(
                    create_trial(state=TrialState.RUNNING, params=dict(known), distributions=self._distributions) for known in pending
                )
        self._learned = len(history)
        self._asked: optuna.Trial | None = None

    def ask(self) -> dict[str, float]:
        """Knob values to try next, in their own units; whole numbers where the knob is whole."""
        with quiet_optuna():
            self._asked = self._study.ask(self._distributions)
        # Snapping to a step may leave a value some 1e-16 outside its range.
        return {knob.name: min(max(self._asked.params[knob.name], knob.low), knob.high) for knob in self._knobs}

    def tell_known(self, known: Observation | None) -> None:
        """The point just asked for resolves to a configuration that is known: measured as `known`, or without figures (None).

        The sampler learns that these knob values, too, give those figures, and moves on. What has no figures (rejected, or being
        evaluated now) stays running in its study: tpe and gp keep away from it.
        """
        assert self._asked is not None
        params = tuple(self._asked.params.items())
        if known is not None:
            with quiet_optuna():
                self._study.tell(self._asked, state=TrialState.FAIL)
                self._study.add_trial(self._frozen(Observation(params, known.values, known.violations), self._learned))
            self._learned += 1
        self._asked = None

    def _frozen(self, observation: Observation, index: int) -> FrozenTrial:
        """A measured point as Optuna has it; costs as logarithms, as the knee counts them, so that no unit outweighs another."""
        # The genetic samplers count generations in their own attribute, which only points they asked for carry.
        generation = {} if self._generation is None else {self._generation: index // self._population}
        return create_trial(
            values=_turned(observation, self._objectives),
            params=dict(observation.knobs),
            distributions={name: self._distributions[name] for name, _ in observation.knobs},
            constraints={str(order): violation for order, violation in enumerate(observation.violations)},
            system_attrs=generation,
        )


def in_view(history: Sequence[Observation], objectives: Sequence[Objective], most: int | None) -> list[int]:
    """Places in the history, ascending, of the observations that a sampler is shown: all, or the `most` that tell it most.

    Half of them at most are the front of those that keep the budgets (of all, where none does), the latest first: what a sampler
    takes for good. The others are spread evenly over the rest of the history: what it takes for usual.
    """
    if most is None or len(history) <= most:
        return list(range(len(history)))
    if most == 0:
        return []
    feasible = [place for place, seen in enumerate(history) if max(seen.violations, default=0.0) <= 0] or list(range(len(history)))
    signs = np.array([1.0 if objective.direction == "minimize" else -1.0 for objective in objectives])
    points = np.array([_turned(history[place], objectives) for place in feasible]) * signs
    front = [feasible[place] for place in np.flatnonzero(non_dominated(points)).tolist()][-(most // 2) :]
    chosen = set(front)
    rest = [place for place in range(len(history)) if place not in chosen]
    spread = np.unique(np.linspace(0, len(rest) - 1, most - len(front)).round().astype(int))
    return sorted([*front, *(rest[place] for place in spread.tolist())])


def _turned(observation: Observation, objectives: Sequence[Objective]) -> list[float]:
    return [math.log(value) if objective.scale == "log" else value for objective, value in zip(objectives, observation.values, strict=True)]
