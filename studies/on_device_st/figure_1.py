"""Figure 1: the first method, a longer hop: quality over work and over latency."""

import itertools

from studies.on_device_st.drawing import Panel, Series, draw
from studies.on_device_st.first_utterance import told_of_sentences
from studies.on_device_st.hop_rows import hop_configurations, hop_rows
from studies.on_device_st.judging import ACCEPTED, Claim, claim, figure, interval, judge, told
from studies.on_device_st.paper import NAME
from studies.on_device_st.rows import BLEU, CAPS, CHRF, FIRST, FIXED, LATENCY, LOSS, RATIO, TOKENS, WORK
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result, Row

COLUMNS = (FIRST, LATENCY, RATIO, FIXED, WORK, TOKENS, CAPS, BLEU, LOSS)


def make(bench: Bench) -> Result:
    """Figure 1 from the rows of Table 2 at full precision."""
    rows = hop_rows(bench)
    verdict, conclusion = judge(claims(rows))
    title = "Longer hop: quality, work and latency"
    drawn = draw(bench.output / "figure_1.png", "Figure 1: longer hop", panels({"hop": rows}))
    return Result(NAME, "Figure 1", title, COLUMNS, rows, verdict, conclusion, _notes(bench, rows), figure=drawn)


def panels(series: dict[str, tuple[Row, ...]]) -> tuple[Panel, ...]:
    """chrF over work, chrF over latency, latency over work: the paper's three plots."""
    pairs = ((WORK.name, CHRF.name), (LATENCY.name, CHRF.name), (WORK.name, LATENCY.name))
    return tuple(Panel(x, y, tuple(_series(label, rows, x, y) for label, rows in series.items())) for x, y in pairs)


def _series(label: str, rows: tuple[Row, ...], x: str, y: str) -> Series:
    return Series(label, tuple((figure(row, x), figure(row, y)) for row in rows), tuple(row.name for row in rows))


def claims(rows: tuple[Row, ...]) -> list[Claim]:
    """`rows`: original and the three longer hops, in order."""
    ratios = [figure(row, RATIO.name) for row in rows]
    falls = all(later < earlier for earlier, later in itertools.pairwise(ratios)) and interval(rows[-1], RATIO.name)[1] < 1.0
    losses = [figure(row, LOSS.name) for row in rows]
    one_way = all(later < earlier for earlier, later in itertools.pairwise(losses)) and interval(rows[-1], LOSS.name)[1] < 0.0
    kept = [figure(row, BLEU.name) / max(figure(rows[0], BLEU.name), 1e-9) for row in rows[1:]]
    shares = ", ".join(f"{row.name} {100 * (share - 1):+.0f} %" for row, share in zip(rows[1:], kept, strict=True))
    by_hop = ", ".join(told(row, RATIO.name) for row in rows[1:])
    return [
        claim("latency falls with every longer hop", rows, f"times the original's {by_hop}", falls),
        claim("quality follows no clear trend", rows, "chrF " + ", ".join(told(row, LOSS.name, 1, True) for row in rows[1:]), not one_way),
        claim(
            f"what is lost stays acceptable (in 5.4: {100 * ACCEPTED:.0f} % of BLEU)",
            rows,
            f"corpus BLEU {shares}",
            all(share >= 1.0 - ACCEPTED for share in kept),
        ),
    ]


def _notes(bench: Bench, rows: tuple[Row, ...]) -> tuple[str, ...]:
    configurations = hop_configurations(bench, bench.whole)
    run = [row for row in rows if not row.not_run]
    firsts = [bench.texts(configurations[row.name])[0] for row in run]
    told_first = told_of_sentences(firsts, [figure(row, FIRST.name) for row in run])
    fixed = ", ".join(told(row, FIXED.name) for row in rows[1:])
    return (
        "The paper's figures are those that Table 2 prints for the same runs; it prints no FLOPs. Its text (5.1) has input_size1 slower "
        "than the original, its Table 2 faster (1.24 and 1.41 s).",
        f"Its BLEU is that of the first utterance alone, which is why 31.5, 43.5 and 42.7 follow no trend; here {told_first}.",
        f"At equally many tokens latency is {fixed} times the original's: the rest goes with the number of tokens, the "
        "decoder's steps. The paper's ratios are worked out from its seconds.",
    )
