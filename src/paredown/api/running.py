"""`paredown.run`: start or resume a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.api.budgets import Budgets, as_options
from paredown.api.study import Study
from paredown.api.telling import Tell, TrialLines, teller
from paredown.api.unguarded import script_hidden
from paredown.api.wording import names_arguments

if TYPE_CHECKING:
    from paredown.search.loop import Standing, Watch
    from paredown.search.spec import StudySpec


@names_arguments
def run(
    study: "str | Path | StudySpec",
    *,
    data: str | Path | None = None,
    trials: int | None = None,
    time: str | float | None = None,
    budgets: Budgets | None = None,
    seed: int | None = None,
    folder: str | Path | None = None,
    begin_from: Sequence[str | Path] = (),
    ray: str | None = None,
    tell: Tell | None = None,
    watch: "Watch | None" = None,
) -> Study:
    """Start the study, or resume it, and return it when its trials or its time are spent.

    `study`: a study file (NAME.toml), a model to study with default settings (a folder, `bundled:NAME`), or a `StudySpec`; `data`: with a
    model, a folder with the splits *analysis*, *search* and, to confirm by, *test*. `trials`, `time` ("5 min" or seconds, the analysis
    inside), `budgets` ({"size": "12 MB"}) and `seed` stand in place of the file's own. `folder`: of the study, `runs/NAME` by default.
    `begin_from`: folders of studies whose trials are tried first. `ray`: address of a cluster, or "auto".
    `tell` gets a line for each step and trial (`tell=print`); `watch` gets a `Standing` whenever something moved.

    Raises BadInput, before anything is written, for whatever the user can mend: a missing file or split, a budget that cannot be kept,
    another process that holds the study, a folder that was made of something else.
    """
    from paredown.errors import BadInput
    from paredown.search.study_file import change_spec
    from paredown.trials.default_study import anchored, asked_spec
    from paredown.trials.study_run import conduct, default_folder

    if data is not None and not isinstance(study, str | Path):
        raise BadInput(f"data goes with a model; a StudySpec names its own data, got data {data} with the study {study.name}")
    asked = asked_spec(str(study), None if data is None else str(data)) if isinstance(study, str | Path) else study
    limit = None if time is None else str(time)
    spec = anchored(change_spec(asked, trials=trials, time=limit, budgets=as_options(budgets), seed=seed))
    place = Path(folder) if folder is not None else default_folder(spec)
    with script_hidden():
        done = conduct(spec, place, watch or _watch(tell), teller(tell), tuple(map(Path, begin_from)), ray)
    if tell is not None:
        tell(f"{done.study}: {done.why}; {done.seconds:.0f} s in all, {done.analysis_seconds:.0f} s of them analysis")
    return Study(place)


def _watch(tell: Tell | None) -> "Watch":
    return _see_nothing if tell is None else TrialLines(tell)


def _see_nothing(standing: "Standing") -> None:
    """Nobody watches."""
