"""The front of a study, measured once more: costs as strictly as can be, quality once on *test*.

What is measured, and the record of it, is `paredown.search.final`'s. Costs are taken in batches: the candidates of a batch are timed side
by side with one reference, which is most of what timing a single one takes. Of a batch of 8 on two cores (bundled model) 18 s for each
load out of 9 give about 12 loads of every candidate, as many as a strict measurement wants.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.data import Split
from paredown.errors import BadInput
from paredown.profilers.energy.protocol import Protocol
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.latency import STRICT, Latency
from paredown.profilers.machine_lock import machine_share
from paredown.search.final import Final, FinalPoint, choose_points, read_final, write_final
from paredown.search.lock import StudyLock
from paredown.search.outcome import Outcome
from paredown.search.spec import StudySpec
from paredown.search.trial import Trial
from paredown.search.units import format_duration
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import FIXED_TOKENS, energy_on_one_scale, on_one_scale, spread_by_length, uncompressed
from paredown.trials.limits import check_targets
from paredown.trials.metering import meter
from paredown.trials.on_test import calibrate_as_studied, check_unseen, decode_once
from paredown.trials.recoveries import Recovery
from paredown.trials.recovering import kept_training
from paredown.trials.scoring import score_found
from paredown.trials.study_run import check_split, energy_request, split_of
from paredown.trials.teller import Teller
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.search.spec import Target

BATCH = 8  # more share the reference's cost better, but all of them are loaded at once
SECONDS_EACH = 18.0  # of timing, for every candidate of a batch and its reference
UTTERANCES = 48  # twice those of the search: what is left of a strict interval are differences between utterances
# Twelve windows rather than the search's three: the interval of a mean of three is as wide as the figures themselves.
STRICT_ENERGY = Protocol(utterances=UTTERANCES, passes=1, repeats=12, idle_s=10.0, warmup=3)


def finish_study(
    spec: StudySpec,
    folder: Path,
    trials: Sequence[Trial],
    model: "Model",
    test: Split | None,
    identity: Mapping[str, Any],
    tell: Teller,
    seconds: float | None = None,
) -> Final:
    """Measures what the record of the study lacks, and writes the record after every batch and every point.

    `test` None: quality is not looked at. `seconds`: most time for timing in all, None takes 18 s for each of a batch and its reference.
    Raises BadInput where another process drives the study, where this is not the machine it was measured on, and for a split that trials
    were chosen on or that is not the one that was looked at before; nothing is written then.
    """
    chosen, feasible = choose_points(trials, spec.objective_list, spec.budget_list)
    check_machines(spec, chosen)
    lock = StudyLock(folder)
    try:
        known = read_final(folder) or Final(spec.objectives.quality, model.digest)
        if test is not None:
            _check_test(known, test, spec, identity)
        finished = sum(trial.is_finished for trial in trials)
        record = replace(known, feasible=feasible, finished=max(finished, known.finished))
        if (warning := record.warning()) is not None:
            tell.line(f"warning: {warning}")
        return _Finish(spec, folder, trials, chosen, model, record, tell).run(test, seconds)
    finally:
        lock.release()


def check_machines(spec: StudySpec, chosen: Sequence[Trial]) -> None:
    """Raises BadInput where this machine lacks a target or a source of energy, or is not the one that the trials were measured on."""
    check_targets(spec)
    energy_request(spec)
    for target in spec.objectives.latency:
        here = read_fingerprint(spec.target.threads, target).digest
        for trial in chosen:
            there = None if trial.outcome is None else trial.outcome.measurement_of[f"latency_ms@{target}"].target
            if there is not None and there != here:
                raise BadInput(
                    f"costs are measured on the target that the study was: trial {trial.number} was on {target} {there[:12]}, this is "
                    f"{here[:12]} (see paredown doctor: power, governor and versions belong to a target)"
                )


def _check_test(record: Final, test: Split, spec: StudySpec, identity: Mapping[str, Any]) -> None:
    check_unseen(test, spec, identity, "the front is scored")
    if record.test_split is not None and record.test_split != test.digest:
        raise BadInput(f"--test stays what it was: the front of this study was scored on {record.split}, got {test.name}")


class _Finish:
    """One call of `finish_study`."""

    def __init__(
        self, spec: StudySpec, folder: Path, trials: Sequence[Trial], chosen: Sequence[Trial], model: "Model", record: Final, tell: Teller
    ) -> None:
        self._spec, self._folder, self._model, self._tell = spec, folder, model, tell
        self._trials, self._chosen, self._record = trials, chosen, record
        self._reference = uncompressed(model)
        self._references = [trial.outcome for trial in trials if trial.configuration == self._reference and trial.outcome is not None]
        for trial in chosen:
            if record.find(trial) is None and trial.outcome is not None:
                self._record = self._record.with_point(FinalPoint(trial.number, trial.digest, trial.outcome))

    def run(self, test: Split | None, seconds: float | None) -> Final:
        """The record, filled."""
        costs = [objective.name for objective in self._spec.objective_list if objective.name not in ("quality", "size_bytes")]
        if not any(self._missing(name) for name in costs) and not (test is not None and self._missing("quality")):
            self._write()
            return self._record
        configurations = [trial.configuration for trial in self._chosen]
        with ExitStack() as stack:
            decoder = stack.enter_context(Decoder())
            workshop = stack.enter_context(Workshop(self._model, Recovery(kept_training(self._spec, self._model.task), self._tell)))
            if test is not None:
                check_split(test, workshop, tuple(dict.fromkeys((self._reference.input, *(one.input for one in configurations)))))
            calibrate_as_studied(self._spec, configurations, workshop, decoder, self._tell)
            self._measure(workshop, seconds)
            if test is not None:
                self._score(workshop, decoder, test)
        self._write()
        return self._record

    def _write(self) -> None:
        write_final(self._record, self._folder)

    def _missing(self, name: str) -> list[Trial]:
        """Chosen trials whose points have no such figure yet, or none that could be counted: a strict cost, or quality on test."""
        figures = ((trial, self._record.figure(trial, name)) for trial in self._chosen)
        return [trial for trial, figure in figures if figure is None or figure.provenance == "unavailable"]

    def _point(self, trial: Trial) -> FinalPoint:
        """As the record has it now."""
        point = self._record.find(trial)
        assert point is not None  # every chosen trial was given one
        return point

    def _loads(self, batch: Sequence[Trial]) -> int:
        """Bundles that are timed: the uncompressed model may be a point of the front itself."""
        return 1 + sum(trial.configuration != self._reference for trial in batch)

    def _measure(self, workshop: Workshop, seconds: float | None) -> None:
        """Latency on every target, then energy, batch by batch."""
        timed = spread_by_length(split_of(self._spec, "search"), UTTERANCES)
        batches = {target: _batches(self._missing(f"latency_ms@{target}")) for target in self._spec.objectives.latency}
        loads = sum(self._loads(batch) for found in batches.values() for batch in found)
        each_s = SECONDS_EACH if seconds is None else seconds / max(1, loads)
        for target, found in batches.items():
            if not found:
                continue
            with Stopwatch(self._spec.target.threads, target) as stopwatch:
                for number, batch in enumerate(found, 1):
                    self._tell.line(
                        f"latency on {target}: batch {number} of {len(found)}, {len(batch)} points beside the uncompressed model"
                    )
                    self._time(stopwatch, target, workshop, batch, timed, each_s * self._loads(batch))
        if self._spec.objectives.energy and self._missing("energy_mj@cpu"):
            self._count(workshop, timed)

    def _time(
        self,
        stopwatch: Stopwatch,
        target: "Target",
        workshop: Workshop,
        batch: Sequence[Trial],
        timed: Split,
        seconds: float,
    ) -> None:
        name, effort = f"latency_ms@{target}", replace(STRICT, repeats=1, seconds=seconds)
        with self._built(workshop, batch) as bundles:
            found = stopwatch.time(bundles, timed, effort, fixed_tokens=FIXED_TOKENS, seed=self._spec.search.seed)
        machine = read_fingerprint(self._spec.target.threads, target).digest
        studied_ms = self._of_reference(name) or found[REFERENCE].free.median_ms
        for trial in batch:
            latency = found[REFERENCE if trial.configuration == self._reference else str(trial.number)]
            figure = replace(on_one_scale(latency, studied_ms), target=machine)
            if trial.configuration == self._reference:  # its ratio to itself; what the clock said stays beside it
                figure = replace(figure, value=studied_ms, ci95=None, detail=(*figure.detail, ("clock_median", latency.free.median_ms)))
            self._record = self._record.with_point(self._point(trial).with_strict(name, figure))
        self._write()
        self._tell_width(target, found)

    def _tell_width(self, target: str, found: Mapping[str, Latency]) -> None:
        conditions = found[REFERENCE].conditions
        if conditions is None:
            return
        width = "of unknown width" if conditions.width is None else f"at most {100 * conditions.width:.1f} % wide"
        notes = "".join(f"; {warning}" for warning in conditions.warnings)
        self._tell.line(
            f"latency on {target}: {conditions.loads} loads of each in {format_duration(conditions.seconds)}, intervals {width}{notes}"
        )

    def _count(self, workshop: Workshop, timed: Split) -> None:
        request, name = energy_request(self._spec), "energy_mj@cpu"
        assert request is not None  # the study counts energy
        machine = read_fingerprint(self._spec.target.threads).digest
        found = _batches(self._missing(name))
        with Stopwatch(self._spec.target.threads) as stopwatch:
            for number, batch in enumerate(found, 1):
                self._tell.line(f"energy: batch {number} of {len(found)}, {len(batch)} points beside the uncompressed model")
                with self._built(workshop, batch) as bundles:
                    counted = meter(stopwatch, bundles, timed, request, STRICT_ENERGY, seed=self._spec.search.seed)
                base = counted[REFERENCE].figures
                scale_mj = self._of_reference(name) or (None if base is None else base.gross_mj.value)
                for trial in batch:
                    energy = counted[REFERENCE if trial.configuration == self._reference else str(trial.number)]
                    on_scale = energy.figures is not None and scale_mj is not None
                    figure = energy_on_one_scale(energy, scale_mj or 0.0) if on_scale else energy.to_measurement()
                    self._record = self._record.with_point(self._point(trial).with_strict(name, replace(figure, target=machine)))
                self._write()

    def _of_reference(self, name: str) -> float | None:
        """A cost of the uncompressed model as the study has it, so that strict figures stand on the scale of the search."""
        found = self._references[0].measurement_of.get(name) if self._references else None
        return None if found is None or found.provenance == "unavailable" else found.value

    @contextmanager
    def _built(self, workshop: Workshop, batch: Sequence[Trial]) -> Iterator[dict[str, Timed]]:
        """The bundles of a batch by the number of their trials, and the reference's; thrown away afterwards, but for that one."""
        others = [trial for trial in batch if trial.configuration != self._reference]
        bundles = {REFERENCE: Timed(workshop.build(self._reference))}
        try:
            bundles |= {str(trial.number): Timed(workshop.build(trial.configuration)) for trial in others}
            yield bundles
        finally:
            for trial in others:
                workshop.discard(trial.configuration)

    def _score(self, workshop: Workshop, decoder: Decoder, test: Split) -> None:
        """Each point decodes test once. That it was looked at is written down before the first does."""
        missing = self._missing("quality")
        if not missing:
            return
        references, metric = test.references(self._model.task), self._spec.objectives.quality
        self._record = self._record.with_look(test.digest, test.name)
        self._write()
        self._tell.line(f"{test.name}: the uncompressed model decodes {len(test)} utterances")
        baseline = decode_once(workshop, decoder, self._reference, test)
        instructions = " ".join(read_fingerprint(self._spec.target.threads).instructions)
        for step, trial in enumerate(missing, 1):
            self._tell.line(f"{test.name}: trial {trial.number}, {step} of {len(missing)}")
            itself = trial.configuration == self._reference
            found = baseline if itself else decode_once(workshop, decoder, trial.configuration, test)
            with machine_share():  # thousands of resamples
                rows = score_found(metric, self._model.task, found, baseline, references, instructions)
            self._record = self._record.with_point(replace(self._point(trial), test=Outcome(rows)))
            self._write()


def _batches(missing: Sequence[Trial]) -> list[Sequence[Trial]]:
    """As few as hold at most `BATCH` each, of nearly equal length."""
    count = -(-len(missing) // BATCH)
    return [missing[len(missing) * part // count : len(missing) * (part + 1) // count] for part in range(count)]
