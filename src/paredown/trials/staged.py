"""Evaluation in stages, the cheap ones first, so that a candidate that cannot matter costs as little as it is worth.

screen   bytes, parameters and multiply-accumulates, exactly and without building anything; latency as predicted, where it can be
loss     teacher-forced loss of the bundle on a few utterances of the analysis split
race     the search split in growing, fixed subsets, until a paired interval says that the front or a quality budget is out of reach
measure  latency and energy, only of what is on the front by now

Whatever was computed once for a digest is taken from the records: hypotheses of single utterances, and measurements on this target.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.profilers.measurement import Measurement
from paredown.search.budget import Budget
from paredown.search.loop import Board
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome, Stopped
from paredown.search.racing import Cost, Subsets, costs_no_more
from paredown.search.units import format_value
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import Evaluator
from paredown.trials.forced_loss import NAME, Items, Losses, digest_items, find_better, to_measurement
from paredown.trials.foreseen import LATENCY
from paredown.trials.race_judge import Lines, RaceJudge

if TYPE_CHECKING:
    from paredown.trials.decoding import Hypothesis
    from paredown.trials.foreseen import Foreseen
    from paredown.trials.kept import Kept

SIZE, WORK, QUALITY = "size_bytes", "macs", "quality"
TOLERANCE = 0.02  # of latencies that are estimates: two that lie closer are taken for equal


class StagedEvaluator:
    """Evaluates configurations of one study; may be called from several threads at once.

    `full` measures; `foreseen` tells costs beforehand; `kept` holds what was computed before. `racing`: whether the race may stop a
    candidate; `forced`: utterances of the analysis split with the tokens of their references, for the teacher-forced loss; none skips it.
    """

    def __init__(
        self,
        full: Evaluator,
        foreseen: "Foreseen",
        kept: "Kept",
        objectives: Sequence[Objective],
        budgets: Sequence[Budget],
        seed: int,
        board: Board,
        racing: bool = True,
        forced: Items = (),
    ) -> None:
        self._forced, self._losses = forced, dict[int, Losses]()
        self._forced_digest = digest_items(forced)
        self._full, self._foreseen, self._kept, self._board, self._racing = full, foreseen, kept, board, racing
        self._budgets = tuple(budgets)
        self._estimates_all = {objective.name for objective in objectives} <= {QUALITY, LATENCY, SIZE}
        self._costs = tuple(budget for budget in budgets if not budget.is_quality)
        lengths = [utterance.audio.stat().st_size for utterance in full.split.utterances]
        self._subsets = Subsets.of(lengths, seed)
        self._judge_made: RaceJudge | None = None
        self._entered: dict[int, Configuration] = {}  # trials that were decoded in full

    def foretell(self, configuration: Configuration) -> Mapping[str, float]:
        """Measures that are known, or predicted, without an evaluation."""
        return {name: figure.value for name, figure in self._foreseen.figures(configuration)}

    def remember(self, trial: int, configuration: Configuration, latency_ms: float) -> None:
        """A trial that an earlier run completed races against the others again, if its hypotheses are still at hand."""
        found = self._kept.hypotheses(configuration)
        if len(found) == len(self._full.split):
            self._enter(trial, configuration, [found[index] for index in range(len(found))])
        losses = self._kept.losses(configuration, self._forced_digest)
        if losses is not None:
            self._losses[trial] = losses
        self._learn(configuration, latency_ms)

    def __call__(self, configuration: Configuration, number: int) -> Outcome:
        """Everything of what may matter. Raises Stopped, with what was measured so far, for what cannot."""
        reference = self._full.reference
        self._board.say(number, "screen")
        if configuration == self._full.uncompressed:  # whatever budgets say: all others are compared with it
            with self._full.built(configuration) as bundle:
                return self._measured(configuration, number, list(reference.found), bundle)
        self._screen(self._foreseen.figures(configuration))
        with self._full.built(configuration) as bundle:
            self._force(configuration, number, bundle)
            return self._measured(configuration, number, self._race(configuration, number, bundle), bundle)

    def _screen(self, known: Sequence[tuple[str, Measurement]]) -> None:
        """Stops what breaks a budget on costs: exactly, or as far as a prediction can be wrong."""
        figures = dict(known)
        for budget in self._costs:
            figure = figures.get(budget.measure)
            if figure is None:
                continue
            surely = figure.value if figure.ci95 is None else figure.ci95[0]
            if budget.violation(surely) > 0:
                foretold = "exactly" if figure.ci95 is None else "as predicted"
                raise Stopped(f"{budget} is missed: {format_value(figure.value, budget.unit)}, {foretold}", Outcome(tuple(known)))

    def _force(self, configuration: Configuration, number: int, bundle: Path) -> None:
        """Stops what is so much worse in loss than a trial that costs no more that its score cannot be better."""
        if not self._racing or not self._forced or configuration.decode.ctc_weight >= 1:
            return
        self._board.say(number, f"loss, {len(self._forced)} utterances")
        losses = self._kept.losses(configuration, self._forced_digest)
        if losses is None:
            losses = self._full.force(bundle, self._forced)
            self._kept.keep_losses(configuration, self._forced_digest, losses)
        rivals = {trial: self._losses[trial] for trial in self._cheaper(configuration) if trial in self._losses}
        self._losses[number] = losses
        found = find_better(losses, rivals)
        if found is not None:
            trial, worse = found
            reason = f"dominated by trial {trial} in loss: {worse.nats:.2f} nats a token worse, at least {worse.least:.2f}"
            raise Stopped(reason, Outcome((*self._foreseen.figures(configuration), (NAME, to_measurement(losses)))))

    def _race(self, configuration: Configuration, number: int, bundle: Path) -> "list[Hypothesis]":
        """Hypotheses of the whole split, in its order."""
        found: dict[int, Hypothesis] = dict(self._kept.hypotheses(configuration))
        total = len(self._full.split)
        for look in self._looks(configuration):
            indices = self._subsets.known(look)
            missing = [index for index in indices if index not in found]
            self._board.say(number, f"race, {len(indices)} of {total} utterances")
            if missing:
                fresh = self._full.decode(bundle, missing, configuration)
                self._kept.keep(configuration, fresh)
                found |= fresh
            if len(indices) < total:
                heard = [found[index] for index in indices]
                verdict = self._judge.judge(look, self._estimated(configuration), [one.text for one in heard], self._least)
                if verdict.stop:
                    raise Stopped(verdict.reason, self._partial(configuration, heard, indices))
        return [found[index] for index in range(total)]

    def _looks(self, configuration: Configuration) -> Sequence[int]:
        """The subsets to stop at: one early look at the budgets while nobody is known to cost less, and the whole split at last."""
        last = len(self._subsets) - 1
        if not self._racing:
            return (last,)
        return range(last + 1) if self._cheaper(configuration) else tuple(dict.fromkeys((*([min(1, last)] if self._least else []), last)))

    def _cheaper(self, configuration: Configuration) -> list[int]:
        """Trials decoded in full that cost no more, by estimates; none while nothing estimates, or where there are further costs."""
        if not self._estimates_all:
            return []
        own = self._estimated(configuration)
        entered = list(self._entered.items())
        return [trial for trial, other in entered if own[0].value > 0 and costs_no_more(self._estimated(other), own)]

    def _measured(
        self,
        configuration: Configuration,
        number: int,
        found: "list[Hypothesis]",
        bundle: Path,
    ) -> Outcome:
        """The trial in full, unless others beat it already by what it says and by estimated costs."""
        quality = self._full.quality(found)
        self._enter(number, configuration, found)
        rival = self._beaten_by(number) if self._racing and configuration != self._full.uncompressed else None
        if rival is not None:
            reason = f"dominated by trial {rival} on all {len(found)} utterances; costs as estimated"
            raise Stopped(reason, self._partial(configuration, found, range(len(found))))
        self._board.say(number, "measure")
        measured = self._kept.costs(configuration)
        if measured is None:
            measured = self._full.measured_costs(bundle, configuration)
            self._kept.keep_costs(configuration, measured)
        self._learn(configuration, dict(measured)[LATENCY].value)
        losses = self._losses.get(number)
        forced = [] if losses is None else [(NAME, to_measurement(losses))]
        return Outcome((*quality, *measured, *self._full.work(bundle, configuration), *forced))

    def _enter(self, trial: int, configuration: Configuration, found: "Sequence[Hypothesis]") -> None:
        """The trial takes part in the race from now on."""
        self._judge.add(trial, self._estimated(configuration), [one.text for one in found])
        self._entered[trial] = configuration

    def _learn(self, configuration: Configuration, latency_ms: float) -> None:
        """Estimates move with every measurement, those of all rivals alike."""
        self._foreseen.learn(configuration, latency_ms)
        for trial, entered in list(self._entered.items()):
            self._judge.reprice(trial, self._estimated(entered))

    def _beaten_by(self, trial: int) -> int | None:
        """A trial that is better in quality and costs no more, by estimates; None where there is none, or nothing estimates yet."""
        score = self._judge.score(trial)
        rivals = self._cheaper(self._entered[trial])
        return next((rival for rival in rivals if rival != trial and self._judge.score(rival) > score), None)

    def _estimated(self, configuration: Configuration) -> tuple[Cost, ...]:
        """Latency as foreseen, work and bytes exactly. While nothing foresees latency, it is 0: nobody is known to cost less.

        Work is among them because latency that is fitted to few trials may not know yet what a block costs: who does more is no rival.
        """
        figures = dict(self._foreseen.figures(configuration))
        latency_ms = figures[LATENCY].value if LATENCY in figures else 0.0
        if configuration == self._full.uncompressed:
            latency_ms = self._full.reference.latency_ms
        return (Cost(LATENCY, latency_ms, TOLERANCE), Cost(WORK, figures[WORK].value, TOLERANCE), Cost(SIZE, figures[SIZE].value))

    def _partial(self, configuration: Configuration, heard: "Sequence[Hypothesis]", indices: Sequence[int]) -> Outcome:
        """What is known of a candidate that stops here."""
        return Outcome((*self._full.quality(heard, indices), *self._foreseen.figures(configuration)))

    @property
    def _judge(self) -> RaceJudge:
        if self._judge_made is None:
            full = self._full
            texts = full.reference.texts
            self._judge_made = RaceJudge(Lines(full.metric, full.references, full.tokenizer), texts, self._subsets)
        return self._judge_made

    @property
    def _least(self) -> list[tuple[str, float]]:
        """Quality budgets as the race wants them."""
        found = []
        for budget in self._budgets:
            if budget.is_quality:
                found.append((str(budget), budget.limit if budget.measure == QUALITY else self._judge.least_gap(budget.limit)))
        return found
