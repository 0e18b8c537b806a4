"""What a benchmark must show, beside what it showed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.interleave import Ratio, Timed, ratio


@dataclass(frozen=True)
class Bar:
    """A measured figure and its limit. A figure that was not measured has none, and a reason."""

    what: str
    figure: Ratio | float | None
    limit: float
    at_least: bool = True
    unit: str = "x"
    reason: str = ""

    @property
    def verdict(self) -> str:
        """met, missed or not run."""
        if self.figure is None:
            return f"not run ({self.reason})"
        value = self.figure.value if isinstance(self.figure, Ratio) else self.figure
        return "met" if (value >= self.limit if self.at_least else value <= self.limit) else "missed"

    def __str__(self) -> str:
        figure = "-" if self.figure is None else str(self.figure) if isinstance(self.figure, Ratio) else f"{self.figure:.4g}"
        bound = "at least" if self.at_least else "at most"
        return f"  {self.what:62s} {figure:>24s} {self.unit:2s} {bound} {self.limit:g}: {self.verdict}"


def print_bars(title: str, bars: Iterable[Bar]) -> None:
    """One line a bar."""
    print(f"\n{title}")
    for bar in bars:
        print(bar)


def print_timings(title: str, timed: Mapping[str, Timed], reference: str, same: Mapping[str, str]) -> None:
    """Medians of the stages in milliseconds, how many times as fast as the reference, and whether the tokens are its own."""
    print(f"\n{title}")
    print(f"  {'':28s}{'features':>9s}{'encoder':>9s}{'search':>9s}{'total':>9s} ms   {reference} / this             tokens")
    for name, found in timed.items():
        stages = "".join(f"{found.median_ms(stage):9.1f}" for stage in ("features_ms", "encoder_ms", "search_ms", "total_ms"))
        faster = "" if name == reference else str(ratio(timed[reference].samples["total_ms"], found.samples["total_ms"]))
        print(f"  {name:28s}{stages}      {faster:24s} {same.get(name, '')}")


def compare_ids(timed: Mapping[str, Timed], reference: str, dropped: Sequence[int]) -> dict[str, str]:
    """Of every candidate whether it decoded the reference's tokens, up to those in `dropped`."""
    expected = [[token for token in ids if token not in dropped] for ids in timed[reference].ids]
    found = {}
    for name, candidate in timed.items():
        ids = [[token for token in own if token not in dropped] for own in candidate.ids]
        equal = sum(own == other for own, other in zip(ids, expected, strict=True))
        if len(ids) > 1:
            found[name] = f"identical in {equal} of {len(ids)}"
        else:
            shared = sum(one == other for one, other in zip(ids[0], expected[0], strict=False))
            found[name] = "identical" if equal else f"different ({shared} of {len(expected[0])} in place)"
    return found
