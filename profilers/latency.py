"""Latency per utterance, measured side by side.

A machine drifts: clocks, heat, neighbours. So candidates are never timed one after the other but utterance by utterance,
all of them in a new random order each time, with a reference among them. A drift then hits all alike, and the ratio to
the reference is taken between runs that lie next to each other. The reference may also stand among the candidates under a
second name (an A/A control): its interval must include 1.

A damaged model that stops early is not fast: every latency comes with the tokens it decoded, and beside it the latency at
a fixed number of tokens.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.bootstrap import median_interval
from paredown.profilers.measurement import Measurement

Run = Callable[[int], int]  # index of an utterance -> number of tokens decoded
P90_SAMPLES = 64  # fewer leave less than 7 runs above the 90th percentile


@dataclass(frozen=True)
class Effort:
    """How often every utterance is run (`repeats`) and how many runs go before, untimed (`warmup`), per candidate."""

    repeats: int
    warmup: int

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}")
        if self.warmup < 0:
            raise ValueError(f"warm-up runs must be at least 0, got {self.warmup}")


CHEAP = Effort(repeats=1, warmup=1)  # inside the search: many candidates, the interval tells how little it is
STRICT = Effort(repeats=5, warmup=3)  # what is claimed


@dataclass(frozen=True)
class Timing:
    """One candidate's latency per utterance, in milliseconds; lower is better.

    `median_ms` over all runs, `ci95_ms` its bootstrap interval over utterances; `p90_ms` is None below 64 runs.
    `ratio`: median of the paired ratios to the reference (below 1 = faster than it) with `ratio_ci95`; 1 for the reference.
    `runs`: timed runs; `tokens`: mean tokens decoded per run.
    """

    median_ms: float
    p90_ms: float | None
    ci95_ms: tuple[float, float]
    ratio: float
    ratio_ci95: tuple[float, float]
    runs: int
    tokens: float


@dataclass(frozen=True)
class Latency:
    """A candidate as it decodes freely, and at a fixed number of tokens where that was measured."""

    free: Timing
    fixed: Timing | None = None

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON keys of `latency_ms`, and the ratios to the reference."""
        fixed = self.fixed
        return {
            "median": self.free.median_ms,
            "p90": self.free.p90_ms,
            "ci95": list(self.free.ci95_ms),
            "runs": self.free.runs,
            "tokens": self.free.tokens,
            "fixed_tokens_median": None if fixed is None else fixed.median_ms,
            "fixed_tokens_ci95": None if fixed is None else list(fixed.ci95_ms),
            "ratio": {"value": self.free.ratio, "ci95": list(self.free.ratio_ci95)},
            "fixed_tokens_ratio": None if fixed is None else {"value": fixed.ratio, "ci95": list(fixed.ratio_ci95)},
        }

    def to_measurement(self) -> Measurement:
        """The median in ms; the figures of `to_dict` that are not in its own fields become its detail."""
        free, fixed = self.free, self.fixed
        detail: dict[str, float | tuple[float, ...] | None] = {
            "p90": free.p90_ms,
            "tokens": free.tokens,
            "ratio": free.ratio,
            "ratio_ci95": free.ratio_ci95,
            "fixed_tokens_median": None if fixed is None else fixed.median_ms,
            "fixed_tokens_ci95": None if fixed is None else fixed.ci95_ms,
            "fixed_tokens_ratio": None if fixed is None else fixed.ratio,
            "fixed_tokens_ratio_ci95": None if fixed is None else fixed.ratio_ci95,
        }
        return Measurement(free.median_ms, "ms", free.ci95_ms, free.runs, detail=tuple(detail.items()))


def measure_latency(
    candidates: Mapping[str, Run],
    reference: str,
    items: int,
    effort: Effort,
    rng: np.random.Generator,
    fixed: Mapping[str, Run] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Times every candidate on every utterance, interleaved; lower is better.

    `candidates`: name -> a function that runs utterance `i` in [0, items) and returns the tokens decoded; `reference` is
    one of the names. `fixed`: the same names, decoding a fixed number of tokens; timed in a second pass.
    `clock` returns seconds and never runs backwards.
    Returns the latency of every candidate, the reference included.
    Raises ValueError on no utterance, an unknown reference or names that differ between the two passes.
    """
    if items < 1:
        raise ValueError(f"latency needs at least 1 utterance, got {items}")
    if reference not in candidates:
        raise ValueError(f"the reference must be one of {', '.join(candidates)}, got {reference!r}")
    if fixed is not None and set(fixed) != set(candidates):
        raise ValueError(f"both passes must time the same candidates, got {sorted(candidates)} and {sorted(fixed)}")
    free = _time_pass(candidates, reference, items, effort, rng, clock)
    held = {} if fixed is None else _time_pass(fixed, reference, items, effort, rng, clock)
    return {name: Latency(timing, held.get(name)) for name, timing in free.items()}


def _time_pass(
    candidates: Mapping[str, Run],
    reference: str,
    items: int,
    effort: Effort,
    rng: np.random.Generator,
    clock: Callable[[], float],
) -> dict[str, Timing]:
    samples, tokens = _run_interleaved(candidates, items, effort, rng, clock)
    base = samples[reference]
    return {name: _summarize(samples[name], base, tokens[name], rng) for name in candidates}


def _run_interleaved(
    candidates: Mapping[str, Run],
    items: int,
    effort: Effort,
    rng: np.random.Generator,
    clock: Callable[[], float],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, int]]:
    """Milliseconds [items, repeats] and the sum of tokens, per candidate. Utterances go in a new random order each repeat."""
    names = tuple(candidates)
    for name in names:
        for run in range(effort.warmup):
            candidates[name](run % items)
    samples = {name: np.zeros((items, effort.repeats)) for name in names}
    tokens = dict.fromkeys(names, 0)
    with _no_collection():
        for repeat in range(effort.repeats):
            for item in rng.permutation(items).tolist():
                for which in rng.permutation(len(names)).tolist():
                    name = names[which]
                    begin = clock()
                    decoded = candidates[name](item)
                    samples[name][item, repeat] = (clock() - begin) * 1000.0
                    tokens[name] += decoded
    return samples, tokens


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside a timed run, as `timeit` does it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _summarize(samples: NDArray[np.float64], base: NDArray[np.float64], tokens: int, rng: np.random.Generator) -> Timing:
    """`samples`, `base`: milliseconds [items, repeats] of the candidate and of the reference, in pairs."""
    if not (base > 0.0).all():
        raise ValueError(f"a run must take time; the clock read {float(base.min()) / 1000.0:g} s")
    ratios = samples / base
    runs = samples.size
    return Timing(
        median_ms=float(np.median(samples)),
        p90_ms=float(np.quantile(samples, 0.9)) if runs >= P90_SAMPLES else None,
        ci95_ms=median_interval(samples, rng),
        ratio=float(np.median(ratios)),
        ratio_ci95=(1.0, 1.0) if samples is base else median_interval(ratios, rng),
        runs=runs,
        tokens=tokens / runs,
    )
