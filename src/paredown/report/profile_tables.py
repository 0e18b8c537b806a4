"""A profile as tables and lines: what was measured, how sure it is, and what a reader must know of the conditions."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paredown.profilers.latency import Timing
from paredown.report.battery_life import BatteryLife
from paredown.report.histogram import draw_histogram
from paredown.report.table import table

if TYPE_CHECKING:
    from paredown.profilers.energy.energy import Energy, Figures
    from paredown.profilers.energy.spread import Spread
    from paredown.trials.profile import Profile

Row = tuple[str, ...]


def samples_of(profile: "Profile", subject: str, against: str | None) -> dict[str, NDArray[np.float64]]:
    """Latencies of single runs in ms, of the subject and of the reference where there is one."""
    found = {subject: np.array(profile.latency.free.samples)}
    if profile.reference is not None and against:
        found[against if against != subject else f"{against} (reference)"] = np.array(profile.reference.free.samples)
    return found


def show_profile(screen: Console, profile: "Profile", subject: str, against: str | None, utterances: int, charge_wh: float) -> None:
    """Prints everything; nothing is left out because it is unpleasant. `charge_wh`: of the battery that the last line speaks of."""
    screen.print(_latency_table(profile, subject, against))
    if profile.latency.free.stage_shares:
        screen.print(Text(f"  {_stage_words(profile.latency.free.stage_shares)} of a run"))
    for line in draw_histogram(profile.latency.free.samples):
        screen.print(Text(f"  {line}"))
    screen.print(Text(_conditions(profile, utterances)))
    if profile.energy is None:
        screen.print(Text(f"energy: {profile.no_energy}"))
    elif profile.energy.figures is None:
        screen.print(Text(f"energy: unavailable ({profile.energy.reason})"))
    else:
        screen.print(_energy_table(profile.energy, profile.energy.figures, against))
        screen.print(Text(_charge(profile, profile.energy, profile.energy.figures, charge_wh)))
    screen.print(_size_table(profile))
    screen.print(Text(f"target: {profile.machine.describe()}"))


def _latency_table(profile: "Profile", subject: str, against: str | None) -> Table:
    columns: Row = ("latency", "median", "95 % interval", "90th perc.")
    if against:
        columns += (f"x of {against}", "95 % interval")
    return table(subject, columns, (row[: len(columns)] for row in _latency_rows(profile)))


def _latency_rows(profile: "Profile") -> Iterator[Row]:
    free, fixed = profile.latency.free, profile.latency.fixed
    yield _timing_row("per utterance, ms", free)
    if fixed is not None:
        yield _timing_row(f"at {profile.latency.fixed_tokens} tokens, ms", fixed)
    for label, figure in (("per token, ms", free.per_token_ms), ("per second of audio, s", free.rtf)):
        if figure is not None:
            yield (label, f"{figure.median:.4g}", f"{figure.ci95[0]:.4g} to {figure.ci95[1]:.4g}", "", "", "")


def _stage_words(shares: Iterable[tuple[str, float]]) -> str:
    """What part of a run each stage takes."""
    return ", ".join(f"{stage} {share:.0%}" for stage, share in shares)


def _timing_row(label: str, timing: Timing) -> Row:
    (low, high), (lower, upper) = timing.ci95_ms, timing.ratio_ci95
    p90 = "" if timing.p90_ms is None else f"{timing.p90_ms:.1f}"
    return (label, f"{timing.median_ms:.1f}", f"{low:.1f} to {high:.1f}", p90, f"{timing.ratio:.3f}", f"{lower:.3f} to {upper:.3f}")


def _conditions(profile: "Profile", utterances: int) -> str:
    """One paragraph: how much was run, how, and what was not as it should be."""
    free, conditions = profile.latency.free, profile.latency.conditions
    text = f"{free.runs} runs on {utterances} utterances of {profile.audio_s:.1f} s, {free.tokens:.1f} tokens each"
    if conditions is not None:
        cores = "not pinned" if conditions.cores is None else f"pinned to core {', '.join(map(str, conditions.cores))}"
        text += (
            f"; {_count(conditions.loads, 'load')}, {_count(conditions.warmup_runs, 'run')} to warm up, {cores}, {conditions.seconds:.0f} s"
        )
        text += "".join(f"\nnote: {warning}" for warning in conditions.warnings)
    before, after = profile.thermal
    if before.temperature_c is not None and after.temperature_c is not None:
        text += f"\nprocessor {before.temperature_c:.0f} °C before, {after.temperature_c:.0f} °C after"
    slowed = after.slowed_since(before)
    return text + (f"\nnote: the processor was slowed down {slowed} times for its heat" if slowed else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _energy_table(energy: "Energy", figures: "Figures", against: str | None) -> Table:
    columns: Row = ("energy", "mean mJ", "95 % interval", "sd")
    label = f"{energy.origin.label}, {energy.origin.provenance.upper() if energy.origin.provenance == 'estimated' else 'measured'}"
    return table(label, columns, _energy_rows(figures, against))


def _energy_rows(figures: "Figures", against: str | None) -> Iterator[Row]:
    yield ("per utterance", *_spread(figures.gross_mj))
    if figures.net_mj is not None:
        yield ("per utterance, net of idle", *_spread(figures.net_mj))
    yield ("per second of audio", f"{figures.audio_mj_per_s:.4g}", "", "")
    if figures.token_mj is not None:
        yield ("per token", f"{figures.token_mj:.4g}", "", "")
    for domain, energy_mj in figures.domains_mj if len(figures.domains_mj) > 1 else ():
        yield (f"  {domain}, per utterance", f"{energy_mj:.4g}", "", "")
    if figures.ratio is not None and against:
        yield (f"x of {against}", *_spread(figures.ratio))


def _spread(spread: "Spread") -> tuple[str, str, str]:
    around = "" if spread.ci95 is None else f"{spread.ci95[0]:.4g} to {spread.ci95[1]:.4g}"
    return (f"{spread.value:.4g}", around, "" if spread.sd is None else f"{spread.sd:.3g}")


def _charge(profile: "Profile", energy: "Energy", figures: "Figures", charge_wh: float) -> str:
    life = BatteryLife.of(charge_wh, figures.gross_mj.value, figures.gross_mj.ci95, profile.audio_s)
    idle = "" if figures.idle is None else f", {figures.idle.power_w:.2f} W idle"
    text = f"{figures.passes} passes over {figures.utterances} utterances a window, {len(figures.gross_mj.samples)} windows, "
    text += f"{figures.power_w:.2f} W{idle}; {energy.origin.method}\n{life}"
    return text if energy.origin.target == "machine" else f"{text}, if nothing drew from it but what is counted here"


def _size_table(profile: "Profile") -> Table:
    result = table("size and memory", ("", "figure", "more"), _size_rows(profile))
    result.columns[2].justify = "left"
    return result


def _size_rows(profile: "Profile") -> Iterator[Row]:
    size, footprint, ratios = profile.size, profile.footprint, profile.size.ratios
    kinds = ", ".join(f"{name} {_megabytes(count)}" for name, count in size.size.kinds.items() if count)
    yield ("bundle", _megabytes(size.size.size_bytes), kinds)
    weights = size.weights
    held = [("codes", weights.codes_bytes), ("masks", weights.masks_bytes), ("scales", weights.scales_bytes)]
    held += [("fp32", weights.fp32_bytes), ("fp16", weights.fp16_bytes)]
    yield ("  in weights", "", ", ".join(f"{name} {_megabytes(count)}" for name, count in held if count))
    yield ("times smaller: nominal bits", f"{ratios.nominal_bits:.2f}", "bit-widths alone, as papers count")
    yield ("times smaller: weight bytes", f"{ratios.weight_bytes:.2f}", "scales, masks and what is kept wide")
    yield ("times smaller: bundle bytes", f"{ratios.bundle_bytes:.2f}", "every file")
    low, high = footprint.load_ci95_ms
    yield ("load", f"{footprint.load_median_ms:.0f} ms", f"{low:.0f} to {high:.0f}; {len(footprint.runs)} fresh processes, files cached")
    peak, imported = footprint.peak_rss_bytes, footprint.imported_bytes
    if peak is not None and imported is not None:
        yield ("peak memory", _megabytes(peak), f"of a fresh process; {_megabytes(imported)} of it before the bundle is loaded")
    yield ("parameters", f"{size.stored_parameters:,}", f"{size.model_parameters:,} uncompressed")
    yield (
        "multiply-accumulates",
        f"{profile.macs / 1e9:.3f} G",
        f"{profile.audio_s:.1f} s of audio, {profile.latency.fixed_tokens} tokens",
    )


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.2f} MB"
