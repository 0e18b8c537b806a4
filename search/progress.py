"""What a running study shows: trials done, the best so far within the budgets, the time left.

On a terminal a display that stays in place; elsewhere (a log, a pipe) one plain line per trial.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paredown.search.budget import Budget
from paredown.search.loop import Standing
from paredown.search.objective import Objective, read_values
from paredown.search.pick import best_feasible
from paredown.search.trial import Trial
from paredown.search.units import format_duration, format_value


class StudyProgress:
    """Shows every `Standing` it is called with; used in a `with` block and handed to `run_study` as `watch`."""

    def __init__(self, objectives: Sequence[Objective], budgets: Sequence[Budget], console: Console | None = None) -> None:
        """`console`: where to; standard error by default, so that standard output holds results only."""
        self._objectives = tuple(objectives)
        self._budgets = tuple(budgets)
        self._console = console or Console(stderr=True)
        # No refresh thread: it would run while latency is measured. The display moves when a trial starts or ends.
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._shown: int | None = None

    def __call__(self, standing: Standing) -> None:
        if self._live is not None:
            self._live.update(self._render(standing), refresh=True)
        elif self._shown is None:
            self._shown = len(standing.trials)  # trials of earlier runs are not told again
        else:
            for trial in standing.trials[self._shown :]:
                self._print_line(
                    f"trial {trial.number} ({standing.done}/{standing.planned}): {self.describe(trial)}; {self._outlook(standing)}"
                )
            self._shown = len(standing.trials)

    def describe(self, trial: Trial) -> str:
        """One trial in one line: its figures, or why it has none."""
        if trial.outcome is None:
            return f"{trial.label}: {trial.state}" + (f", {trial.reason}" if trial.reason else "")
        values = read_values(self._objectives, trial.outcome)
        pairs = zip(self._objectives, values, strict=True)
        return f"{trial.label}: " + ", ".join(self._figure(objective, value, trial) for objective, value in pairs)

    def bests(self, trials: Sequence[Trial]) -> str:
        """The best so far of each objective within the budgets, with the trial that has it."""
        bests, numbered = best_feasible(trials, self._objectives, self._budgets), {trial.number: trial for trial in trials}
        shown = [
            f"{self._figure(objective, best[0], numbered[best[1]])} (trial {best[1]})"
            for objective, best in zip(self._objectives, bests, strict=True)
            if best
        ]
        if shown:
            return ", ".join(shown)
        limits = ", ".join(str(budget) for budget in self._budgets)
        return f"none yet within {limits}" if limits else "none yet"

    def _outlook(self, standing: Standing) -> str:
        left = standing.seconds_left
        return f"best {self.bests(standing.trials)}" + ("" if left is None else f"; {format_duration(left)} left")

    def _figure(self, objective: Objective, value: float, trial: Trial) -> str:
        name = objective.name.replace("_bytes", "").replace("_ms", "").replace("_mj", "")
        estimated = trial.outcome is not None and objective.name in trial.outcome.estimated
        return f"{name} {format_value(value, objective.unit)}" + (" estimated" if estimated else "")

    def _print_line(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _render(self, standing: Standing) -> Group:
        left = standing.seconds_left
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(f"{standing.done}/{standing.planned} trials"),
            ProgressBar(total=standing.planned, completed=standing.done, width=32),
            Text("" if left is None else f"{format_duration(left)} left"),
        )
        lines = [Text(f"best so far  {self.bests(standing.trials)}")]
        if standing.trials:
            lines.append(Text(f"last         {self.describe(standing.trials[-1])}"))
        if standing.running is not None:
            lines.append(Text(f"now          {standing.running}"))
        return Group(head, *lines)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
