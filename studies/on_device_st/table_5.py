"""Table 5: everything together."""

from collections.abc import Sequence

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.judging import Claim, claim, figure, judge, told
from studies.on_device_st.paper import BLEU_CHANGE, LATENCY_CHANGE, NAME, SIZE_CHANGE, TABLE_5
from studies.on_device_st.rows import BLEU, CHRF, FIRST, FIXED, LATENCY, RATIO, SIZE, TOKENS, latencies, measured, printed
from studies.on_device_st.runtimes import BUNDLE_PRUNED_INT8, ESPNET, bundles, compare_runtimes
from studies.on_device_st.table_4 import ALL, INT8, WHOLE, strategies
from studies.on_device_st.timing import Timings, time_together
from studies.reproduction.bench import Bench
from studies.reproduction.result import Figure, Result, Row

COLUMNS = (FIRST, LATENCY, SIZE, RATIO, TOKENS, BLEU, CHRF)
CHANGE, WITHIN = "change, %", "change to this runtime at fp32, %"
WIDTHS = range(8, 1, -1)


def make(bench: Bench) -> Result:
    """The paper's pair, and what as many bytes or fewer give without zeros."""
    best = bundles(bench)[BUNDLE_PRUNED_INT8]
    timed = time_together(bench, strategies(bench))
    whole = measured(bench, "this runtime, fp32", bench.whole, timed[WHOLE])
    together = measured(bench, "PTQ + pruning + this runtime", best, timed[INT8])
    original = _original(bench, whole)
    pair = _beside_torch(bench, together)
    rows = (
        original,
        pair,
        change("change, %", original, pair, _paper_change()),
        whole,
        together,
        change(WITHIN, whole, together),
        *_dense(bench, best),
    )
    verdict, conclusion = judge(claims(rows[2]))
    notes = (
        "Latency of the first two rows, as in the paper, is that of ESPnet in torch and of this runtime, timed in one session "
        "(Figure 5); the "
        "others are timed beside this runtime at fp32, so the two ratios of the same bundle differ in what they are to.",
        f"Its {BLEU_CHANGE:.0f} % of BLEU is of one sentence (56.6 and 42.7). Quality of the original is that of this runtime at "
        "fp32 (Figure 5 has it "
        "beside ESPnet's). Sizes: 4 bytes a parameter for the original, the whole bundle for "
        "the others.",
        f'What int8 and zeros do within this runtime: the row "{WITHIN}". Zeros alone take {_zeros_alone(timed)} times its fp32 latency at '
        "equally many tokens.",
        "The last row is the widest uniform bit-width whose bundle takes no more bytes, chosen by size alone: what those bytes are "
        "worth without zeros.",
    )
    return Result(NAME, "Table 5", "All techniques together", COLUMNS, rows, verdict, conclusion, notes)


def _zeros_alone(timed: Timings) -> str:
    ours, intervals = latencies(timed[ALL])
    return told(Row(ALL, {}, ours, intervals), FIXED.name)


def _original(bench: Bench, whole: Row) -> Row:
    """ESPnet in torch, quality as this runtime has it at fp32."""
    name, paper = "Original", printed(TABLE_5["Original"])
    try:
        ours, intervals = latencies(compare_runtimes(bench).latency[ESPNET])
    except BadInput as error:
        return Row(name, paper, not_run=str(error))
    kept = {key: value for key, value in whole.ours.items() if key in (BLEU.name, CHRF.name, TOKENS.name)}
    first = first_utterance_bleu(bench.texts(bench.whole), bench.references())
    size = bench.model.inference_parameters * 4 / 2**20
    return Row(name, paper, {**kept, **ours, FIRST.name: first, SIZE.name: size}, {**_scores(whole), **intervals})


def _beside_torch(bench: Bench, together: Row) -> Row:
    """The same bundle, with its latency beside ESPnet."""
    name, paper = "PTQ + Pruning + ONNX", printed(TABLE_5["PTQ + Pruning + ONNX"])
    try:
        ours, intervals = latencies(compare_runtimes(bench).latency[BUNDLE_PRUNED_INT8])
    except BadInput as error:
        return Row(name, paper, not_run=str(error))
    return Row(name, paper, {**together.ours, **ours}, {**together.intervals, **intervals}, seconds=together.seconds)


def _scores(row: Row) -> dict[str, tuple[float, float]]:
    return {key: value for key, value in row.intervals.items() if key in (BLEU.name, CHRF.name)}


def _paper_change() -> dict[str, Figure]:
    """As the abstract gives it."""
    return {FIRST.name: BLEU_CHANGE, LATENCY.name: LATENCY_CHANGE, SIZE.name: SIZE_CHANGE}


def change(name: str, before: Row, after: Row, paper: dict[str, Figure] | None = None) -> Row:
    """In percent of the row before; not run where one of them was not."""
    missing = [row for row in (before, after) if row.not_run]
    if missing:
        return Row(name, paper or {}, not_run=missing[0].not_run)
    columns = [column for column in (FIRST.name, LATENCY.name, SIZE.name, BLEU.name, CHRF.name) if figure(before, column)]
    ours: dict[str, Figure] = {column: 100.0 * (figure(after, column) / figure(before, column) - 1.0) for column in columns}
    return Row(name, paper or {}, ours)


def _dense(bench: Bench, best: Configuration) -> Sequence[Row]:
    """The widest uniform width at no more bytes."""
    most = bench.workshop.foretell(best).size_bytes
    found = next(((bits, one) for bits in WIDTHS if bench.workshop.foretell(one := bench.uniform(bits)).size_bytes <= most), None)
    if found is None:
        return [Row("no more bytes, no zeros", not_run=f"no uniform bit-width takes {most:,} bytes or fewer")]
    bits, one = found
    name = f"no more bytes, no zeros: {bits} bits"
    return [measured(bench, name, one, time_together(bench, {name: one})[name])]


def claims(changed: Row) -> list[Claim]:
    """`changed`: in percent, the pair of the paper."""

    def one(says: str, column: str, bound: float) -> Claim:
        value = figure(changed, column)
        return claim(f"{says} {-bound:.0f} %", [changed], f"{value:+.0f} %", value <= bound)

    lost = figure(changed, BLEU.name)
    by_one = figure(changed, FIRST.name)
    return [
        one("latency falls by", LATENCY.name, LATENCY_CHANGE),
        one("size falls by", SIZE.name, SIZE_CHANGE),
        claim(
            f"BLEU falls by no more than {-BLEU_CHANGE:.0f} %",
            [changed],
            f"{lost:+.0f} % of corpus BLEU, {by_one:+.0f} % of the first utterance's",
            lost >= BLEU_CHANGE,
        ),
    ]
