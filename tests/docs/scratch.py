"""A folder in which commands of README and docs run as they stand: each once, after those that make what it takes."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.docs.commands import Command
from tests.docs.places import Change


class Scratch:
    """`run` gives the exit code of a command line in `place`."""

    def __init__(self, place: Path, commands: Sequence[Command], changes: Sequence[Change], run: Callable[[str], int]) -> None:
        self._place, self._changes, self._run = place, changes, run
        self._makers = {made: command for command in reversed(commands) if (made := output(command.words)) is not None}
        self._codes: dict[str, int] = {}

    def execute(self, command: Command) -> int:
        """The exit code; what the command takes is made before. A second time nothing is run."""
        if command.text not in self._codes:
            self._codes[command.text] = -1  # itself is none of what it takes
            for word in command.words:
                maker = self._makers.get(word)
                if maker is not None and maker.text not in self._codes and output(command.words) != word:
                    self.execute(maker)
            self._codes[command.text] = self._run(self.line(command.text))
        return self._codes[command.text]

    def line(self, text: str) -> str:
        """The command with its substitutions."""
        for change in self._changes:
            text = re.sub(change.part, change.instead.replace("{place}", str(self._place)), text)
        return text


def output(words: Sequence[str]) -> str | None:
    """What a command makes for others: `-o`, or the folder of the study that it runs."""
    if "-o" in words:
        return words[words.index("-o") + 1]
    if words[:2] == ["paredown", "run"] and "--dry-run" not in words and words[2].endswith(".toml"):
        return f"runs/{Path(words[2]).stem}"
    return None


def split(line: str) -> list[str]:
    """The arguments behind `paredown`."""
    return shlex.split(line)[1:]
