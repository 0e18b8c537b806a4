"""Figure 6: how many utterances 10 Wh are enough for."""

from collections.abc import Mapping
from dataclasses import replace

from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.protocol import ON_DEVICE_ST, Protocol
from paredown.trials.evaluation import spread_by_length
from paredown.trials.metering import EnergyRequest, meter
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from studies.on_device_st.drawing import Panel, Series, draw
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.judging import Claim, claim, figure, judge
from studies.on_device_st.paper import FIGURE_6_WH, NAME
from studies.on_device_st.rows import BLEU, FIRST
from studies.on_device_st.runtimes import BUNDLE_PRUNED_INT8, bundles
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

UTTERANCES = Column("utterances in 10 Wh", 0, ours_only=True)
GROSS = Column("mJ an utterance, gross", 1, ours_only=True)
NET = Column("mJ, net of idle", 1, ours_only=True)
POWER = Column("W", 1, ours_only=True)
COLUMNS = (UTTERANCES, GROSS, NET, POWER, FIRST, BLEU)
ORIGINAL, BEST = "original", "PTQ + pruning"
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
TOY = Protocol(utterances=4, passes=1, repeats=1, idle_s=0.0, warmup=1)
MJ_PER_WH = 3.6e6


def make(bench: Bench) -> Result:
    """Original and best model on processor and GPU, where the machine counts what they take."""
    rows = {name: row for device in DEVICES for name, row in device_rows(bench, device).items()}
    verdict, conclusion = judge(claims(rows))
    run = [row for row in rows.values() if not row.not_run]
    points = tuple((figure(row, UTTERANCES.name), figure(row, BLEU.name)) for row in run)
    panel = Panel(UTTERANCES.name, BLEU.name, (Series("", points, tuple(row.name for row in run), line=False),))
    drawn = draw(bench.output / "figure_6.png", "Figure 6: utterances in 10 Wh", (panel,)) if run else None
    notes = (
        "The paper prints no figures of this plot. It ran one utterance in a loop and added a constant for memory; here whole "
        "passes over many "
        "utterances are counted, processor and GPU apart, gross and net of idle power, the protocol otherwise that of its 4.7 (100 "
        "utterances, "
        "4 passes, 5 repeats).",
        "Where counters can be read, the same command fills the rows.",
    )
    title = "Utterances in 10 Wh"
    return Result(NAME, "Figure 6", title, COLUMNS, tuple(rows.values()), verdict, conclusion, notes, figure=drawn)


def device_rows(bench: Bench, device: str) -> dict[str, Row]:
    """Both models on one device; not run, with what stands in the way, where it has no counter or cannot run them."""
    names = {model: f"{model}, {DEVICES[device]}" for model in (ORIGINAL, BEST)}
    try:
        request = EnergyRequest(device)
        request.check()
        counted = count_energy(bench, request, device)
    except BadInput as error:
        return {name: Row(name, not_run=str(error)) for name in names.values()}
    configurations = {ORIGINAL: bench.whole, BEST: bundles(bench)[BUNDLE_PRUNED_INT8]}
    found = {ORIGINAL: counted[REFERENCE], BEST: counted[BEST]}
    rows = {}
    for model, name in names.items():
        row = energy_row(name, found[model])
        texts, references = bench.texts(configurations[model]), bench.references()
        quality: dict[str, Figure] = {
            FIRST.name: first_utterance_bleu(texts, references),
            BLEU.name: bench.score("bleu", configurations[model]).value,
        }
        rows[name] = row if row.not_run else replace(row, ours={**row.ours, **quality})
    return rows


def count_energy(bench: Bench, request: EnergyRequest, device: str) -> Mapping[str, Energy]:
    """Windows of original and best beside each other."""
    protocol = TOY if bench.toy else ON_DEVICE_ST
    split = spread_by_length(bench.test, protocol.utterances)
    best = bundles(bench)[BUNDLE_PRUNED_INT8]
    target = "cuda" if device == "cuda" else "cpu"
    with bench.built(bench.whole) as first, bench.built(best) as second, Stopwatch(bench.threads, target) as stopwatch:
        candidates = {REFERENCE: Timed(first), BEST: Timed(second)}
        return meter(stopwatch, candidates, split, request, protocol, seed=0)


def energy_row(name: str, energy: Energy) -> Row:
    """Of one candidate: utterances that 10 Wh are enough for, and what one takes."""
    found = energy.figures
    if found is None:
        return Row(name, not_run=energy.reason or "no reason given")
    gross, budget = found.gross_mj, FIGURE_6_WH * MJ_PER_WH
    ours: dict[str, Figure] = {UTTERANCES.name: budget / gross.value, GROSS.name: gross.value, POWER.name: found.power_w}
    intervals = {}
    if gross.ci95 is not None:
        intervals = {GROSS.name: gross.ci95}
        if gross.ci95[0] > 0:
            intervals[UTTERANCES.name] = (budget / gross.ci95[1], budget / gross.ci95[0])
    if found.net_mj is not None:
        ours[NET.name] = found.net_mj.value
    return Row(name, {}, ours, intervals)


def claims(rows: Mapping[str, Row]) -> list[Claim]:
    """5.5: the best model is much more frugal than the original, and better off on the processor, the original on the GPU."""

    def more(says: str, better: str, worse: str) -> Claim:
        both = [rows[better], rows[worse]]
        times = figure(both[0], UTTERANCES.name) / max(figure(both[1], UTTERANCES.name), 1e-9)
        return claim(says, both, f"{times:.2f} times as many utterances", times > 1.0)

    return [
        more("the best model takes less energy on the CPU", f"{BEST}, CPU", f"{ORIGINAL}, CPU"),
        more("the original is more frugal on the GPU", f"{ORIGINAL}, GPU", f"{ORIGINAL}, CPU"),
        more("the best model is more frugal on the CPU", f"{BEST}, CPU", f"{BEST}, GPU"),
    ]
