"""Puts a study's evaluation together: what measures, what foretells, what is kept, and how the stages follow each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paredown.data import Split
from paredown.search.front import non_dominated
from paredown.search.hypervolume import scaled
from paredown.search.loop import Board
from paredown.search.objective import Objective, read_values
from paredown.search.outcome import Evaluate
from paredown.search.spec import StudySpec
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import Evaluator, Known
from paredown.trials.forced_loss import read_items
from paredown.trials.foreseen import Foreseen
from paredown.trials.kept import Kept
from paredown.trials.metering import EnergyRequest
from paredown.trials.power import Power
from paredown.trials.predicting.cache import load_predictor, peek_predictor
from paredown.trials.predicting.probe_plan import PREDICTED
from paredown.trials.records import Records
from paredown.trials.staged import StagedEvaluator
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.trials.predicting.predictor import LatencyPredictor

_REMEMBERED = 64  # trials of earlier runs whose hypotheses are read again, some 15 ms each
WORTH_PROFILING_S = 15 * 60.0  # a study of so long has a minute to learn what operations cost on its target


@dataclass(frozen=True)
class Evaluation:
    """How candidates are evaluated. `full` measures everything of one; `staged` only what is worth it, None where it is off."""

    full: Evaluator
    foreseen: Foreseen
    staged: StagedEvaluator | None
    board: Board

    @property
    def evaluate(self) -> Evaluate:
        return self.staged or self.full

    def foretell(self, configuration: Configuration) -> Mapping[str, float]:
        """Measures that are known without an evaluation; nothing where stages are off."""
        return {} if self.staged is None else self.staged.foretell(configuration)

    def remember(self, trials: Sequence[Trial], objectives: Sequence[Objective]) -> None:
        """What earlier runs completed races against new candidates: those of the front, which beat whom the others beat, and the latest."""
        complete = [trial for trial in trials if trial.outcome is not None]
        if self.staged is None or not complete:
            return
        points = np.array([scaled(read_values(objectives, trial.outcome), objectives) for trial in complete if trial.outcome])
        front = [trial for trial, on in zip(complete, non_dominated(points).tolist(), strict=True) if on]
        for trial in {one.number: one for one in (*front[-_REMEMBERED:], *complete[-_REMEMBERED:])}.values():
            assert trial.outcome is not None  # it is complete
            self.staged.remember(trial.number, trial.configuration, trial.outcome.value("latency_ms@cpu"))


def make_evaluation(
    spec: StudySpec,
    workshop: Workshop,
    power: Power,
    split: Split,
    analysis: Split,
    energy: EnergyRequest | None,
    known: Known,
    tell: Teller,
) -> Evaluation:
    """`split`: what trials are judged on; `analysis`: what else may be heard. Raises BadInput where records cannot be written."""
    metric, seed, board = spec.objectives.quality, spec.search.seed, Board()
    target = (power.stopwatch, split, metric, seed, power.machine, energy, known, power.others)
    full = Evaluator(workshop, power.decoder, *target, power.instructions)
    foreseen = Foreseen(full, _predictor(spec, workshop, power, tell) if spec.search.staged else None)
    if not spec.search.staged:
        return Evaluation(full, foreseen, None, board)
    names = [objective.name for objective in spec.objective_list if objective.name.startswith(("latency_ms@", "energy_mj@"))]
    kept = Kept(full, Records(), power.machine, names, None if energy is None else power.check_energy(energy), power.decoding)
    forced = read_items(workshop.model, analysis) if full.can_force and analysis.has_references(workshop.model.task) else ()
    racing = spec.search.racing and spec.recovery is None  # what loses after a short recovery may deserve a longer one: halving decides
    staged = StagedEvaluator(full, foreseen, kept, spec.objective_list, spec.budget_list, seed, board, racing, forced)
    return Evaluation(full, foreseen, staged, board)


def _predictor(spec: StudySpec, workshop: Workshop, power: Power, tell: Teller) -> "LatencyPredictor | None":
    """From the cache; made where latency is limited or the study is long enough to be worth the minute. None where nothing fits."""
    if "cpu" not in spec.objectives.latency or spec.target.kernel != "int8" or not power.here:
        return None
    threads, target = spec.target.threads, power.machine.digest
    found = peek_predictor(workshop.model, PREDICTED, target, threads)
    time_s = spec.search.time_s
    if found is not None or not (spec.budgets.latency_cpu is not None or (time_s is not None and time_s >= WORTH_PROFILING_S)):
        return found
    return load_predictor(workshop.model, PREDICTED, target, threads, progress=tell.line)
