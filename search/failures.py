"""What happens when an evaluation fails.

A failure of the configuration (refused by a gate, out of memory, no finite figure, a runtime error, a worker that died twice) is recorded
as a rejected trial with its reason, and the study goes on. A failure of what surrounds it (the user's input, a full disk, an installation,
Ctrl-C) is none of its fault: the trial is interrupted and tried again later, and the error comes out.

Where three trials of one run fail with one cause and no trial works between them, the cause is hardly the configurations': such a study
would burn its space overnight. It stops with that cause. Other failures may lie between the three: two faults at once hide nothing. A
trial that works shows that evaluations can work, so every count begins anew; a count never passes from one run to the next, so that
whoever mended the cause, or does not believe it, goes on with the same command.
"""

import errno
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import CancelledError

from paredown.errors import BadInput
from paredown.search.outcome import Rejected

MOST_FAILURES = 3  # with one cause, since a trial last worked
_REASON_LENGTH = 300
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NO_ROOM_TEXTS = tuple(os.strerror(number) for number in _NO_ROOM)  # libraries that write by themselves tell no number

# What differs between two failures of one cause, most specific first: files, names of layers, digests, numbers.
_VARYING = (
    (re.compile(r"(?<![\w.])~?/[^\s'\",;:()]+"), "PATH"),
    (re.compile(r"\b[A-Za-z_]\w*(?:\.\w+){2,}"), "NAME"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "#"),
    (re.compile(r"(?<![A-Za-z])[-+]?(?:0x[0-9a-f]+|\d[\d_,]*(?:\.\d+)?(?:e[-+]?\d+)?|\b(?:nan|inf)\b)", re.IGNORECASE), "#"),
)


class StudyStopped(BadInput):
    """The same failure again and again: the study stops with it. What it has is kept, and the same command goes on."""


class Failures:
    """The failures of one run, counted by cause since a trial last worked."""

    def __init__(self) -> None:
        self._trials: defaultdict[str, list[int]] = defaultdict(list)

    def note(self, error: BaseException, number: int) -> None:
        """Counts the failure of trial `number`, which must be recorded already. Raises StudyStopped at the third with one cause."""
        trials = self._trials[cause_of(error)]
        trials.append(number)
        if len(trials) >= MOST_FAILURES:
            named = f"{', '.join(map(str, trials[:-1]))} and {trials[-1]}"
            raise StudyStopped(
                f"{len(trials)} failures with one cause stop a study: trials {named} ended with: {reason_of(error)}; "
                "what was finished is kept, the same command goes on"
            )

    def worked(self) -> None:
        """A trial was evaluated: what failed before it was not the fault of all."""
        self._trials.clear()


def is_of_configuration(error: BaseException) -> bool:
    """Whether the configuration failed, rather than the user's input, the disk, the installation, or somebody who stopped it."""
    if isinstance(error, Rejected):
        return True
    if not isinstance(error, Exception) or isinstance(error, BadInput | ImportError | CancelledError):
        return False
    return not any(_is_of_surroundings(one) for one in _chain(error))


def reason_of(error: BaseException) -> str:
    """What is recorded as the reason: one line, without the exception's name where the evaluation chose the words itself."""
    text = " ".join(str(error).split())
    if not isinstance(error, Rejected):
        # However a user stopped it, by a key or a signal, it reads alike: see `Trial.was_stopped`.
        name = "KeyboardInterrupt" if isinstance(error, KeyboardInterrupt) else type(error).__name__
        text = f"{name}: {text}" if text else name
    return text if len(text) <= _REASON_LENGTH else text[: _REASON_LENGTH - 3] + "..."


def cause_of(error: BaseException) -> str:
    """The reason without what differs from trial to trial: equal for two failures exactly where they count as one cause."""
    text = reason_of(error)
    for pattern, sign in _VARYING:
        text = pattern.sub(sign, text)
    return text


def _is_of_surroundings(error: BaseException) -> bool:
    # Not of the surroundings: memory that the system refuses. It tells as an OSError where a process or a mapping could not be made.
    broken = isinstance(error, OSError) and error.errno != errno.ENOMEM
    return broken or isinstance(error, sqlite3.Error) or any(text in str(error) for text in _NO_ROOM_TEXTS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what was behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
