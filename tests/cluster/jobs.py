"""What tests send into a cluster; nodes find these functions by name."""

import os
import time
from pathlib import Path

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.search.outcome import Outcome, Rejected, Stopped

PARTIAL = Outcome((("size_bytes", Measurement(7.0, "bytes")),))


def rest(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def read(file: Path, folder: Path) -> tuple[bytes, dict[str, bytes], str]:
    """Contents of a file and a folder as they arrived, and the number of BLAS threads that a BLAS would take."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return file.read_bytes(), found, os.environ["OPENBLAS_NUM_THREADS"]


def refuse(kind: str) -> None:
    if kind == "disk":
        raise OSError(28, "No space left on device")
    if kind == "stopped":
        raise Stopped("the budget was missed", PARTIAL)
    raise BadInput("a rule is broken, got 7") if kind == "input" else Rejected("parity was missed")


def die_until(mark: Path, times: int) -> int:
    """Kills its own process until `mark`, a file that all nodes of this machine see, counts so many deaths."""
    deaths = len(mark.read_text()) if mark.exists() else 0
    if deaths < times:
        mark.write_text("x" * (deaths + 1))
        os.kill(os.getpid(), 9)
    return deaths
