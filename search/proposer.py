"""What the sampler proposes next, given everything measured so far.

The study's storage and the sampler's view are kept apart. The storage holds every trial; the sampler sees, in a throwaway
study in memory, only those that have knob values: one COMPLETE trial without parameters empties the space that
multivariate TPE, GP and NSGA-II infer (Optuna's intersection search space), and they silently fall back to random.
The view is built anew for each trial, so a proposal depends on the history and the seed alone, not on which process
made the history; and a proposal that turns out to be known already leaves no trace in the storage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState, create_trial

from paredown.search.distributions import distributions_of
from paredown.search.objective import Objective
from paredown.search.quiet import quiet_optuna
from paredown.search.sampler import SamplerName, make_sampler, population_size
from paredown.space.knobs import Knob


@dataclass(frozen=True)
class Observation:
    """What the sampler may learn from a point.

    `knobs`: (name, value) pairs; `values`: one per objective, in the study's order and unit;
    `violations`: one per budget, at most 0 where it is kept. Every observation of a study has equally many.
    """

    knobs: tuple[tuple[str, float], ...]
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
    ) -> None:
        """`seed` is that of this trial; `trials`: size of the whole study; `history`: in the order it was measured."""
        self._knobs = tuple(knobs)
        self._objectives = tuple(objectives)
        self._distributions = distributions_of(knobs)
        self._sampler = sampler
        self._population = population_size(trials)
        with quiet_optuna():
            self._study = optuna.create_study(
                directions=[objective.direction for objective in objectives], sampler=make_sampler(sampler, seed, trials)
            )
        for index, observation in enumerate(history):
            self._learn(observation, index)
        self._learned = len(history)
        self._asked: optuna.Trial | None = None

    def ask(self) -> dict[str, float]:
        """Knob values to try next, in their own units; whole numbers where the knob is whole."""
        with quiet_optuna():
            self._asked = self._study.ask(self._distributions)
        # Snapping to a step may leave a value some 1e-16 outside its range.
        return {knob.name: min(max(self._asked.params[knob.name], knob.low), knob.high) for knob in self._knobs}

    def tell_known(self, known: Observation | None) -> None:
        """The point just asked for resolves to a configuration that is known: measured as `known`, or rejected (None).

        The sampler learns that these knob values, too, give those figures, and moves on.
        """
        assert self._asked is not None
        params = tuple(self._asked.params.items())
        with quiet_optuna():
            self._study.tell(self._asked, state=TrialState.FAIL)
        self._asked = None
        if known is not None:
            self._learn(Observation(params, known.values, known.violations), self._learned)
            self._learned += 1

    def _learn(self, observation: Observation, index: int) -> None:
        """Adds a measured point; costs go in as logarithms, as the knee counts them, so that no unit outweighs another."""
        values = [
            math.log(value) if objective.scale == "log" else value
            for objective, value in zip(self._objectives, observation.values, strict=True)
        ]
        # NSGA-II counts generations in its own attribute, which only points it asked for carry.
        generation = {"NSGAIISampler:generation": index // self._population} if self._sampler == "nsga2" else {}
        with quiet_optuna():
            self._study.add_trial(
                create_trial(
                    values=values,
                    params=dict(observation.knobs),
                    distributions=self._distributions,
                    constraints={str(order): violation for order, violation in enumerate(observation.violations)},
                    system_attrs=generation,
                )
            )
