"""No loss, confirmed on *test*: each chosen bundle decodes the split once, beside the uncompressed one.

What is chosen, and in which order, is `paredown.search.confirmation`'s.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.data import Split
from paredown.errors import BadInput
from paredown.profilers.machine_lock import machine_share
from paredown.quality.confirm import confirm_in_order
from paredown.quality.judgement import non_inferiority, unseen_loss
from paredown.quality.metrics import found_tokenizer, margin_of
from paredown.quality.pairs import Pairs
from paredown.quality.significance import dagger
from paredown.search.budget import METRICS
from paredown.search.confirmation import By, Confirmation, Planned, Verdict, plan, read_confirmation, write_confirmation
from paredown.search.lock import StudyLock
from paredown.search.spec import StudySpec
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.evaluation import uncompressed
from paredown.trials.on_test import calibrate_as_studied, check_unseen, decode_once
from paredown.trials.recoveries import Recovery
from paredown.trials.recovering import kept_training
from paredown.trials.study_run import check_split
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model

TEST = "non-inferiority"


def make_plan(
    spec: StudySpec,
    trials: tuple[Trial, ...],
    model: "Model",
    test: Split,
    identity: Mapping[str, Any],
    margin: float | None,
    by: By,
) -> Confirmation:
    """What will be tested, on which data and by which margin (None takes the metric's own). Nothing is decoded.

    Raises BadInput where nothing is worth testing, and for a split that trials were chosen on or trained with.
    """
    metric = spec.objectives.quality
    check_unseen(test, spec, identity, "no loss is confirmed")
    try:
        margin = margin_of(metric, margin)
    except ValueError as error:
        raise BadInput(str(error)) from None
    order = plan(trials, spec.objective_list, spec.budget_list, margin, by, uncompressed(model))
    return Confirmation(metric, margin, by, model.digest, test.digest, test.name, order)


def check_plan(record: Confirmation, trials: tuple[Trial, ...]) -> None:
    """Raises BadInput where the record names trials that are not those of the study."""
    digests = {trial.number: trial.digest for trial in trials}
    for planned in record.order:
        if digests.get(planned.trial) != planned.digest:
            raise BadInput(f"the plan names trial {planned.trial} as {planned.digest[:12]}, which is not the trial of this study")


def check_asked(record: Confirmation, margin: float | None, by: By | None, test: Split | None) -> None:
    """Raises BadInput where a study that was confirmed is to be confirmed otherwise: what is asked was fixed before the first test."""
    asked: dict[str, tuple[Any, Any]] = {"--margin": (record.margin, margin), "--by": (record.by, by)}
    asked["--data"] = (record.test_split, None if test is None else test.digest)
    for flag, (fixed, wanted) in asked.items():
        if wanted is not None and wanted != fixed:
            shown = (record.split, test.name) if flag == "--data" and test is not None else (fixed, wanted)
            raise BadInput(f"{flag} is fixed before the first test: this study was confirmed with {shown[0]}, got {shown[1]}")


def confirm_study(
    spec: StudySpec,
    folder: Path,
    trials: tuple[Trial, ...],
    model: "Model",
    test: Split,
    record: Confirmation,
    tell: Teller,
) -> Confirmation:
    """Tests what the record's plan has left, one trial after the other, and writes the record of the study before and after each.

    Raises BadInput where another process drives the study, where trial, model or split are not those of the plan, or where the split is
    too small for the margin, whatever trials say; nothing is written then.
    """
    check_plan(record, trials)
    configurations = {trial.number: trial.configuration for trial in trials}
    if (record.model, record.test_split) != (model.digest, test.digest):
        raise BadInput(f"the plan names another model or test split than {model.path} and {test.name}")
    lock = StudyLock(folder)
    try:
        if (read_confirmation(folder) or record) != record:
            raise BadInput(f"{folder} was confirmed by another process meanwhile: run the same command again")
        return _test(spec, folder, configurations, model, test, record, tell)
    finally:
        lock.release()


def _test(
    spec: StudySpec,
    folder: Path,
    configurations: Mapping[int, Configuration],
    model: "Model",
    test: Split,
    record: Confirmation,
    tell: Teller,
) -> Confirmation:
    known = {verdict.trial: verdict for verdict in record.verdicts}
    references = test.references(model.task)
    chosen = [configurations[planned.trial] for planned in record.order]
    with ExitStack() as stack:
        decoder = stack.enter_context(Decoder())
        workshop = stack.enter_context(Workshop(model, Recovery(kept_training(spec, model.task), tell)))
        check_split(test, workshop, tuple(dict.fromkeys((uncompressed(model).input, *(one.input for one in chosen)))))
        calibrate_as_studied(spec, chosen, workshop, decoder, tell)
        tell.line(f"{test.name}: the uncompressed model decodes {len(test)} utterances")
        baseline = _texts(decode_once(workshop, decoder, uncompressed(model), test))
        _check_margin(record, baseline, references)
        write_confirmation(record, folder)

        def judge(planned: Planned) -> Verdict:
            """What the record says of a trial, or decoded, judged and recorded now."""
            nonlocal record
            if planned.trial in known:
                return known[planned.trial]
            tell.line(f"{test.name}: trial {planned.trial}, step {len(record.verdicts) + 1} of at most {len(record.order)}")
            texts = _texts(decode_once(workshop, decoder, configurations[planned.trial], test))
            verdict = _judge(record, planned, texts, baseline, references)
            record = record.with_verdict(verdict)
            write_confirmation(record, folder)
            return verdict

        confirm_in_order(record.order, judge)
    return record


def _check_margin(record: Confirmation, baseline: tuple[str, ...], references: tuple[str, ...]) -> None:
    least = unseen_loss(Pairs.of(record.metric, baseline, baseline, references, found_tokenizer(references)))
    if least >= record.margin:
        points = METRICS[record.metric]
        raise BadInput(
            f"{len(references)} utterances of {record.split} cannot confirm a margin of {record.margin:g} {points}: what none of them "
            f"shows may cost {least:.2f}; take more of them, or a wider --margin; nothing was tested"
        )


def _texts(found: tuple[Hypothesis, ...]) -> tuple[str, ...]:
    return tuple(hypothesis.text for hypothesis in found)


def _judge(
    record: Confirmation, planned: Planned, texts: tuple[str, ...], baseline: tuple[str, ...], references: tuple[str, ...]
) -> Verdict:
    with machine_share():  # thousands of resamples
        tokenizer = found_tokenizer(references)
        found = non_inferiority(record.metric, texts, baseline, references, record.margin, tokenizer=tokenizer)
        difference = dagger(record.metric, texts, baseline, references, tokenizer=tokenizer)
    return Verdict(
        trial=planned.trial,
        digest=planned.digest,
        test=TEST,
        margin=found.margin,
        utterances=found.utterances,
        loss=found.loss,
        upper95=found.upper95,
        smallest_visible=found.smallest_visible,
        relative_loss=found.relative_loss,
        passed=found.passed,
        dagger_test=difference.test,
        dagger_p=difference.p_value,
        dagger_visible=difference.smallest_visible,
    )
