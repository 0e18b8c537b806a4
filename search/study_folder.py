"""A study as a folder on disk, for whoever only reads it: its file, its trials, one of them, its budgets."""

from collections.abc import Sequence
from pathlib import Path

from paredown.errors import BadInput
from paredown.search.budget import Budget, make_budget, parse_budget_option
from paredown.search.spec import StudySpec
from paredown.search.study import read_trials
from paredown.search.study_file import read_spec
from paredown.search.trial import Trial


def read_study(folder: Path) -> tuple[StudySpec, tuple[Trial, ...]]:
    """The file and the trials of a study. Raises BadInput where there is none."""
    if not (folder / "study.db").is_file():
        raise BadInput(f"a study is a folder with a study.db, as `paredown run` makes it; {folder} is none")
    return read_spec(folder / "study.toml"), read_trials(folder)


def budgets_of(spec: StudySpec, options: Sequence[str]) -> tuple[Budget, ...]:
    """The study's own budgets, those of the command line in their place where both name the same.

    Raises BadInput for what is no budget, and for one on energy where the study has none.
    """
    limits: dict[str, str | float] = dict(spec.budgets.given) | dict(parse_budget_option(option) for option in options)
    if "energy@cpu" in limits and not spec.objectives.energy:
        raise BadInput(f"a budget on energy@cpu needs a study that counted energy, {spec.name} did not; got {limits['energy@cpu']!r}")
    return tuple(make_budget(name, limit, spec.objectives.quality) for name, limit in limits.items())


def find_trial(trials: Sequence[Trial], number: int) -> Trial:
    """The trial of that number; raises BadInput if the study has none."""
    for trial in trials:
        if trial.number == number:
            return trial
    raise BadInput(
        f"the study has the trials 0 to {len(trials) - 1}, got {number}" if trials else f"the study has no trial yet, got {number}"
    )
