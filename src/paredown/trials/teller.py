"""Who tells the user what goes on while nothing is printed yet."""

from typing import Protocol


class Teller(Protocol):
    """A line for a step, and how far a long one is."""

    def line(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


class Quiet:
    """Tells nobody."""

    def line(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


QUIET: Teller = Quiet()
