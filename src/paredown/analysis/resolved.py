"""What solving again leaves: the table that gives the best allocation measured, and what each attempt predicted and showed."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paredown.analysis.array_file import load_array, save_array

_KIND = "corrected sensitivities"


@dataclass(frozen=True)
class Attempt:
    """An allocation, by the width of every layer: the divergence its table `predicted` for it, and the one `measured` of it whole."""

    how: str
    predicted: float
    measured: float
    bits: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Resolved:
    """The solver's choice at an `average`, corrected by measuring it.

    `table` [layers, widths] belongs to `paths` and `widths`: solved by it, the average gives the best of the `attempts`, of which the
    first is what the additive table gives. `subset` says which utterances were used, `seconds` how long it took.
    """

    average: float
    paths: tuple[str, ...]
    widths: tuple[int, ...]
    table: NDArray[np.float64]
    attempts: tuple[Attempt, ...]
    subset: str
    seconds: float

    def __post_init__(self) -> None:
        if self.table.shape != (len(self.paths), len(self.widths)) or not (np.isfinite(self.table).all() and (self.table >= 0).all()):
            expected = (len(self.paths), len(self.widths))
            raise ValueError(f"a corrected table must be {expected} [layers, widths], finite and not negative, got {self.table.shape}")
        if not self.attempts:
            raise ValueError("what was solved again must hold an attempt, got none")
        for attempt in self.attempts:
            if len(attempt.bits) != len(self.paths):
                raise ValueError(f"an attempt must name the width of {len(self.paths)} layers, got {len(attempt.bits)}")

    @property
    def best(self) -> Attempt:
        """The attempt of least measured divergence, the earliest of equal ones."""
        return min(self.attempts, key=lambda attempt: attempt.measured)

    def save(self, path: Path) -> None:
        """Write one npz file, atomically; its folder must exist."""
        description = {name: value for name, value in asdict(self).items() if name != "table"}
        save_array(path, _KIND, self.table, description)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote; raises ValueError if the file is damaged or of another kind, FileNotFoundError if there is none."""
        table, found = load_array(path, _KIND)
        try:
            attempts = tuple(Attempt(each["how"], each["predicted"], each["measured"], tuple(each["bits"])) for each in found["attempts"])
            return cls(found["average"], tuple(found["paths"]), tuple(found["widths"]), table, attempts, found["subset"], found["seconds"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"a file of {_KIND} must be as paredown wrote it, {path} is not: {error}") from error
