"""Figures of a session from its runs.

The ratio to the reference is the trimmed mean of the logarithms of paired ratios (candidate and reference ran next to each other), back
in the exponent. Logarithms, because a / b and b / a are then as far from 1: between two equal candidates the estimate is symmetric about
1, where the mean of ratios is above it (and the median of ratios, which is not, needs half as many runs again for the same interval).
Trimmed, because single runs that the system interrupted should not count: see `bootstrap.trimmed_mean`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.bootstrap import cluster_median_interval, trimmed_mean, trimmed_mean_interval
from paredown.profilers.latency.timing import Figure, Timing

P90_SAMPLES = 64  # the fewest that 90th percentiles are told of
Doubles = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass
class Visits:
    """All visits so far, in the order of time: utterance, load, and milliseconds and tokens of each candidate.

    `stages`: milliseconds by stage of each candidate that tells them.
    """

    items: list[int] = field(default_factory=list)
    loads: list[int] = field(default_factory=list)
    ms: dict[str, list[float]] = field(default_factory=dict)
    tokens: dict[str, list[int]] = field(default_factory=dict)
    stages: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)

    def labels(self) -> tuple[Labels, Labels]:
        """Utterance and load of every visit, [visits]."""
        return np.array(self.items, dtype=np.intp), np.array(self.loads, dtype=np.intp)


def summarize(visits: Visits, name: str, reference: str, seconds: Sequence[float] | None, rng: np.random.Generator) -> Timing:
    """The timing of one candidate. `seconds`: of audio of every utterance."""
    samples = _milliseconds(visits, name)
    items, _ = visits.labels()
    tokens = np.array(visits.tokens[name], dtype=np.float64)
    spoke = tokens > 0
    ratio, ratio_ci95 = (1.0, (1.0, 1.0)) if name == reference else _ratio(visits, name, reference, rng)
    return Timing(
        median_ms=float(np.median(samples)),
        p90_ms=float(np.quantile(samples, 0.9)) if samples.size >= P90_SAMPLES else None,
        ci95_ms=cluster_median_interval(samples, items, rng),
        ratio=ratio,
        ratio_ci95=ratio_ci95,
        runs=samples.size,
        tokens=float(tokens.mean()),
        per_token_ms=_figure(samples[spoke] / tokens[spoke], items[spoke], rng) if spoke.any() else None,
        rtf=None if seconds is None else _figure(samples / 1000.0 / np.asarray(seconds)[items], items, rng),
        samples=tuple(samples.tolist()),
        stage_shares=_stage_shares(visits.stages.get(name, ())),
    )


def _stage_shares(runs: Sequence[Mapping[str, float]]) -> tuple[tuple[str, float], ...]:
    """The mean over runs of each stage's share of the run: one that the system interrupted counts as much as any other."""
    if not runs:
        return ()
    spent = np.array([list(stages.values()) for stages in runs], dtype=np.float64)
    shares = (spent / spent.sum(axis=1, keepdims=True)).mean(axis=0)
    return tuple(zip(runs[0], shares.tolist(), strict=True))


def measure_width(passes: Mapping[str, Visits], reference: str, rng: np.random.Generator, by_repeats: bool = False) -> float | None:
    """The width of the widest interval of a ratio in all passes, relative to the ratio; None where nothing can be said yet.

    With the reference alone: the interval of its level on these utterances, by the logarithms of its runs without those of the utterance.
    The median's own interval over utterances is as wide as they differ, and no repeat narrows it.
    `by_repeats`: only what more repeats would narrow, without the differences between utterances.
    """
    found = []
    for visits in passes.values():
        items, loads = visits.labels()
        alone = len(visits.ms) == 1
        level = _level(np.log(_milliseconds(visits, reference)), items) if alone else None
        if alone and level is None:
            return None
        values = [_log_ratios(visits, name, reference) for name in visits.ms if name != reference] if level is None else [level]
        groups = np.zeros_like(items) if by_repeats or alone else items
        found += [_relative_width(each, groups, loads, rng) for each in values]
    return max(found)


def _relative_width(logs: Doubles, items: Labels, loads: Labels, rng: np.random.Generator) -> float:
    low, high = np.exp(np.array(trimmed_mean_interval(logs, items, loads, rng)) - trimmed_mean(logs))
    return float(high - low)


def _level(logs: Doubles, items: Labels) -> Doubles | None:
    """Logarithms without their utterance's mean, scaled up by the freedom that its estimate took; None where none ran twice."""
    _, labels, counts = np.unique(items, return_inverse=True, return_counts=True)
    repeats = len(logs) / len(counts)
    if repeats < 2.0:
        return None
    means = np.bincount(labels, weights=logs) / counts
    return np.asarray((logs - means[labels]) * np.sqrt(repeats / (repeats - 1.0)))


def _ratio(visits: Visits, name: str, reference: str, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    values = _log_ratios(visits, name, reference)
    low, high = trimmed_mean_interval(values, *visits.labels(), rng)
    return float(np.exp(trimmed_mean(values))), (float(np.exp(low)), float(np.exp(high)))


def _log_ratios(visits: Visits, name: str, reference: str) -> Doubles:
    return np.asarray(np.log(_milliseconds(visits, name) / _milliseconds(visits, reference)))


def _milliseconds(visits: Visits, name: str) -> Doubles:
    samples = np.array(visits.ms[name])
    if not (samples > 0.0).all():
        raise ValueError(f"a run must take time; the clock read {float(samples.min()) / 1000.0:g} s")
    return samples


def _figure(values: Doubles, items: Labels, rng: np.random.Generator) -> Figure:
    return Figure(float(np.median(values)), cluster_median_interval(values, items, rng))
