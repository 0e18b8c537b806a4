"""Table 2: precision and input size."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from paredown.errors import BadInput
from paredown.space.configuration import HALF_BITS, Configuration, Scheme
from studies.on_device_st.first_utterance import told_of_sentences
from studies.on_device_st.hop_rows import hop_configurations, hop_rows, time_buildable
from studies.on_device_st.judging import MARGIN, Claim, claim, figure, interval, judge, told
from studies.on_device_st.paper import NAME, ORIGINAL, TABLE_1, TABLE_2
from studies.on_device_st.rows import (
    BLEU,
    FIRST,
    FIXED,
    LATENCY,
    LOSS,
    RATIO,
    SIZE,
    TOKENS,
    few,
    latencies,
    measured,
    printed,
    tried,
)
from studies.on_device_st.runtimes import DECODED_UTTERANCES, ESPNET, ESPNET_HALF, ESPNET_INT8, Runtimes, compare_runtimes
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

PARAMETERS = Column("parameters", 0)
COLUMNS = (SIZE, PARAMETERS, FIRST, LATENCY, RATIO, FIXED, TOKENS, BLEU, LOSS)
PAPER_PARAMETERS = 57_592_032
STORED = "original, 16 bits stored"


def make(bench: Bench) -> Result:
    """Four inputs at fp32, int8 and fp16 in this runtime, weights stored in 16 bits, and torch's own types on ESPnet."""
    groups = {kind: precision_rows(bench, kind) for kind in TABLE_2}
    torch_rows, stored = _torch_rows(bench), _stored_row(bench)
    verdict, conclusion = judge(claims(groups, torch_rows))
    rows = tuple(_with_parameters(bench, row) for row in (*groups["float32"], *groups["qint8"], *groups["float16"], stored, *torch_rows))
    rows = tuple(replace(row, name=name) for row, name in zip(rows, _names(rows), strict=True))
    notes = _notes(bench, groups, torch_rows, stored)
    return Result(NAME, "Table 2", "Precision and input size", COLUMNS, rows, verdict, conclusion, notes)


def _names(rows: tuple[Row, ...]) -> list[str]:
    kinds = [f", {kind}" for kind in TABLE_2 for _ in TABLE_1]
    return [row.name + (kinds[place] if place < len(kinds) else "") for place, row in enumerate(rows)]


def precision_rows(bench: Bench, kind: str) -> tuple[Row, ...]:
    """The four inputs at one precision. The original is scored on the whole of test, the others below fp32 on its first utterances."""
    if kind == "float32":
        return hop_rows(bench)
    base = bench.uniform(8) if kind == "qint8" else replace(bench.whole, scheme=Scheme(kernel="fp16"))
    configurations = hop_configurations(bench, base)
    timed = time_buildable(bench, configurations)

    def make(name: str, configuration: Configuration) -> Callable[[], Row]:
        split = None if name == "original" else few(bench)
        return lambda: measured(bench, name, configuration, timed.get(name), printed(TABLE_2[kind][name]), split)

    return tuple(tried(name, printed(TABLE_2[kind][name]), make(name, one)) for name, one in configurations.items())


def _stored_row(bench: Bench) -> Row:
    """Every layer in half precision on disk, computed in fp32."""
    half = replace(bench.whole, bits=tuple((layer.path, HALF_BITS) for layer in bench.model.inventory().layers))
    timed = time_buildable(bench, {STORED: half})
    return tried(STORED, {}, lambda: measured(bench, STORED, half, timed.get(STORED), split=few(bench)))


def _torch_rows(bench: Bench) -> tuple[Row, ...]:
    """ESPnet's own decoding: ratios are to its float32."""
    names = (ESPNET, ESPNET_INT8, ESPNET_HALF)
    titles = {name: f"original, {name}" for name in names}
    try:
        runtimes = compare_runtimes(bench)
    except BadInput as error:
        return tuple(Row(titles[name], not_run=str(error)) for name in names)
    return tuple(_torch_row(bench, runtimes, name, titles[name]) for name in names)


