"""What a running study shows: what the trial is at, trials done, the best so far within the budgets, the hypervolume, the time left.

On a terminal a display that stays in place; elsewhere (a log, a pipe) one plain line per trial. Within 10 s there is always a sign of
life: a heartbeat fills long pauses. It writes one short line from text that is ready, so that a latency measured meanwhile does not notice.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paredown.search.budget import Budget
from paredown.search.heartbeat import Heartbeat
from paredown.search.loop import Standing
from paredown.search.objective import Objective, read_values
from paredown.search.pick import best_feasible
from paredown.search.trial import Trial
from paredown.search.units import format_duration, format_value

LINE_PAUSE_S = 9.5  # the next sign of life lies within 10 s
REFRESH_PAUSE_S = 5.0  # on a terminal, where it replaces a line
_NOW = "now          "


class StudyProgress:
    """Shows every `Standing` it is called with; used in a `with` block and handed to `run_study` as `watch`."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        budgets: Sequence[Budget],
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`console`: where to; standard error by default, so that standard output holds results only."""
        self._objectives = tuple(objectives)
        self._budgets = tuple(budgets)
        self._console = console or Console(stderr=True)
        self._clock = clock
        # No refresh thread of its own: it would render everything anew, several times a second, while latency is measured.
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._heartbeat = Heartbeat(self.beat, LINE_PAUSE_S if self._live is None else REFRESH_PAUSE_S)
        self._drawing = threading.Lock()
        self._standing: Standing | None = None
        self._since = self._moved = clock()
        self._told: set[int] | None = None  # numbers of trials that need no line any more
        self._best: tuple[tuple[int, int], str] = ((-1, -1), "")  # for so many trials, so many of them done

    def __call__(self, standing: Standing) -> None:
        with self._drawing:
            before, now = self._standing, self._clock()
            if before is None or (before.running, before.stage) != (standing.running, standing.stage):
                self._moved = now
            self._standing, self._since = standing, now
            self._remember_best(standing)
            if self._live is not None:
                self._live.update(self._render(standing), refresh=True)
                self._heartbeat.heard()
            else:
                self._tell_ended(standing)

    def beat(self) -> None:
        """A sign of life: what the running trial is at, and for how long. Nothing is worked out anew but the times."""
        with self._drawing:
            if self._standing is None:
                return
            if self._live is None:
                standing = self._standing
                done = f"{standing.done}/{standing.planned} trials"
                self._print_line(f"{self._activity(standing)}; {done}; {self._outlook(standing)}")
            else:  # the display's last line, in place: as the display left the cursor, at the end of it
                width = self._console.width - 1  # it must not wrap, or the display would not find its first line again
                self._console.file.write(f"\r\x1b[2K{(_NOW + self._activity(self._standing))[:width]}")
                self._console.file.flush()

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

    def _tell_ended(self, standing: Standing) -> None:
        """One line for each trial that ended since the last call; those of earlier runs are not told again."""
        ended = [trial for trial in standing.trials if trial.state != "running"]
        if self._told is None:
            self._told = {trial.number for trial in ended}
        fresh = [trial for trial in ended if trial.number not in self._told]  # where several run at once, they end in any order
        for trial in fresh:
            told = f"trial {trial.number} ({standing.done}/{standing.planned}): {self.describe(trial)}"
            self._print_line(f"{told}; {self._outlook(standing)}" if trial is fresh[-1] else told)
        self._told.update(trial.number for trial in fresh)

    def _activity(self, standing: Standing) -> str:
        """What goes on, and for how long."""
        lasted = format_duration(max(0.0, self._clock() - self._moved))
        at = standing.running or "the next configuration is chosen"
        if standing.stage is not None:
            at = f"{standing.stage} ({standing.running})"
        return f"{at}, for {lasted}"

    def _remember_best(self, standing: Standing) -> None:
        key = (len(standing.trials), standing.done)
        if self._best[0] != key:
            self._best = (key, self.bests(standing.trials))

    def _outlook(self, standing: Standing) -> str:
        return "; ".join([f"best {self._best[1]}", *self._figures_of_study(standing)])

    def _figures_of_study(self, standing: Standing) -> list[str]:
        left, volume = standing.seconds_left, standing.hypervolume
        shown = [] if volume is None else [f"hypervolume {volume:.3g}"]
        if left is not None:
            shown.append(f"{format_duration(max(0.0, left - (self._clock() - self._since)))} left")
        return shown

    def _figure(self, objective: Objective, value: float, trial: Trial) -> str:
        name = objective.name.replace("_bytes", "").replace("_ms", "").replace("_mj", "")
        estimated = trial.outcome is not None and objective.name in trial.outcome.estimated
        told = f"{value + 0.0:+.2f} {objective.unit}" if objective.name == "quality" else format_value(value, objective.unit)
        return f"{name} {told}" + (" estimated" if estimated else "")

    def _print_line(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
        self._heartbeat.heard()

    def _render(self, standing: Standing) -> Group:
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(f"{standing.done}/{standing.planned} trials"),
            ProgressBar(total=standing.planned, completed=standing.done, width=32),
            Text("; ".join(self._figures_of_study(standing))),
        )
        lines = [Text(f"best so far  {self._best[1]}")]
        ended = [trial for trial in standing.trials if trial.state != "running"]
        if ended:
            lines.append(Text(f"last         {self.describe(ended[-1])}"))
        lines.append(Text(_NOW + self._activity(standing), no_wrap=True, overflow="ellipsis"))
        return Group(head, *lines)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        self._heartbeat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._heartbeat.stop()
        if self._live is not None:
            with suppress(OSError):  # the terminal may be closed, which is why it ends
                self._live.stop()
