"""Figure 3: global pruning as curves, and what drives its latency."""

from collections.abc import Mapping

from scipy.stats import spearmanr

from studies.on_device_st.drawing import Panel, Series, draw
from studies.on_device_st.global_rows import SPARSE_INT8, global_rows
from studies.on_device_st.judging import Claim, claim, figure, judge
from studies.on_device_st.paper import NAME, TABLE_3
from studies.on_device_st.rows import BLEU, CAPS, FIRST, FIXED, RATIO, SIZE, TOKENS
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result, Row

COLUMNS = (FIRST, BLEU, RATIO, FIXED, TOKENS, CAPS)
RELATED = 0.8  # Spearman, from which on one thing is said to drive the other
ALIKE = 0.1  # at equally many tokens


def make(bench: Bench) -> Result:
    """The three plots of the paper, each with its figures beside ours, and the latency at a fixed number of tokens."""
    rows = global_rows(bench)
    verdict, conclusion = judge(claims(rows))
    drawn = draw(bench.output / "figure_3.png", "Figure 3: global L1 pruning", _panels(rows))
    notes = (
        "The rows are Table 3's. In the paper latency goes from 1.43 s at 0.33 to 0.82 s at 0.4 and 6.37 s at 0.5.",
        f"Output counts as what drives latency where Spearman's correlation is {RELATED:g} or more and no row is more than "
        f"{100 * ALIKE:.0f} % from the original at equally many tokens.",
    )
    title = "Global L1 pruning: quality, latency and size"
    return Result(NAME, "Figure 3", title, COLUMNS, tuple(rows.values()), verdict, conclusion, notes, figure=drawn)


def claims(rows: Mapping[float, Row]) -> list[Claim]:
    """That latency goes with tokens, and not with zeros."""
    run = [row for row in rows.values() if not row.not_run]
    times, tokens, fixed = ([figure(row, column) for row in run] for column in (RATIO.name, TOKENS.name, FIXED.name))
    related = float(spearmanr(times, tokens).statistic) if len(set(tokens)) > 1 and len(set(times)) > 1 else 0.0
    spread = [value for row, value in zip(run, fixed, strict=True) if row is not rows[0.0]]
    alike = bool(spread) and all(abs(value - 1.0) <= ALIKE for value in spread)
    range_of = f"{min(spread):.2f} to {max(spread):.2f}" if spread else "none"
    return [
        claim(
            "output that does not stop drives latency",
            list(rows.values()),
            f"Spearman {related:.2f} between latency and tokens over {len(run)} sparsities, {range_of} times at equally many tokens",
            related >= RELATED and alike,
        )
    ]


def _panels(rows: Mapping[float, Row]) -> tuple[Panel, ...]:
    def curve(label: str, column: str) -> Series:
        return Series(label, tuple((share, figure(row, column)) for share, row in rows.items()))

    paper = {column: tuple((share, getattr(row, column)) for share, row in TABLE_3.items()) for column in ("bleu", "latency_s", "size_mib")}
    scale = TABLE_3[0.0]
    ratios = tuple((share, value / scale.latency_s) for share, value in paper["latency_s"])
    sizes = tuple((share, value / (scale.size_mib or 1.0)) for share, value in paper["size_mib"])
    whole = rows[0.0]
    own = {column: figure(whole, column) for column in (SIZE.name, SPARSE_INT8.name)}
    relative = [
        Series(label, tuple((share, figure(row, column) / own[column]) for share, row in rows.items()))
        for label, column in (("here, torch's sparse form", SIZE.name), ("here, int8 bundle to itself dense", SPARSE_INT8.name))
    ]
    quality = (
        Series("paper, first utterance", paper["bleu"]),
        curve("here, first utterance", FIRST.name),
        curve("here, corpus", BLEU.name),
    )
    latency = (Series("paper", ratios), curve("here", RATIO.name), curve("here, equally many tokens", FIXED.name))
    return (
        Panel("sparsity", "BLEU", quality),
        Panel("sparsity", "latency to dense", latency),
        Panel("sparsity", "size to dense", (Series("paper", sizes), *relative)),
    )
