"""Two systems beside each other: what each test says, how long they take, and the utterances that changed most; in 80 columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from paredown.report.table import table

if TYPE_CHECKING:
    from paredown.profilers.latency import Latency
    from paredown.quality import NonInferiority, Significance

WIDTH = 80


@dataclass(frozen=True)
class Change:
    """One utterance: its reference, what both systems said, and points of the corpus score that the change is worth, above 0 for more."""

    id: str
    reference: str
    a: str
    b: str
    change: float


@dataclass(frozen=True)
class Comparison:
    """System A against system B. `unit`: the metric as it is written behind a figure; `values`: scores of A and of B.

    `latency`: of A, beside B; None where it was not timed. `changed`: the utterances that changed most.
    """

    names: tuple[str, str]
    unit: str
    values: tuple[float, float]
    signature: str
    tests: tuple["Significance", ...]
    dagger: "Significance"
    judgement: "NonInferiority | None"
    latency: tuple["Latency", "Latency"] | None
    changed: tuple[Change, ...]


def show_comparison(screen: Console, found: Comparison) -> None:
    """Prints everything, in the order in which it is to be believed."""
    a, b = found.names
    screen.print(Text(f"A = {a}\nB = {b}"), soft_wrap=True)
    screen.print(_test_table(found))
    for line in (*_judgement_lines(found), dagger_line(found.dagger)):
        screen.print(Text(line), width=WIDTH)
    screen.print(Text(found.signature, "dim"), soft_wrap=True)
    if found.latency is not None:
        screen.print(_latency_table(*found.latency))
    if found.changed:
        screen.print(_change_table(found.changed, found.unit))


def _test_table(found: Comparison) -> Table:
    title = f"{found.unit}: A {found.values[0]:.2f}, B {found.values[1]:.2f}; {found.dagger.utterances} utterances"
    columns = ("test", "A - B", "95 % interval", "p", "visible from")
    rows = (
        (test.test.rpartition(" ")[2], f"{test.effect:+.2f}", f"{test.ci95[0]:+.2f} to {test.ci95[1]:+.2f}", p_text(test.p_value),
         f"{test.smallest_visible:.2f}")
        for test in found.tests
    )  # fmt: skip
    return table(title, columns, rows)


def p_text(p_value: float) -> str:
    """A p-value with as many digits as it has."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _judgement_lines(found: Comparison) -> tuple[str, ...]:
    judged = found.judgement
    if judged is None:
        return ()
    verdict = "A is not worse than B by the margin" if judged.passed else "not shown"
    relative = "" if judged.relative_loss is None else f" ({judged.relative_loss:+.1f} % of B)"
    return (
        f"non-inferiority, margin {judged.margin:g} {found.unit}: {verdict}",
        f"  loss {judged.loss:+.2f}{relative}, one-sided 95 % bound {judged.upper95:+.2f} (bootstrap-t, n = {judged.utterances}); "
        f"no margin under {judged.smallest_visible:.2f} could be passed here without a gain",
    )


def dagger_line(test: "Significance") -> str:
    """The papers' mark."""
    found = "† no significant difference" if test.dagger else "significant difference, no dagger"
    return (
        f"{found} ({test.test}, alpha = 0.05, p = {p_text(test.p_value)}, n = {test.utterances}, visible from {test.smallest_visible:.2f})"
    )


def _latency_table(a: "Latency", b: "Latency") -> Table:
    rows = []
    for name, latency in (("A", a), ("B", b)):
        low, high = latency.free.ci95_ms
        ratio = f"{latency.free.ratio:.3f}" if name == "A" else ""
        bounds = f"{latency.free.ratio_ci95[0]:.3f} to {latency.free.ratio_ci95[1]:.3f}" if name == "A" else ""
        rows.append((name, f"{latency.free.median_ms:.1f}", f"{low:.1f} to {high:.1f}", f"{latency.free.tokens:.1f}", ratio, bounds))
    caption = f"{a.free.runs} runs each, interleaved"
    if a.fixed is not None:
        low, high = a.fixed.ratio_ci95
        caption += f"; at {a.fixed_tokens} tokens x of B {a.fixed.ratio:.3f} ({low:.3f} to {high:.3f})"
    return table("latency", ("", "median ms", "95 % interval", "tokens", "x of B", "95 % interval"), rows, caption)


def _change_table(changed: Sequence[Change], unit: str) -> Table:
    """Texts are folded into three columns beside each other."""
    result = Table(title=Text(f"changed most (points of corpus {unit})", "table.title"), title_justify="left", width=WIDTH, show_lines=True)
    result.add_column(Text("change"), justify="right", no_wrap=True)
    for name in ("reference", "A", "B"):
        result.add_column(Text(name), ratio=1, overflow="fold")
    for row in changed:
        result.add_row(Text(f"{row.change:+.3f}"), Text(row.reference), Text(row.a), Text(row.b))
    return result
