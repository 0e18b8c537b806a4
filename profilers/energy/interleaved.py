"""Candidates' energy, window by window, interleaved in random order with the reference's.

A machine drifts: so every repeat gives each candidate one window, in a new random order, and ratios are taken within a repeat. A window
that the source refuses (a counter that wrapped ambiguously, say) is measured once again; what is refused twice leaves the candidate
without figures, with the reason.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paredown.profilers.energy.base import EnergySource, EnergyUnavailable
from paredown.profilers.energy.energy import Energy, Figures, Origin
from paredown.profilers.energy.idle import IdlePower, measure_idle
from paredown.profilers.energy.meter import EnergyWindow, describe_failure, measure_window
from paredown.profilers.energy.protocol import Protocol
from paredown.profilers.energy.spread import Spread
from paredown.profilers.measurement import DetailValue

Run = Callable[[int], int]  # index of an utterance -> number of tokens decoded
Clock = Callable[[], float]


@dataclass(frozen=True)
class _Load:
    """One window of one candidate: what it gave, over how many passes and tokens."""

    window: EnergyWindow
    passes: int
    tokens: int


@dataclass
class _Record:
    """A candidate so far: its windows by repeat (NaN-free), windows refused, and the reason it was given up."""

    loads: dict[int, _Load]
    refused: int = 0
    reason: str | None = None


def measure_energy(
    candidates: Mapping[str, Run],
    reference: str,
    items: int,
    seconds: Sequence[float],
    source: EnergySource,
    protocol: Protocol,
    rng: np.random.Generator,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Energy]:
    """Energy of every candidate, the reference included.

    `candidates`: name -> a function that runs utterance `i` in [0, items) to its end and returns the tokens decoded; `reference` is one of
    the names. `seconds`: of audio, per utterance. With fewer `items` than the protocol's utterances all of them are taken; with more, a
    random choice, the same for all candidates.
    Raises ValueError on no utterance, an unknown reference or another number of lengths. What the source refuses is no error: it stands in
    the result.
    """
    _check(candidates, reference, items, seconds)
    chosen = np.sort(rng.permutation(items)[: protocol.utterances]).tolist()
    for run in candidates.values():
        for warmup in range(protocol.warmup):
            run(chosen[warmup % len(chosen)])
    before = _try_idle(source, protocol, clock, sleep)
    records = _run_repeats(candidates, chosen, source, protocol, rng, clock)
    after = _try_idle(source, protocol, clock, sleep)
    quiet = [window for window in (before, after) if window is not None]
    idle = IdlePower.of(*quiet) if quiet else None
    audio_s = float(sum(seconds[item] for item in chosen))
    origin = Origin.of(source)
    return {name: _conclude(records[name], records[reference], origin, len(chosen), audio_s, idle) for name in candidates}


def _check(candidates: Mapping[str, Run], reference: str, items: int, seconds: Sequence[float]) -> None:
    if items < 1:
        raise ValueError(f"energy needs at least 1 utterance, got {items}")
    if reference not in candidates:
        raise ValueError(f"the reference must be one of {', '.join(candidates)}, got {reference!r}")
    if len(seconds) != items or not all(0.0 < length < math.inf for length in seconds):
        raise ValueError(f"energy needs the length of each of {items} utterances in seconds, above 0; got {len(seconds)}")


def _run_repeats(
    candidates: Mapping[str, Run],
    chosen: Sequence[int],
    source: EnergySource,
    protocol: Protocol,
    rng: np.random.Generator,
    clock: Clock,
) -> dict[str, _Record]:
    names = tuple(candidates)
    records = {name: _Record({}) for name in names}
    for repeat in range(protocol.repeats):
        for which in rng.permutation(len(names)).tolist():
            record = records[names[which]]
            if record.reason is None:
                _run_window(candidates[names[which]], chosen, source, protocol, rng, clock, record, repeat)
    return records


def _run_window(
    run: Run,
    chosen: Sequence[int],
    source: EnergySource,
    protocol: Protocol,
    rng: np.random.Generator,
    clock: Clock,
    record: _Record,
    repeat: int,
) -> None:
    """One window into the record; a second attempt where the first is refused."""
    for attempt in range(2):
        work = _Work(run, chosen, protocol.passes, max(protocol.window_s, source.min_window_s), rng, clock)
        try:
            window = measure_window(source, work, clock)
        except EnergyUnavailable as error:
            record.refused += 1
            record.reason = describe_failure(error) if attempt else None
        else:
            record.loads[repeat] = _Load(window, work.passes, work.tokens)
            return


class _Work:
    """Passes over the utterances, in a new random order each, until there were enough and the window is long enough."""

    def __init__(self, run: Run, chosen: Sequence[int], passes: int, window_s: float, rng: np.random.Generator, clock: Clock) -> None:
        self._run, self._chosen, self._least, self._window_s, self._rng, self._clock = run, chosen, passes, window_s, rng, clock
        self.passes = self.tokens = 0

    def __call__(self) -> None:
        begin_s = self._clock()
        while self.passes < self._least or self._clock() - begin_s < self._window_s:
            for place in self._rng.permutation(len(self._chosen)).tolist():
                self.tokens += self._run(self._chosen[place])
            self.passes += 1


def _try_idle(source: EnergySource, protocol: Protocol, clock: Clock, sleep: Callable[[float], None]) -> EnergyWindow | None:
    """None where idle is not asked for, where the source is a model that has none, and where it is refused."""
    if protocol.idle_s == 0.0 or source.provenance == "estimated":
        return None
    try:
        return measure_idle(source, max(protocol.idle_s, source.min_window_s), clock, sleep)
    except EnergyUnavailable:
        return None  # gross figures stand without it; a source that is gone for good says so in the windows


def _conclude(record: _Record, base: _Record, origin: Origin, utterances: int, audio_s: float, idle: IdlePower | None) -> Energy:
    if record.reason is not None:
        return Energy(origin, None, record.reason)
    loads = list(record.loads.values())
    gross = [_per_utterance_mj(load, utterances) for load in loads]
    net = None if idle is None else Spread.of([_per_utterance_mj(load, utterances, idle.power_w) for load in loads])
    paired = [] if base.reason is not None else sorted(record.loads.keys() & base.loads.keys())
    ratios = [_per_utterance_mj(record.loads[key], utterances) / _per_utterance_mj(base.loads[key], utterances) for key in paired]
    total_mj = math.fsum(load.window.energy_j for load in loads) * 1000.0
    tokens = sum(load.tokens for load in loads)
    seconds = math.fsum(load.window.seconds for load in loads)
    passes = sum(load.passes for load in loads)
    figures = Figures(
        gross_mj=Spread.of(gross),
        net_mj=net,
        domains_mj=_domains(loads, utterances),
        audio_mj_per_s=total_mj / (passes * audio_s),
        token_mj=total_mj / tokens if tokens else None,
        ratio=Spread.of_ratios(ratios) if ratios else None,
        power_w=total_mj / 1000.0 / seconds,
        utterances=utterances,
        passes=min(load.passes for load in loads),
        seconds=seconds,
        refused=record.refused,
        idle=idle,
        detail=merge_details(load.window.detail for load in loads),
    )
    return Energy(origin, figures)


def _per_utterance_mj(load: _Load, utterances: int, idle_w: float = 0.0) -> float:
    return (load.window.energy_j - idle_w * load.window.seconds) * 1000.0 / (load.passes * utterances)


def _domains(loads: Sequence[_Load], utterances: int) -> tuple[tuple[str, float], ...]:
    """Means over the windows of every domain that all of them gave."""
    tables = [dict(load.window.joules) for load in loads]
    shared = [domain for domain in tables[0] if all(domain in table for table in tables)]
    runs = sum(load.passes for load in loads) * utterances
    return tuple((domain, math.fsum(table[domain] for table in tables) * 1000.0 / runs) for domain in shared)


def merge_details(details: Iterable[tuple[tuple[str, DetailValue], ...]]) -> tuple[tuple[str, DetailValue], ...]:
    """One table from those of several windows: least of what ends in `_min`, largest of `_max`, else means; of words all there were."""
    found: dict[str, list[DetailValue]] = {}
    for detail in details:
        for key, value in detail:
            found.setdefault(key, []).append(value)
    return tuple((key, _merge(key, values)) for key, values in found.items())


def _merge(key: str, values: Sequence[DetailValue]) -> DetailValue:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if numbers:
        return min(numbers) if key.endswith("_min") else max(numbers) if key.endswith("_max") else statistics.fmean(numbers)
    words = sorted({value for value in values if isinstance(value, str)})
    return "; ".join(words) if words else None
