"""Figure 4: every component pruned on its own."""

import time
from collections.abc import Mapping, Sequence

from studies.on_device_st.drawing import Panel, Series, draw
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.judging import ACCEPTED, Claim, claim, figure, judge, told
from studies.on_device_st.paper import COMPONENTS, FIGURE_4_BLEU, NAME, ORIGINAL, SHARES
from studies.on_device_st.strategies import one_group, weights_of_groups
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

PART = Column("of all weights, %", ours_only=True)
LOSSES = {share: Column(f"chrF at {share:g}", sign=True, ours_only=True) for share in SHARES}
FIRSTS = {share: Column(f'its "BLEU" at {share:g}') for share in SHARES}
BLEUS = {share: Column(f"BLEU at {share:g}", ours_only=True) for share in SHARES}
TEXT = 0.7  # the share of which the text tells a figure
MILD = 0.33
COLUMNS = (PART, *LOSSES.values(), FIRSTS[TEXT], BLEUS[TEXT])
WHOLE = "original"


def make(bench: Bench) -> Result:
    """Ten components at four shares, decoded on the analysis split: nothing is chosen on test."""
    rows = component_rows(bench)
    verdict, conclusion = judge(claims(rows))
    drawn = draw(bench.output / "figure_4.png", "Figure 4: one component pruned", (_panel(rows),))
    notes = (
        f"Scored on {len(bench.analysis)} utterances of analysis with the model's own beam; chrF is less the original's, paired. "
        "The smallest "
        "weights of a component go, ranked over all its matrices and norms; fp32.",
        "The paper prints no figures of this plot but one bound in its text; its BLEU is that of one utterance. A component's share of all "
        "weights says what its zeros are worth.",
    )
    return Result(NAME, "Figure 4", "One component pruned", COLUMNS, tuple(rows.values()), verdict, conclusion, notes, figure=drawn)


def component_rows(bench: Bench) -> dict[str, Row]:
    """By component, the original first."""
    weights = weights_of_groups(bench)
    whole = bench.score("bleu", bench.whole, bench.analysis).value
    first = first_utterance_bleu(bench.texts(bench.whole, bench.analysis), bench.references(bench.analysis))
    rows = {WHOLE: Row(WHOLE, {FIRSTS[TEXT].name: ORIGINAL.bleu}, {BLEUS[TEXT].name: whole, FIRSTS[TEXT].name: first})}
    for done, (component, group) in enumerate(COMPONENTS.items()):
        bench.tell.progress("components", done, len(COMPONENTS))
        if weights.get(group):
            rows[component] = _row(bench, component, group, 100.0 * weights[group] / sum(weights.values()))
        else:
            rows[component] = Row(component, _paper(component), not_run=f"the model has no {group}")
    return rows


def _paper(component: str) -> dict[str, Figure]:
    return {FIRSTS[share].name: bound for (name, share), bound in FIGURE_4_BLEU.items() if name == component}


def _row(bench: Bench, component: str, group: str, part: float) -> Row:
    began, ours, intervals = time.monotonic(), {PART.name: part}, {}
    for share in SHARES:
        configuration = one_group(bench.whole, group, share)
        loss = bench.beside("chrf", configuration, bench.whole, bench.analysis)
        ours[LOSSES[share].name], intervals[LOSSES[share].name] = loss.value, loss.ci95
        ours[BLEUS[share].name] = bench.score("bleu", configuration, bench.analysis).value
        texts = bench.texts(configuration, bench.analysis)
        ours[FIRSTS[share].name] = first_utterance_bleu(texts, bench.references(bench.analysis))
    return Row(component, _paper(component), ours, intervals, seconds=time.monotonic() - began)


def claims(rows: Mapping[str, Row]) -> list[Claim]:
    """5.3.2, its three conclusions, at corpus level."""
    run = [row for row in rows.values() if not row.not_run and row.name != WHOLE]
    encoder, decoder = ([row for row in run if row.name.startswith(stack)] for stack in ("encoder", "decoder"))
    lost = {stack: _mean(rows_of, MILD) for stack, rows_of in (("encoder", encoder), ("decoder", decoder))}
    whole, attention = figure(rows[WHOLE], BLEUS[TEXT].name), rows["encoder self_attn"]
    worst = min(encoder, key=lambda row: figure(row, LOSSES[MILD].name), default=attention)
    kept = [figure(row, BLEUS[MILD].name) / max(whole, 1e-9) for row in encoder]
    bound = 20.0 / ORIGINAL.bleu
    return [
        claim(
            "the decoder bears pruning worse than the encoder",
            run,
            f"at {MILD:g} a component of the decoder loses {-lost['decoder']:.1f} chrF on average, of the encoder {-lost['encoder']:.1f}",
            lost["decoder"] < lost["encoder"],
        ),
        claim(
            f"a third of the encoder's weights can go without a huge loss (here: {100 * ACCEPTED:.0f} % of BLEU)",
            encoder,
            f"the worst is {worst.name}, chrF {told(worst, LOSSES[MILD].name, 1, True)}",
            all(share >= 1.0 - ACCEPTED for share in kept),
        ),
        claim(
            f"at {TEXT:g} of the encoder's self-attention BLEU is above 20 of {ORIGINAL.bleu}",
            [attention],
            f"corpus BLEU {told(attention, BLEUS[TEXT].name, 1)} of {whole:.1f}",
            figure(attention, BLEUS[TEXT].name) > bound * whole,
        ),
    ]


def _mean(rows: Sequence[Row], share: float) -> float:
    return sum(figure(row, LOSSES[share].name) for row in rows) / max(1, len(rows))


def _panel(rows: Mapping[str, Row]) -> Panel:
    def points(row: Row) -> tuple[tuple[float, float], ...]:
        return ((0.0, 0.0), *((share, figure(row, LOSSES[share].name)) for share in SHARES))

    series = tuple(Series(row.name, points(row)) for row in rows.values() if row.name != WHOLE and not row.not_run)
    return Panel("sparsity of the component", "chrF to the original", series)
