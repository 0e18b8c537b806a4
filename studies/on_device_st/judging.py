"""What the paper concludes, piece by piece, against what was measured: a verdict and one sentence, both worked out from the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from studies.reproduction.result import Row, Verdict

# What the paper accepts as a loss, 5.4: a quarter of BLEU, as it counts it.
ACCEPTED = 0.25
# What counts as no loss here: the lower end of the paired interval is not below this, in chrF.
MARGIN = 1.0


@dataclass(frozen=True)
class Claim:
    """`says`: of the paper, after "that"; `found`: the figures that decide; `holds`: None where nothing was measured."""

    says: str
    found: str
    holds: bool | None


def judge(claims: Sequence[Claim]) -> tuple[Verdict, str]:
    """Holds if all claims that could be measured do, holds in part if some do."""
    known = [claim.holds for claim in claims if claim.holds is not None]
    verdict: Verdict = "not run" if not known else "holds" if all(known) else "holds in part" if any(known) else "does not hold"
    words = {True: "holds", False: "does not hold", None: "not run"}
    parts = [f"that {claim.says} ({words[claim.holds]}: {claim.found})" for claim in claims]
    return verdict, f"The paper concludes {', and '.join(parts)}."


def claim(says: str, rows: Sequence[Row], found: str, holds: bool) -> Claim:
    """A claim over rows; not run where one of them was not."""
    missing = [row for row in rows if row.not_run]
    return Claim(says, missing[0].name, None) if missing else Claim(says, found, holds)


def told(row: Row, column: str, digits: int = 2, sign: bool = False) -> str:
    """A figure of ours with its interval, "not run" where there is none."""
    value = row.ours.get(column)
    if not isinstance(value, int | float):
        return "not run" if value is None else value
    around = row.intervals.get(column)
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{value:{form}}" + (f" [{around[0]:.{digits}f}, {around[1]:.{digits}f}]" if around else "")


def figure(row: Row, column: str, missing: float = float("nan")) -> float:
    """A figure of ours as a number; NaN, of which nothing is true, where there is none."""
    value = row.ours.get(column)
    return float(value) if isinstance(value, int | float) else missing


def interval(row: Row, column: str) -> tuple[float, float]:
    """Of a figure of ours; the figure itself where it has no spread."""
    value = figure(row, column)
    return row.intervals.get(column, (value, value))