def _torch_row(bench: Bench, runtimes: Runtimes, name: str, title: str) -> Row:
    if name in runtimes.refused:
        return Row(title, not_run=runtimes.refused[name])
    ours, intervals = latencies(runtimes.latency[name])
    ours |= {SIZE.name: runtimes.sizes_mib[name], TOKENS.name: runtimes.tokens[name]}
    loss = runtimes.beside(bench, name, ESPNET)
    return Row(title, {}, ours | {LOSS.name: loss.value}, intervals | {LOSS.name: loss.ci95})


def _with_parameters(bench: Bench, row: Row) -> Row:
    ours: dict[str, Figure] = {} if row.not_run else {PARAMETERS.name: bench.model.inference_parameters}
    return replace(row, paper={**row.paper, **({PARAMETERS.name: PAPER_PARAMETERS} if row.paper else {})}, ours={**row.ours, **ours})


def claims(groups: dict[str, tuple[Row, ...]], torch_rows: tuple[Row, ...]) -> list[Claim]:
    """`groups`: rows of the four inputs by type; `torch_rows`: ESPnet in float32, qint8 and float16."""
    whole, int8, half = groups["float32"][0], groups["qint8"], torch_rows[2]
    ratios = [figure(row, RATIO.name) for row in int8]
    falls = all(later < earlier for earlier, later in itertools.pairwise(ratios))
    loss = interval(int8[0], LOSS.name)
    slower = interval(half, RATIO.name)[0] > 1.0
    return [
        claim("a smaller input lowers latency at int8 too", int8, " → ".join(f"{ratio:.2f}" for ratio in ratios), falls),
        claim(
            "int8 lowers latency",
            int8[:1],
            f"{told(int8[0], RATIO.name)} times, and {told(whole, SIZE.name, 1)} → {told(int8[0], SIZE.name, 1)} MiB",
            interval(int8[0], RATIO.name)[1] < 1.0,
        ),
        claim(
            f"it does so without damage (5.7; here: {MARGIN:g} chrF)",
            int8[:1],
            f"chrF {told(int8[0], LOSS.name, 2, True)}",
            loss[0] > -MARGIN,
        ),
        claim("torch's float16 makes it slower", [half], f"{told(half, RATIO.name)} times torch's float32", slower),
    ]


def _notes(bench: Bench, groups: dict[str, tuple[Row, ...]], torch_rows: tuple[Row, ...], stored: Row) -> tuple[str, ...]:
    run = [row for kind in groups.values() for row in kind if not row.not_run]
    bases = {"float32": bench.whole, "qint8": bench.uniform(8), "float16": replace(bench.whole, scheme=Scheme(kernel="fp16"))}
    firsts = [
        bench.texts(hop_configurations(bench, bases[kind])[row.name], None if kind == "float32" or row.name == "original" else few(bench))[
            0
        ]
        for kind, rows in groups.items()
        for row in rows
        if not row.not_run
    ]
    original = groups["float16"][0]
    return (
        f"Latency ratios are to the original at fp32 (the paper's worked out from its {ORIGINAL.latency_s} s); sizes are MiB, "
        "which the paper "
        "calls MB.",
        f"Its BLEU is that of the first utterance alone: 35.8 and 43.5 repeat because one sentence does; here "
        f"{told_of_sentences(firsts, [figure(row, FIRST.name) for row in run])}. "
        'In 5.2 it reports a loss of BLEU by int8, in 5.7 none ("without damaging the BLEU score"); both rest on one sentence.',
        "float16 rows are this runtime's fp16 bundle, made for GPUs: the processor has no fp16 products, so onnxruntime converts "
        "weights and "
        f"activations to fp32 around each of them: {told(original, RATIO.name)} times the fp32 bundle's latency.",
        f"Weights can be stored in 16 bits and computed in fp32: {told(stored, SIZE.name, 1)} MiB at {told(stored, RATIO.name)} "
        "times the latency. "
        f"torch's float16 stores as much as its float32 ({told(torch_rows[0], SIZE.name, 1)} and {told(torch_rows[2], SIZE.name, 1)} MiB).",
        "Rows of torch decode with ESPnet's beam search: ratios and chrF are to its own float32, chrF on "
        f"{len(bench.test.first(DECODED_UTTERANCES))} utterances; "
        f"rows with another input below fp32 on {len(few(bench))}.",
    )
