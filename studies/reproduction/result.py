"""One table or figure of a paper made again: its figures beside ours, and whether its conclusion holds here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from paredown.whole_file import whole_file

Verdict = Literal["holds", "holds in part", "does not hold", "not run"]
Figure = float | str


@dataclass(frozen=True)
class Column:
    """`name`: heading with its unit; `digits` after the point; `sign`: whether a plus is shown; `ours_only`: the paper has none."""

    name: str
    digits: int = 1
    sign: bool = False
    ours_only: bool = False


@dataclass(frozen=True)
class Row:
    """One row: `paper` and `ours` by the column's name, `intervals` (95 %) of ours; `not_run`: why there are no figures of ours.

    `seconds`: what the row took when it was made.
    """

    name: str
    paper: Mapping[str, Figure] = field(default_factory=dict)
    ours: Mapping[str, Figure] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    not_run: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Result:
    """A table with its verdict.

    `place`: "Table 2"; `conclusion`: one sentence that says what the paper concludes and what was found; `notes`: readings and departures.
    `settings`: model, split, utterances, seeds; `machine`, `versions`: where figures were made; `figure`: file of the drawing beside it.
    """

    study: str
    place: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    verdict: Verdict
    conclusion: str
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Figure] = field(default_factory=dict)
    machine: str = ""
    versions: str = ""
    seconds: float = 0.0
    figure: str | None = None

    @property
    def stem(self) -> str:
        """Name of its files: `table_2`, `figure_4`."""
        return self.place.lower().replace(" ", "_").replace(".", "")

    def save(self, folder: Path) -> Path:
        """Writes STEM.json, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.json"
        with whole_file(path) as fresh:
            fresh.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        value["columns"] = tuple(Column(**column) for column in value["columns"])
        rows = ({**row, "intervals": {name: (low, high) for name, (low, high) in row["intervals"].items()}} for row in value["rows"])
        return cls(**{**value, "rows": tuple(Row(**row) for row in rows), "notes": tuple(value["notes"])})
