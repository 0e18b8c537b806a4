"""Table 3: global L1 pruning."""

from collections.abc import Mapping
from dataclasses import replace

from studies.on_device_st.first_utterance import told_of_sentences
from studies.on_device_st.global_rows import MILD, SPARSE_FP32, SPARSE_INT8, global_rows, split_of
from studies.on_device_st.judging import MARGIN, Claim, claim, figure, interval, judge, told
from studies.on_device_st.paper import NAME, TABLE_3
from studies.on_device_st.rows import BLEU, CAPS, FIRST, FIXED, LATENCY, LOSS, RATIO, SIZE, TOKENS, few
from studies.on_device_st.strategies import global_pruning
from studies.on_device_st.torch_files import DENSE_BYTES, SPARSE_BYTES, fit_sparse, saved_masked_mib
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result, Row

PRECISE = replace(FIRST, digits=5)
COLUMNS = (PRECISE, LATENCY, SIZE, SPARSE_INT8, FIXED, TOKENS, CAPS, BLEU, LOSS)
SAFE, COLLAPSED, BREAK_EVEN = 0.2, 0.5, 0.8
NONSENSE_BLEU = 10.0  # 5.3.1: "less than 10 when the sparsity is large or equal to 0.5"


def make(bench: Bench) -> Result:
    """All weights that pruning ranks compete with each other, by magnitude."""
    rows = global_rows(bench)
    verdict, conclusion = judge(claims(rows))
    return Result(NAME, "Table 3", "Global L1 pruning", COLUMNS, tuple(rows.values()), verdict, conclusion, _notes(bench, rows))


def claims(rows: Mapping[float, Row]) -> list[Claim]:
    """`rows` by sparsity."""
    mild = [row for share, row in rows.items() if 0.0 < share <= SAFE]
    heavy = [row for share, row in rows.items() if share >= COLLAPSED]
    worst = max(heavy, key=lambda row: figure(row, BLEU.name, 0.0))
    dense, most = rows[0.0], rows[max(rows)]
    small = [share for share, row in rows.items() if share and figure(row, SIZE.name) < figure(dense, SIZE.name)]
    own = [share for share, row in rows.items() if share and figure(row, SPARSE_INT8.name) < figure(dense, SPARSE_INT8.name)]
    return [
        claim(
            f"up to {SAFE:g} nothing is lost",
            mild,
            "chrF " + ", ".join(told(row, LOSS.name, 2, True) for row in mild),
            all(interval(row, LOSS.name)[0] > -MARGIN for row in mild),
        ),
        claim(
            f"from {COLLAPSED:g} on output makes little sense",
            heavy,
            f"corpus BLEU at {worst.name} is {told(worst, BLEU.name, 1)}",
            all(figure(row, BLEU.name) < NONSENSE_BLEU for row in heavy),
        ),
        claim(
            "latency rises with sparsity",
            [most],
            f"at {most.name} {told(most, RATIO.name)} times as decoded, {told(most, FIXED.name)} at equally many tokens",
            interval(most, RATIO.name)[0] > 1.0,
        ),
        claim(
            f"files only shrink above {BREAK_EVEN:g}",
            list(rows.values()),
            f"torch's sparse form at {_shares(small)}, mask and survivors at int8 at {_shares(own)}",
            min(small, default=0.0) > BREAK_EVEN and min(own, default=0.0) > BREAK_EVEN,
        ),
    ]


def _shares(shares: list[float]) -> str:
    return f"{min(shares):g} and above" if shares else "no sparsity"


def _notes(bench: Bench, rows: Mapping[float, Row]) -> tuple[str, ...]:
    configurations = global_pruning(bench, bench.whole, tuple(TABLE_3))
    run = [share for share, row in rows.items() if not row.not_run]
    firsts = [bench.texts(configurations[share], split_of(bench, share))[0] for share in run]
    same = [f"{share:g}" for share, first in zip(run, firsts, strict=True) if firsts and first == firsts[0]]
    millions, rest = fit_sparse({share: row.size_mib or 0.0 for share, row in TABLE_3.items() if share})
    repeated = told_of_sentences(firsts, [figure(rows[share], FIRST.name) for share in run])
    return (
        "Its BLEU stands at 56.59119 for 0, 0.1 and 0.2 because it is that of one sentence, which did not change: here the first "
        "sentence is "
        f"the uncompressed model's at {', '.join(same)}, and {repeated}.",
        f"Its sizes are neither weights nor weights with masks: they fall on a straight line of {SPARSE_BYTES} bytes a survivor, "
        "torch's sparse "
        f"form (two indices of 8 bytes, a number of 4), of {millions:.1f} million weights beside {rest:.0f} MiB of others, which undercuts "
        f"{DENSE_BYTES} bytes a weight above {1 - DENSE_BYTES / SPARSE_BYTES:g} alone; weights with torch's masks would take the "
        "same at every "
        f"sparsity, here {saved_masked_mib(bench.model):.1f} MiB. The size beside the paper's is that sparse form of this model.",
        f"A bundle stores numbers of fp32 whole, zeros included ({told(rows[0.0], SPARSE_FP32.name, 1)} MiB at every sparsity), and "
        "codes as a mask of one bit and the survivors where that is smaller.",
        "Kernels multiply zeros like any other number: at equally many tokens pruned bundles take "
        f"{_range(rows)} times the original's latency. What changes is how many tokens are decoded (Figure 3).",
        f"All groups are ranked, the CTC's weights among them. Rows above {MILD:g} are scored on the first {len(few(bench))} "
        "utterances of test.",
    )


def _range(rows: Mapping[float, Row]) -> str:
    fixed = [figure(row, FIXED.name) for share, row in rows.items() if share and not row.not_run]
    return f"{min(fixed):.2f} to {max(fixed):.2f}" if fixed else "unknown"
