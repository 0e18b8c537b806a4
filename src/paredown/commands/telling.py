"""What `run` and `analyse` tell before the first trial: a line for each step and, on a terminal, how far it is.

Within 10 s there is always a sign of life: a long step that says nothing is named again, with how far it is and how long it has lasted.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from paredown.search.heartbeat import Heartbeat
from paredown.search.units import format_duration

PAUSE_S = 9.5  # the next sign of life lies within 10 s


class Telling:
    """Lines on standard error; the bar of the current step disappears when it is done. A context manager."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._has_terminal = True
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._clock = clock
        self._step, self._began = "it begins", clock()
        self._far: str | None = None  # how far the step is
        self._heartbeat = Heartbeat(self.beat, PAUSE_S)

    def line(self, text: str) -> None:
        """A line; none on a terminal that was given away, whose display it would tear."""
        self._step, self._began, self._far = text.strip(), self._clock(), None
        self._print(text)

    def progress(self, what: str, done: int, total: int) -> None:
        known = {task.description: task.id for task in self._bar.tasks}
        task = known[what] if what in known else self._bar.add_task(what)
        self._bar.update(task, completed=done, total=total, visible=done < total)
        self._far = f"{what}, {done} of {total}" if done < total else None

    def beat(self) -> None:
        """A sign of life, unless a bar shows one."""
        if self._far is not None and self._console.is_terminal:
            return
        self._print(f"  {self._far or self._step}, for {format_duration(self._clock() - self._began)}")

    def _print(self, text: str) -> None:
        if self._has_terminal or not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
            self._heartbeat.heard()

    def __enter__(self) -> Self:
        self._bar.start()
        self._heartbeat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Give the terminal to somebody else; a second call does nothing."""
        self._has_terminal = False
        self._heartbeat.stop()
        self._bar.stop()
