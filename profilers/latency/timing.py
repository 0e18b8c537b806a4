"""Latency of one candidate: per utterance, per token, at a fixed number of tokens, and as real-time factor, beside a reference.

A damaged model that stops early is not fast: every latency comes with the tokens it decoded, and beside it the latency at
a fixed number of tokens. How it is measured: `paredown.profilers.latency.session`.
"""

from dataclasses import dataclass, field
from typing import Any

from paredown.profilers.latency.conditions import Conditions
from paredown.profilers.measurement import DetailValue, Measurement


@dataclass(frozen=True)
class Figure:
    """A median over all runs and its 95 % bootstrap interval over utterances."""

    median: float
    ci95: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return {"median": self.median, "ci95": list(self.ci95)}


@dataclass(frozen=True)
class Timing:
    """One candidate's latency per utterance, in milliseconds; lower is better.

    `median_ms` over all runs, `ci95_ms` its bootstrap interval over utterances; `p90_ms` is None below 64 runs.
    `ratio`: typical ratio to the reference (below 1 = faster than it) with `ratio_ci95`; 1 for the reference itself.
    `runs`: timed runs; `tokens`: mean tokens decoded per run. `per_token_ms`: milliseconds per decoded token, None where no run decoded
    one. `rtf`: seconds per second of audio, None where the audio's durations were not given. `samples`: milliseconds of every run, in the
    order of time. `stage_shares`: what part of a run each stage takes (mean over runs, they sum to 1), none where stages are not told.
    """

    median_ms: float
    p90_ms: float | None
    ci95_ms: tuple[float, float]
    ratio: float
    ratio_ci95: tuple[float, float]
    runs: int
    tokens: float
    per_token_ms: Figure | None = None
    rtf: Figure | None = None
    samples: tuple[float, ...] = field(default=(), repr=False)
    stage_shares: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Latency:
    """A candidate as it decodes freely, and at `fixed_tokens` tokens where that was measured; `conditions` of the session."""

    free: Timing
    fixed: Timing | None = None
    fixed_tokens: int | None = None
    conditions: Conditions | None = None

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON keys of `latency_ms`, and the ratios to the reference."""
        free, fixed = self.free, self.fixed
        return {
            "median": free.median_ms,
            "p90": free.p90_ms,
            "ci95": list(free.ci95_ms),
            "runs": free.runs,
            "tokens": free.tokens,
            "per_token": None if free.per_token_ms is None else free.per_token_ms.to_dict(),
            "rtf": None if free.rtf is None else free.rtf.to_dict(),
            "stage_shares": dict(free.stage_shares) or None,
            "fixed_tokens": self.fixed_tokens,
            "fixed_tokens_median": None if fixed is None else fixed.median_ms,
            "fixed_tokens_ci95": None if fixed is None else list(fixed.ci95_ms),
            "ratio": {"value": free.ratio, "ci95": list(free.ratio_ci95)},
            "fixed_tokens_ratio": None if fixed is None else {"value": fixed.ratio, "ci95": list(fixed.ratio_ci95)},
            "conditions": None if self.conditions is None else self.conditions.to_dict(),
        }

    def to_measurement(self) -> Measurement:
        """The median in ms; the figures of `to_dict` that are not in its own fields become its detail."""
        free, fixed = self.free, self.fixed
        detail: dict[str, DetailValue] = {
            "p90": free.p90_ms,
            "tokens": free.tokens,
            "per_token": None if free.per_token_ms is None else free.per_token_ms.median,
            "rtf": None if free.rtf is None else free.rtf.median,
            "ratio": free.ratio,
            "ratio_ci95": free.ratio_ci95,
            "fixed_tokens": self.fixed_tokens,
            "fixed_tokens_median": None if fixed is None else fixed.median_ms,
            "fixed_tokens_ci95": None if fixed is None else fixed.ci95_ms,
            "fixed_tokens_ratio": None if fixed is None else fixed.ratio,
            "fixed_tokens_ratio_ci95": None if fixed is None else fixed.ratio_ci95,
        }
        detail |= {f"share_{stage}": share for stage, share in free.stage_shares}
        if self.conditions is not None:
            detail["drifted"] = self.conditions.drifted
            detail["others_share"] = self.conditions.others_share
            detail["stopped"] = self.conditions.stopped
        return Measurement(free.median_ms, "ms", free.ci95_ms, free.runs, detail=tuple(detail.items()))
