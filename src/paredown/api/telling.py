"""Who hears of progress: any function that takes a line, such as `print`; by default nobody."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from paredown.trials.teller import QUIET, Teller

if TYPE_CHECKING:
    from paredown.search.loop import Standing

Tell = Callable[[str], object]


class Lines:
    """A teller that gives every step to a function, as a line of text; how far a step is, is not told."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def line(self, text: str) -> None:
        self._tell(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Lines that cannot be taken back say nothing of how far a step is."""


def teller(tell: Tell | None) -> Teller:
    """What the rest of paredown tells its steps to."""
    return QUIET if tell is None else Lines(tell)


class TrialLines:
    """A line for each trial that ends: what it was, how it ended and how many there are. Handed to a study as its `watch`."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: set[int] | None = None  # None before the first call: what was there then is no news

    def __call__(self, standing: "Standing") -> None:
        ended = {trial.number: trial for trial in standing.trials if trial.is_finished}
        for number in sorted(set(ended) - (set(ended) if self._told is None else self._told)):
            trial = ended[number]
            reason = f", {trial.reason}" if trial.reason else ""
            self._tell(f"trial {number} ({trial.label}): {trial.state}{reason}; {standing.done} of {standing.planned} trials")
        self._told = set(ended)
