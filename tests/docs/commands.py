"""Every command that README and docs tell: fenced lines, and inline code that is a whole command."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paredown.cli import parser
from paredown.errors import BadInput

ROOT = Path(__file__).parents[2]
SHELLS = ("", "bash", "console", "sh")  # README's fences have no language
STARTS = ("paredown ", "make ", "python -m ")
OTHERS = ("pip ", "ray ", "RAY_")  # in fences alone
_FENCE = re.compile(r"^(?P<marks>`{3,}|~{3,}|:{3,})\s*(?P<language>[^\s`]*)")
_STANDS_FOR = re.compile(r"\[|…|\.\.\.|\b(STUDY|MODEL|BUNDLE|COMMAND)\b")  # in inline code: how a command is formed
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Fence:
    """One fenced block: where its text begins, and what it is in."""

    page: Path
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command as told; `page` and `line` say where. Equal texts are one command."""

    text: str
    page: Path
    line: int

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def is_ours(self) -> bool:
        return self.text.startswith("paredown ")

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


@cache
def pages() -> tuple[Path, ...]:
    """README, the tutorial and everything else in docs/, in the order of reading."""
    docs = ROOT / "docs"
    return (ROOT / "README.md", docs / "index.md", docs / "tutorial.md", *sorted(docs.glob("*/**/*.md")))


def fences(page: Path) -> Iterator[Fence]:
    """The fenced blocks of a page."""
    marks, language, start, kept = "", "", 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opening = _FENCE.match(line)
        if marks:
            if opening and opening["marks"].startswith(marks) and not opening["language"]:
                yield Fence(page, start, language, "\n".join(kept))
                marks, kept = "", []
            else:
                kept.append(line)
        elif opening:
            marks, language, start = opening["marks"], opening["language"], number + 1
    assert not marks, f"{page} ends inside a fence"


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines outside fences."""
    inside = {line for fence in fences(page) for line in range(fence.line - 1, fence.line + fence.text.count("\n") + 2)}
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    return ((number, line) for number, line in lines if number not in inside)


def fenced_commands(page: Path) -> Iterator[Command]:
    """The command lines of shell fences; of `console` those behind a prompt. A line that ends in a backslash goes on."""
    for fence in fences(page):
        if fence.language not in SHELLS:
            continue
        joined = fence.text.replace("\\\n", " " * 2)  # keeps the numbers of lines nearly; a command is told by its first
        for offset, line in enumerate(joined.splitlines()):
            text = line.removeprefix("$ ") if fence.language == "console" else line
            if fence.language == "console" and text == line:
                continue  # output
            text = " ".join(text.partition(" #")[0].split())
            if text.startswith((*STARTS, *OTHERS)):
                yield Command(text, page, fence.line + offset)


def inline_code(page: Path) -> Iterator[Command]:
    """Inline code that begins as a command does; it may be a whole one or its beginning."""
    for number, line in prose(page):
        for found in _INLINE.finditer(line):
            if found[1].startswith(STARTS):
                yield Command(" ".join(found[1].split()), page, number)


def is_whole(command: Command) -> bool:
    """Whether inline code can be run as it stands: `paredown finish` and `paredown finish STUDY` are names, not commands."""
    if _STANDS_FOR.search(command.text):
        return False
    if not command.is_ours:
        return True
    try:
        parser().parse_args(command.words[1:])
    except BadInput:
        return False
    return True


@cache
def commands() -> tuple[Command, ...]:
    """Every command once, where it is told first, in the order of reading."""
    found: dict[str, Command] = {}
    for page in pages():
        for command in (*fenced_commands(page), *filter(is_whole, inline_code(page))):
            found.setdefault(command.text, command)
    return tuple(found.values())
