"""Under which conditions a latency was measured, and whether they were good enough to trust it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from paredown.profilers.latency.drift import Drift
from paredown.profilers.machine_load import TOLERATED

# effort: as often as asked, no width was; narrow: as narrow as asked; time, repeats: a limit came first; utterances: what is left of the
# width are differences between utterances, which more of them would narrow and more repeats not.
Stopped = Literal["effort", "narrow", "time", "repeats", "utterances"]


@dataclass(frozen=True)
class Conditions:
    """One session of measuring.

    `cores`: logical cores that the process was pinned to, None where the system refused. `warmup_runs`: of all loads together; `steady`:
    every one of them had come to rest. `loads`: loads of each candidate. `drift`: of the reference, None where nothing was timed twice.
    `others_share`: of all processors, had by others meanwhile; None where the system does not tell. `seconds`: all of it took.
    `width`: the widest interval of a ratio, relative to it (with the reference alone: of its level); None where there was none.
    """

    cores: tuple[int, ...] | None
    warmup_runs: int
    steady: bool
    loads: int
    drift: Drift | None
    others_share: float | None
    seconds: float
    width: float | None
    stopped: Stopped

    def __post_init__(self) -> None:
        if self.stopped not in get_args(Stopped):
            raise ValueError(f"measuring stops for one of {', '.join(get_args(Stopped))}, got {self.stopped!r}")
        if self.loads < 1:
            raise ValueError(f"loads must be at least 1, got {self.loads}")

    @property
    def converged(self) -> bool:
        """The interval is as narrow as was asked, or nothing was asked."""
        return self.stopped in ("effort", "narrow")

    @property
    def drifted(self) -> bool:
        return self.drift is not None and self.drift.significant

    @property
    def disturbed(self) -> bool:
        """Others had more of the machine than is tolerated."""
        return self.others_share is not None and self.others_share > TOLERATED

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures must know, a short line each; empty where all was well."""
        found = []
        if self.loads == 1:
            found.append("one load of each: where it lies in memory, 1 to 4 %, is not in the interval")
        if self.drift is not None and self.drift.significant:
            low, high = self.drift.ci95
            slower = "slower" if self.drift.change > 0 else "faster"
            found.append(
                f"the reference became {100 * abs(self.drift.change):.1f} % {slower} meanwhile ({100 * low:+.1f} to {100 * high:+.1f} %)"
            )
        if self.disturbed and self.others_share is not None:
            found.append(f"others had {100 * self.others_share:.0f} % of the machine")
        if not self.steady:
            found.append("durations still fell when warming up ended")
        if not self.converged:
            found.append(f"the interval is wider than asked: {_REASONS[self.stopped]}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        drift = self.drift
        return {
            "cores": None if self.cores is None else list(self.cores),
            "warmup_runs": self.warmup_runs,
            "steady": self.steady,
            "loads": self.loads,
            "drift": None if drift is None else {"value": drift.change, "ci95": list(drift.ci95)},
            "drifted": self.drifted,
            "others_share": self.others_share,
            "disturbed": self.disturbed,
            "seconds": self.seconds,
            "width": self.width,
            "converged": self.converged,
            "stopped": self.stopped,
        }


_REASONS: dict[Stopped, str] = {
    "time": "the time was spent",
    "repeats": "every utterance was timed as often as allowed",
    "utterances": "the utterances differ among themselves, more of them would help, more repeats would not",
}
