"""`paredown.Study`: a study that lies on this disk, finished or not."""

from pathlib import Path
from typing import TYPE_CHECKING

from paredown.api.budgets import Budgets, as_options
from paredown.api.bundles import Bundle
from paredown.api.point import Point
from paredown.api.telling import Tell, teller
from paredown.api.unguarded import script_hidden
from paredown.api.wording import names_arguments

if TYPE_CHECKING:
    from paredown.bundle.forms import Form
    from paredown.report.page.study_page import Written
    from paredown.search.confirmation import By, Confirmation
    from paredown.search.final import Final
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial


class Study:
    """Reads the folder anew at every call, so that a study that another process drives can be watched. It holds nothing open."""

    def __init__(self, folder: str | Path) -> None:
        """`folder`: as `paredown run` made it. Raises BadInput where it holds no study."""
        from paredown.search.study_folder import read_study

        self.folder = Path(folder)
        read_study(self.folder)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"

    @property
    def spec(self) -> "StudySpec":
        """Its file, as it was run."""
        from paredown.search.study_folder import read_study

        return read_study(self.folder)[0]

    @property
    def trials(self) -> "tuple[Trial, ...]":
        """Every trial by number, in whatever state."""
        from paredown.search.study_folder import read_study

        return read_study(self.folder)[1]

    def trial(self, number: int) -> "Trial":
        """The trial of that number; raises BadInput where there is none."""
        from paredown.search.study_folder import find_trial

        return find_trial(self.trials, number)

    @names_arguments
    def front(self, budgets: Budgets | None = None, *, every: bool = False) -> tuple[Point, ...]:
        """The trials that no other dominates, best quality first; the rows of `paredown front --json`.

        `budgets`: in place of the study's own of that name; they say what is feasible and hide nothing. `every`: all complete trials.
        Where no trial keeps the budgets, those that miss them least come first. Raises BadInput for what is no budget.
        """
        from paredown.report.front_rows import read_front, shown_entries

        front = read_front(self.folder, as_options(budgets))
        return tuple(Point.of(entry) for entry in shown_entries(front, every))

    @names_arguments
    def pick(self, rule: str = "knee", budgets: Budgets | None = None, *, by: "By | None" = None) -> "Trial":
        """The trial that a rule picks of those that keep the budgets.

        `rule`: knee, smallest, fastest, frugal, best, or lossless (of those that `confirm` found to lose nothing the smallest, or, with
        `by` "latency" or "energy", the fastest or frugalest). Raises BadInput for an unknown rule, and where no trial keeps the budgets,
        naming the nearest one.
        """
        from paredown.search.confirmation import read_confirmation
        from paredown.search.pick import pick_trial
        from paredown.search.study_folder import budgets_of, read_study

        spec, trials = read_study(self.folder)
        limits = budgets_of(spec, as_options(budgets))
        return pick_trial(rule, trials, spec.objective_list, limits, read_confirmation(self.folder), by)

    @names_arguments
    def export(
        self, trial: "int | Trial", folder: str | Path, *, form: "Form" = "bundle", force: bool = False, tell: Tell | None = None
    ) -> Bundle:
        """Write a trial as a bundle, byte for byte as `paredown export` does, or in another form.

        `trial`: its number, or what `pick` gave. `form`: "bundle", "self-contained" (ONNX that plain onnxruntime loads) or "espnet" (a
        checkpoint for more training). `force`: replace what paredown wrote there in this form.
        Raises BadInput where there is no such trial, the folder holds something else or the model is not the one that was studied;
        ParityError where the bundle would not compute what torch does. Nothing is written then.
        """
        from paredown.trials.exporting import export_trial

        found = self.trial(trial if isinstance(trial, int) else trial.number)
        with script_hidden():
            return Bundle.of(export_trial(self.folder, found, Path(folder), form, force=force, tell=teller(tell)))

    @names_arguments
    def finish(
        self, test: str | None = None, *, unseen: bool = False, time: str | float | None = None, tell: Tell | None = None
    ) -> "Final":
        """Measure the front strictly on this machine, and score it once on *test*.

        `test`: the split, the study's own by default; `unseen`: leave it alone. `time`: most time for timing in all, "10 min" or seconds.
        Raises BadInput where another process drives the study, this is not the machine it was measured on, or trials were chosen on `test`.
        """
        from paredown.search.units import parse_duration_s
        from paredown.trials.judging import finish_folder

        seconds = None if time is None else parse_duration_s(time)
        with script_hidden():
            return finish_folder(self.folder, test, unseen=unseen, seconds=seconds, tell=teller(tell))

    @names_arguments
    def confirm(
        self, *, margin: float | None = None, by: "By | None" = None, data: str | None = None, tell: Tell | None = None
    ) -> "Confirmation":
        """Test on *test*, once, which trials lose less than the margin; what was tested before is returned as it was found.

        `margin`: in points of the study's metric, None its own (1.0 BLEU or chrF, 0.3 % WER); `by`: the cost that orders trials from mild
        to aggressive, size by default; `data`: the split, the study's own by default. Raises BadInput where any of them is not what it
        was at the first test, and as `finish` does.
        """
        from paredown.trials.judging import confirm_folder

        with script_hidden():
            return confirm_folder(self.folder, margin=margin, by=by, data=data, tell=teller(tell))

    @names_arguments
    def report(self, file: str | Path | None = None, budgets: Budgets | None = None, *, tell: Tell | None = None) -> "Written":
        """Write the study as one HTML file that needs no network. `.path`, `.size_bytes`, and `.missing`: the sections it lacks, and why.

        `file`: `front/report.html` in the study's folder by default. Raises BadInput for what is no budget, and where it cannot be written.
        """
        from paredown.report.page.study_page import write_page

        with script_hidden():
            return write_page(self.folder, None if file is None else Path(file), as_options(budgets), teller(tell).line)
