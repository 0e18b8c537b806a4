"""Energy of one candidate, per utterance, per second of audio and per token, or the reason why there is none."""

from dataclasses import asdict, dataclass
from typing import Any

from paredown.profilers.energy.base import EnergySource, SourceProvenance
from paredown.profilers.energy.idle import IdlePower
from paredown.profilers.energy.spread import Spread
from paredown.profilers.measurement import DetailValue, Measurement


@dataclass(frozen=True)
class Origin:
    """Where joules come from: see `EnergySource`."""

    source: str
    label: str
    target: str
    method: str
    provenance: SourceProvenance

    @classmethod
    def of(cls, source: EnergySource) -> "Origin":
        return cls(source.name, source.label, source.target, source.method, source.provenance)


@dataclass(frozen=True)
class Figures:
    """What was counted; energies in millijoules, lower is better. One sample a window.

    `gross_mj`: per utterance, of the target; `net_mj`: less idle power times the time, None where idle was not measured.
    `domains_mj`: per utterance and domain (package-0, dram-0, gpu-0, …), gross.
    `audio_mj_per_s`: per second of audio; `token_mj`: per decoded token, None where none was decoded.
    `ratio`: to the reference's window of the same repeat, gross; None where the reference has no figures.
    `utterances`: different ones; `passes`: the fewest that a window held; `seconds`: of all windows; `refused`: windows done again.
    """

    gross_mj: Spread
    net_mj: Spread | None
    domains_mj: tuple[tuple[str, float], ...]
    audio_mj_per_s: float
    token_mj: float | None
    ratio: Spread | None
    power_w: float
    utterances: int
    passes: int
    seconds: float
    refused: int
    idle: IdlePower | None
    detail: tuple[tuple[str, DetailValue], ...] = ()


@dataclass(frozen=True)
class Energy:
    """Exactly one of `figures` and `reason` is there."""

    origin: Origin
    figures: Figures | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.figures is None) == (self.reason is None):
            raise ValueError("energy has either figures or a reason why there are none")

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON keys of `energy_mj` (value, ci95, provenance) and the rest; without figures, value and ci95 are null."""
        found = self.figures
        if found is None:
            return {"value": None, "ci95": None, "provenance": "unavailable", **_origin(self.origin), "reason": self.reason}
        return {
            **_spread(found.gross_mj),
            "provenance": self.origin.provenance,
            **_origin(self.origin),
            "samples": list(found.gross_mj.samples),
            "net": None if found.net_mj is None else _spread(found.net_mj),
            "domains": dict(found.domains_mj),
            "per_audio_s": found.audio_mj_per_s,
            "per_token": found.token_mj,
            "ratio": None if found.ratio is None else _spread(found.ratio),
            "power_w": found.power_w,
            "idle_w": None if found.idle is None else found.idle.power_w,
            "utterances": found.utterances,
            "passes": found.passes,
            "repeats": len(found.gross_mj.samples),
            "seconds": found.seconds,
            "refused": found.refused,
            "detail": dict(found.detail),
        }

    def to_measurement(self) -> Measurement:
        """Gross millijoules per utterance; the other figures become its detail."""
        found = self.figures
        if found is None:
            return Measurement.unavailable("mJ", f"{self.origin.label}: {self.reason}")
        detail: dict[str, DetailValue] = {
            **asdict(self.origin),
            **dict(found.detail),
            "sd": found.gross_mj.sd,
            "net": None if found.net_mj is None else found.net_mj.value,
            "net_ci95": None if found.net_mj is None else found.net_mj.ci95,
            "per_audio_s": found.audio_mj_per_s,
            "per_token": found.token_mj,
            "ratio": None if found.ratio is None else found.ratio.value,
            "ratio_ci95": None if found.ratio is None else found.ratio.ci95,
            "power_w": found.power_w,
            "idle_w": None if found.idle is None else found.idle.power_w,
            "utterances": found.utterances,
            **{f"{domain}_mj": energy_mj for domain, energy_mj in found.domains_mj},
        }
        del detail["provenance"]  # it has its own field
        spread = found.gross_mj
        return Measurement(spread.value, "mJ", spread.ci95, len(spread.samples), self.origin.provenance, tuple(detail.items()))


def _spread(spread: Spread) -> dict[str, Any]:
    return {"value": spread.value, "ci95": None if spread.ci95 is None else list(spread.ci95), "sd": spread.sd}


def _origin(origin: Origin) -> dict[str, Any]:
    return {"source": origin.source, "label": origin.label, "target": origin.target, "method": origin.method}
