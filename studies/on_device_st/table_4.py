"""Table 4: the paper's pruning strategy."""

from collections.abc import Mapping, Sequence

from paredown.space.configuration import Configuration
from studies.on_device_st.judging import ACCEPTED, Claim, claim, figure, judge, told
from studies.on_device_st.paper import NAME, ORIGINAL, TABLE_4, TABLE_4_BLEU
from studies.on_device_st.rows import BLEU, FIRST, FIXED, LOSS, measured
from studies.on_device_st.strategies import one_group, table_4, weights_of_groups
from studies.on_device_st.timing import time_together
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

SPARSITY = Column("sparsity", 2)
GROUP = Column("group", ours_only=True)
PART = Column("of all weights, %", ours_only=True)
ALONE = Column("chrF, alone (analysis)", sign=True, ours_only=True)
COLUMNS = (SPARSITY, GROUP, PART, ALONE, FIRST, BLEU, LOSS, FIXED)
WHOLE, ALL = "original", "all together, on test"
INT8 = "all together, int8"


def make(bench: Bench) -> Result:
    """Each component at its share alone, on analysis as Figure 4, and all of them together on test."""
    weights = weights_of_groups(bench)
    parts = tuple(_part(bench, component, weights) for component in TABLE_4)
    timed = time_together(bench, strategies(bench))
    whole = measured(bench, WHOLE, bench.whole, timed[WHOLE], {FIRST.name: ORIGINAL.bleu})
    pruned = measured(bench, ALL, strategies(bench)[ALL], timed[ALL], {FIRST.name: TABLE_4_BLEU})
    verdict, conclusion = judge(claims(whole, pruned, parts))
    zeros = sum(share * weights.get(group, 0) for group, share in TABLE_4.values()) / sum(weights.values())
    notes = (
        "Its rows Encoder_embed, Encoder_self_attn and Encoder_cross_attn can only be the decoder's: the encoder has no embedding and no "
        "cross-attention, and its self-attention is Encoder_attn. So are they read here.",
        f"It sets {100 * zeros:.0f} % of the weights that pruning ranks to zero. Of their use for time (4.6 expects ONNX to find "
        f"some): at equally many tokens the pruned bundle takes {told(pruned, FIXED.name)} times the original's.",
        "Losses of single components are those on analysis; only the strategy as a whole, which the paper fixed, is scored on test.",
    )
    return Result(NAME, "Table 4", "Component-wise pruning", COLUMNS, (*parts, whole, pruned), verdict, conclusion, notes)


def strategies(bench: Bench) -> dict[str, Configuration]:
    """Original, pruned, and pruned at int8, which Table 5 takes: timed in one session."""
    return {WHOLE: bench.whole, ALL: table_4(bench, bench.whole), INT8: table_4(bench, bench.uniform(8))}


def _part(bench: Bench, component: str, weights: Mapping[str, int]) -> Row:
    group, share = TABLE_4[component]
    paper: dict[str, Figure] = {SPARSITY.name: share}
    if not weights.get(group):
        return Row(component, paper, not_run=f"the model has no {group}")
    alone = bench.beside("chrf", one_group(bench.whole, group, share), bench.whole, bench.analysis)
    ours: dict[str, Figure] = {SPARSITY.name: share, GROUP.name: group, PART.name: 100.0 * weights[group] / sum(weights.values())}
    return Row(component, paper, ours | {ALONE.name: alone.value}, {ALONE.name: alone.ci95})


def claims(whole: Row, pruned: Row, parts: Sequence[Row]) -> list[Claim]:
    """42 of 56.6 is a quarter of BLEU lost; nothing is said of a strategy of which the model has not all parts."""
    kept = figure(pruned, BLEU.name) / max(figure(whole, BLEU.name), 1e-9)
    asked = [*(row for row in parts if row.not_run), pruned]
    found = (
        f"corpus BLEU {told(pruned, BLEU.name, 1)} of {told(whole, BLEU.name, 1)}, {100 * (kept - 1):+.0f} %, chrF "
        f"{told(pruned, LOSS.name, 1, True)}; "
        f"by the first utterance {told(pruned, FIRST.name, 1)} of {told(whole, FIRST.name, 1)}"
    )
    return [claim(f"its strategy keeps all but {100 * ACCEPTED:.0f} % of BLEU", asked, found, kept >= 1.0 - ACCEPTED)]
