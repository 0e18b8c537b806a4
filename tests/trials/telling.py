"""A teller for tests that nobody listens to."""


class Quiet:
    """Remembers the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Nothing to show."""
