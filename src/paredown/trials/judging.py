"""The last two steps of a study, from its folder: `finish` measures the front strictly, `confirm` tests trials for no loss."""

from pathlib import Path
from typing import TYPE_CHECKING

from paredown.errors import BadInput
from paredown.search.confirmation import By, Confirmation, read_confirmation
from paredown.search.final import Final, read_final
from paredown.search.study import read_identity
from paredown.search.study_folder import read_study
from paredown.trials.teller import QUIET, Teller

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.search.spec import StudySpec


def finish_folder(
    folder: Path, test: str | None = None, *, unseen: bool = False, seconds: float | None = None, tell: Teller = QUIET
) -> Final:
    """Measure what the record of the study lacks and return it whole.

    `test`: the split to score once on, None takes the one that was looked at before, or the study's own; `unseen`: leave it alone, measure
    costs. `seconds`: most time for timing in all. Raises BadInput as `finish_study`, and for `test` beside `unseen`.
    """
    from paredown.trials.finishing import finish_study
    from paredown.trials.study_run import studied_model

    if test and unseen:
        raise BadInput(f"--no-test leaves test unseen, got it with --test {test}")
    spec, trials = read_study(folder)
    identity = read_identity(folder)
    model = studied_model(spec, str(identity["model"]))
    split = None if unseen else _test_split(folder, spec, test)
    if split is not None:
        split.references(model.task)
    return finish_study(spec, folder, trials, model, split, identity, tell, seconds)


def confirm_folder(
    folder: Path, *, margin: float | None = None, by: By | None = None, data: str | None = None, tell: Teller = QUIET
) -> Confirmation:
    """Test what the plan of the study has left, or return what was found before; margin, order and data are fixed before the first test.

    `margin`: the loss allowed in points of the study's metric, None takes the metric's own; `by`: the cost that orders trials from mild to
    aggressive, None is size; `data`: the test split, None takes the study's. Raises BadInput as `confirm_study`.
    """
    from paredown.trials.confirming import check_asked, check_plan, confirm_study, make_plan
    from paredown.trials.study_run import split_of, studied_model

    spec, trials = read_study(folder)
    record = read_confirmation(folder)
    asked = _open(data)
    if record is not None:
        check_plan(record, trials)
        check_asked(record, margin, by, asked)
        if record.is_done:
            return record
    identity = read_identity(folder)
    model = studied_model(spec, str(identity["model"]))
    test = asked or _open(None if record is None else record.split) or split_of(spec, "test")
    test.references(model.task)
    if record is None:
        record = make_plan(spec, trials, model, test, identity, margin, by or "size")
    return confirm_study(spec, folder, trials, model, test, record, tell)


def _test_split(folder: Path, spec: "StudySpec", named: str | None) -> "Split":
    """The split that the user names, the one that was looked at before, or the study's own."""
    from paredown.trials.study_run import split_of

    known = read_final(folder)
    return _open(named or (None if known is None else known.split)) or split_of(spec, "test")


def _open(reference: str | None) -> "Split | None":
    """The split of that name, by its whole path, so that the step can go on from any folder."""
    from paredown.data import PREFIX, open_data

    if reference is None:
        return None
    return open_data(reference if reference.startswith(PREFIX) else Path(reference).absolute())
