"""Words of a hypothesis set against words of its reference as NIST's sclite does: a substitution costs 4, an insertion or a deletion 3.

With these costs an error of two words is rather two substitutions than an insertion, a match and a deletion. Where costs are equal
sclite takes a match or substitution, then an insertion, then a deletion (sctk, `src/sclite/net_dp.c`); so does this, because segments
depend on it.
"""

from collections.abc import Sequence
from typing import Literal

Evaluation = Literal["correct", "substituted", "inserted", "deleted"]
SUBSTITUTION, INSERTION, DELETION = 4, 3, 3


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Evaluation, ...]:
    """What became of every word, in order: "inserted" for a word of the hypothesis alone, the others for each word of the reference."""
    rows, columns = len(reference) + 1, len(hypothesis) + 1
    above = [INSERTION * column for column in range(columns)]
    steps: list[list[Evaluation]] = [["inserted"] * columns]
    for row in range(1, rows):
        word = reference[row - 1]
        costs = [DELETION * row]
        step: list[Evaluation] = ["deleted"]
        for column in range(1, columns):
            same = word == hypothesis[column - 1]
            across = above[column - 1] + (0 if same else SUBSTITUTION)
            down, along = above[column] + DELETION, costs[column - 1] + INSERTION
            if across <= down and across <= along:
                costs.append(across)
                step.append("correct" if same else "substituted")
            else:
                costs.append(min(down, along))
                step.append("deleted" if down < along else "inserted")
        above = costs
        steps.append(step)
    return _walk_back(steps, rows - 1, columns - 1)


def _walk_back(steps: list[list[Evaluation]], row: int, column: int) -> tuple[Evaluation, ...]:
    path: list[Evaluation] = []
    while row or column:
        found: Evaluation = steps[row][column]
        path.append(found)
        row -= found != "inserted"
        column -= found != "deleted"
    return tuple(reversed(path))
