"""Figure 5: with and without ONNX, quantization and pruning."""

from collections.abc import Mapping

from paredown.errors import BadInput
from studies.on_device_st.drawing import Panel, Series, draw
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.judging import MARGIN, Claim, claim, figure, interval, judge, told
from studies.on_device_st.paper import NAME, TABLE_2, TABLE_5
from studies.on_device_st.rows import FIRST, FIXED, LATENCY, LOSS, RATIO, SIZE, TOKENS, latencies, printed
from studies.on_device_st.runtimes import (
    BUNDLE,
    BUNDLE_INT8,
    BUNDLE_PRUNED,
    BUNDLE_PRUNED_INT8,
    ESPNET,
    ESPNET_INT8,
    ESPNET_PRUNED,
    ESPNET_PRUNED_INT8,
    IN_RUNTIME,
    Runtimes,
    bundles,
    compare_runtimes,
)
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

TIMES = Column("times as fast as torch", 1, ours_only=True)
COLUMNS = (FIRST, LATENCY, RATIO, FIXED, TIMES, TOKENS, SIZE, LOSS)
PAIRS = {ESPNET: BUNDLE, ESPNET_INT8: BUNDLE_INT8, ESPNET_PRUNED: BUNDLE_PRUNED, ESPNET_PRUNED_INT8: BUNDLE_PRUNED_INT8}
# What Tables 2 and 5 print of the eight bars.
PAPER = {
    ESPNET: printed(TABLE_2["float32"]["original"]),
    ESPNET_INT8: printed(TABLE_2["qint8"]["original"]),
    BUNDLE_PRUNED_INT8: printed(TABLE_5["PTQ + Pruning + ONNX"]),
}


def make(bench: Bench) -> Result:
    """ESPnet in torch and this runtime, each plain, quantized, pruned and both."""
    title = "ONNX, quantization and pruning"
    try:
        runtimes = compare_runtimes(bench)
    except BadInput as error:
        rows = {name: Row(name, PAPER.get(name, {}), not_run=str(error)) for pair in PAIRS.items() for name in pair}
        verdict, conclusion = judge(claims(rows))
        return Result(NAME, "Figure 5", title, COLUMNS, tuple(rows.values()), verdict, conclusion)
    rows = ablation_rows(bench, runtimes)
    verdict, conclusion = judge(claims(rows))
    drawn = draw(bench.output / "figure_5.png", "Figure 5: ONNX, quantization and pruning", (_panel(rows),))
    return Result(NAME, "Figure 5", title, COLUMNS, tuple(rows.values()), verdict, conclusion, _notes(bench, rows, runtimes), figure=drawn)


def ablation_rows(bench: Bench, runtimes: Runtimes) -> dict[str, Row]:
    """The eight combinations, torch before this runtime."""
    return {name: _row(bench, runtimes, name) for pair in PAIRS.items() for name in pair}


def _row(bench: Bench, runtimes: Runtimes, name: str) -> Row:
    paper = PAPER.get(name, {})
    if name in runtimes.refused:
        return Row(name, paper, not_run=runtimes.refused[name])
    ours, intervals = latencies(runtimes.latency[name])
    loss = runtimes.beside(bench, name, ESPNET)
    ours[FIRST.name] = first_utterance_bleu(runtimes.texts_of(bench, name), bench.references())
    ours |= {LOSS.name: loss.value, TOKENS.name: runtimes.latency[name]["tokens"], SIZE.name: _size(bench, runtimes, name)}
    partner = next((torch for torch, own in PAIRS.items() if own == name and torch in runtimes.latency), None)
    if partner is not None:
        ours[TIMES.name] = runtimes.latency[partner]["ratio"]["value"] / runtimes.latency[name]["ratio"]["value"]
    return Row(name, paper, ours, intervals | {LOSS.name: loss.ci95})


def _size(bench: Bench, runtimes: Runtimes, name: str) -> Figure:
    return bench.size(bundles(bench)[name])[0] / 2**20 if name in IN_RUNTIME else runtimes.sizes_mib[name]


def claims(rows: Mapping[str, Row]) -> list[Claim]:
    """`rows` by name: the eight combinations."""
    faster = [rows[own] for own in PAIRS.values()]
    times = [figure(row, TIMES.name) for row in faster if TIMES.name in row.ours]
    agrees = interval(rows[BUNDLE], LOSS.name)[0] > -MARGIN
    int8, torch_int8, pruned = rows[BUNDLE_INT8], rows[ESPNET_INT8], rows[BUNDLE_PRUNED]
    range_of = f"{min(times):.1f} to {max(times):.1f} times as fast" if times else "not run"
    return [
        claim("ONNX always lowers latency", faster, range_of, bool(times) and min(times) > 1.0),
        claim("it costs no quality", [rows[ESPNET], rows[BUNDLE]], f"chrF {told(rows[BUNDLE], LOSS.name, 2, True)} beside ESPnet", agrees),
        claim(
            "most of the loss comes from pruning",
            [int8, pruned],
            f"chrF {told(pruned, LOSS.name, 1, True)} by pruning, {told(int8, LOSS.name, 1, True)} by int8",
            interval(pruned, LOSS.name)[1] < interval(int8, LOSS.name)[0],
        ),
        claim(
            "int8 loses in torch and not in ONNX",
            [int8, torch_int8],
            f"chrF {told(torch_int8, LOSS.name, 1, True)} in torch, {told(int8, LOSS.name, 1, True)} in this runtime",
            interval(torch_int8, LOSS.name)[1] < 0.0 and interval(int8, LOSS.name)[0] > -MARGIN,
        ),
    ]


def _notes(bench: Bench, rows: Mapping[str, Row], runtimes: Runtimes) -> tuple[str, ...]:
    return (
        f"All are timed in one session, utterance by utterance in random order; ratios are to ESPnet's float32, chrF paired on the first "
        f"{len(runtimes.split)} utterances of test, tokens those of the timed runs.",
        "Theirs is ESPnet's beam search over ONNX graphs; here the whole search is this runtime's, with cached keys and values "
        "where ESPnet "
        "computes them anew, so what is gained is not the graph's alone.",
        f"Pruning alone, at equally many tokens: {told(rows[ESPNET_PRUNED], FIXED.name)} times in torch, {_within(rows)} times in this "
        "runtime.",
        "Sizes of torch are what torch.save writes of all it loads, auxiliary parts of the checkpoint included.",
    )


def _within(rows: Mapping[str, Row]) -> str:
    return f"{figure(rows[BUNDLE_PRUNED], FIXED.name) / figure(rows[BUNDLE], FIXED.name):.2f}"


def _panel(rows: Mapping[str, Row]) -> Panel:
    def series(label: str, names: tuple[str, ...]) -> Series:
        run = [rows[name] for name in names if not rows[name].not_run]
        return Series(
            label, tuple((figure(row, LATENCY.name), figure(row, LOSS.name)) for row in run), tuple(row.name for row in run), line=False
        )

    return Panel(LATENCY.name, "chrF to ESPnet's float32", (series("torch", tuple(PAIRS)), series("this runtime", tuple(PAIRS.values()))))
