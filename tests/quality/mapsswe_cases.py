"""Pairs of systems for MAPSSWE: constructed ones, each for one rule of the segmentation, and real ones.

`python -m tests.quality.mapsswe_cases` runs NIST's programs on all of them and writes what they print to `fixtures/sc_stats.json`.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from paredown.data import open_data
from tests.benchmarks.recognizer import recognize
from tests.quality.sctk import Printed, run_sc_stats

FIXTURES = Path(__file__).parent / "fixtures"
PRINTED = FIXTURES / "sc_stats.json"
GERMAN, ENGLISH = "bundled:tatoeba-en-de/test", "bundled:tatoeba-en/test"
SPECIAL = str.maketrans("", "", "(){}/@;*")
"""Characters that mean something in sctk's transcripts."""


@dataclass(frozen=True)
class Case:
    """What two systems said, and what was to be said."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    references: tuple[str, ...]


def read_system(name: str) -> tuple[str, ...]:
    """What a bundle of the bundled model made of the first utterances of its test split."""
    return tuple((FIXTURES / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n"))


def read_references() -> tuple[str, ...]:
    """The translations of these utterances."""
    return open_data(GERMAN).references("st")[: len(read_system("fp32"))]


def cases() -> tuple[Case, ...]:
    return (*_constructed(), *_random(), translated(), recognized())


def _case(name: str, *rows: tuple[str, str, str]) -> Case:
    """Rows of reference, first and second system."""
    references, first, second = zip(*rows, strict=True)
    return Case(name, first, second, references)


def _constructed() -> tuple[Case, ...]:
    """Words a to z; every case has segments of different sizes, so that there is a deviation."""
    plain = ("a b c d e f g h i j", "a b x d e f g h i j", "a b c d e f g y i j")
    return (
        _case("two right words end a segment, one does not", plain, ("a b c d e f", "x b c y e f", "a b c d e f"),
              ("a b c d e f", "x b y d e f", "a b c d e z"), ("k l m n", "k l m n", "k z m n")),
        _case("bursts of both systems", plain, ("a b c d e f g h", "a x y z e f g h", "a b x y e f g h"),
              ("a b c d e f g h", "a b f g h", "a b c c c d e f g h"), ("p q r s t", "q s t", "p q r s t u v")),
        _case("insertions at both ends", plain, ("a b c", "x a b c", "a b c y"), ("d e f", "d e f y z", "d e f"),
              ("g h", "g h", "z g h z z"), ("k", "k", "k l")),
        _case("insertions break the right words", plain, ("a b c d e f g h", "x b z c d e f g h", "a b c d e f y g h"),
              ("a b c d", "a x b x c d", "a b c d"), ("a b c d", "a b c d", "a b x c y d")),
        _case("repeated words", ("a a a a b b b b", "a a b b b b", "a a a a a b b b"), ("a b a b a b", "b a b a b a", "a b a b"),
              ("a b b a", "a b a", "b b a a"), ("c c c d d", "c d", "d d c c c")),
        _case("outputs that are missing", plain, ("a b c", "", "a b c"), ("d e", "d e", ""), ("f g h i j", "", ""), ("k", "l", "")),
        _case("the same difference everywhere", ("a b c", "a x c", "a b c"), ("d e f", "d y f", "d e f")),
        _case("letter case counts", ("Ab cd ef gh", "ab cd ef gh", "Ab cd ef GH"), plain, ("A", "a b c", "A")),
    )  # fmt: skip


def _random() -> tuple[Case, ...]:
    """Short sentences of few words, so that there are many alignments of equal cost; from few errors to more errors than words."""
    words = "abcdefg"
    references = tuple(" ".join(words[(line * step + step * step) % len(words)] for step in range(2 + line % 15)) for line in range(60))
    return tuple(
        Case(
            f"few words, {rate:.0%} errors",
            tuple(recognize(references, rate, seed=1)),
            tuple(recognize(references, 1.3 * rate, seed=2)),
            references,
        )
        for rate in (0.03, 0.15, 0.5)
    )


def translated() -> Case:
    """Two bundles: German words of translations, without the characters that sctk reads as commands."""
    first, second, references = (_plain(lines) for lines in (read_system("4-bits"), read_system("fp32"), read_references()))
    return Case("real: bundles of 4 bits and fp32 that translate, German words", first, second, references)


def recognized() -> Case:
    """Two bundles of the bundled ASR sibling, as it was when these lines were decoded."""
    first, second = (_plain(read_system(f"recognized-{name}")) for name in ("4-bits", "fp32"))
    references = _plain(open_data(ENGLISH).references("asr")[: len(first)])
    return Case("real: bundles of 4 bits and fp32 that recognize, English words", first, second, references)


def _plain(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(" ".join(line.translate(SPECIAL).split()) for line in lines)


def read_printed() -> dict[str, Printed]:
    """What NIST's programs printed, by the names of the cases."""
    rows = json.loads(PRINTED.read_text(encoding="utf-8"))
    return {name: Printed(**{**row, "percent_errors": tuple(row["percent_errors"])}) for name, row in rows.items()}


def main() -> None:
    found = {}
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            found[case.name] = asdict(run_sc_stats(Path(folder), case.first, case.second, case.references))
    PRINTED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
