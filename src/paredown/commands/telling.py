"""What `run` and `analyse` tell before the first trial: a line for each step and, on a terminal, how far it is."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Telling:
    """Lines on standard error; the bar of the current step disappears when it is done. A context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._has_terminal = True
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)

    def line(self, text: str) -> None:
        """A line; none on a terminal that was given away, whose display it would tear."""
        if self._has_terminal or not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)

    def progress(self, what: str, done: int, total: int) -> None:
        known = {task.description: task.id for task in self._bar.tasks}
        task = known[what] if what in known else self._bar.add_task(what)
        self._bar.update(task, completed=done, total=total, visible=done < total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Give the terminal to somebody else; a second call does nothing."""
        self._has_terminal = False
        self._bar.stop()
