"""Everything a target tells of one bundle: latency, energy, footprint, size and work, in one value with its fingerprint."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from paredown.data import Split
from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.protocol import Protocol
from paredown.profilers.fingerprint import Fingerprint, read_fingerprint
from paredown.profilers.footprint import Footprint
from paredown.profilers.latency import Effort, Latency
from paredown.profilers.size import Breakdown, measure_breakdown
from paredown.profilers.thermal import Thermal, read_thermal
from paredown.trials.footprint import measure_footprint
from paredown.trials.metering import EnergyRequest, meter
from paredown.trials.operations import macs_of_bundle
from paredown.trials.timing import REFERENCE, Stopwatch, Timed, audio_seconds

if TYPE_CHECKING:
    from paredown.runtime.session import Target

SUBJECT = "subject"


@dataclass(frozen=True)
class ProfileRequest:
    """How a bundle is measured. `energy` None: it is not asked for; `required`: whether a missing source of energy is refused or told.

    `beam_size` None takes the bundle's own.
    """

    target: "Target"
    threads: int
    effort: Effort
    fixed_tokens: int
    beam_size: int | None
    energy: EnergyRequest | None
    required: bool
    protocol: Protocol
    seed: int


@dataclass(frozen=True)
class Profile:
    """What was measured of a bundle, beside a reference where there was one.

    `energy` None where it was not asked for or has no source here; `no_energy` then tells the reason and what to do.
    `macs`: multiply-accumulates of an utterance of `audio_s` seconds, the mean of the split, at the fixed number of tokens.
    """

    machine: Fingerprint
    latency: Latency
    reference: Latency | None
    energy: Energy | None
    reference_energy: Energy | None
    no_energy: str
    size: Breakdown
    footprint: Footprint
    macs: int
    audio_s: float
    thermal: tuple[Thermal, Thermal]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the stable keys."""
        before, after = self.thermal
        against = None
        if self.reference is not None:
            energy = None if self.reference_energy is None else self.reference_energy.to_dict()
            against = {"latency_ms": self.reference.to_dict(), "energy_mj": energy}
        return {
            "latency_ms": self.latency.to_dict(),
            "energy_mj": _unavailable(self.no_energy) if self.energy is None else self.energy.to_dict(),
            **self.size.to_dict(),
            **self.footprint.to_dict(),
            "macs": {"value": self.macs, "audio_s": self.audio_s, "tokens": self.latency.fixed_tokens},
            "against": against,
            "temperature_c": {"before": before.temperature_c, "after": after.temperature_c},
            "throttled": after.slowed_since(before),
            "target": json.loads(self.machine.to_json()) | {"digest": self.machine.digest},
        }


def take_profile(bundle: Path, reference: Path | None, split: Split, request: ProfileRequest) -> Profile:
    """Measures `bundle`, interleaved with `reference` where there is one, on the utterances of `split`.

    Raises BadInput for what cannot be used, energy that is required and has no source among it, before anything is measured.
    """
    no_energy = _find_obstacle(request)
    subject = Timed(bundle, request.beam_size)
    candidates = {REFERENCE: subject} if reference is None else {REFERENCE: Timed(reference, request.beam_size), SUBJECT: subject}
    name = REFERENCE if reference is None else SUBJECT
    machine, before = read_fingerprint(request.threads, request.target), read_thermal()
    with Stopwatch(request.threads, request.target) as stopwatch:
        timed = stopwatch.time(candidates, split, request.effort, fixed_tokens=request.fixed_tokens, seed=request.seed)
        metered: dict[str, Energy] = {}
        if request.energy is not None and not no_energy:
            metered = meter(stopwatch, candidates, split, request.energy, request.protocol, seed=request.seed)
        audio_s = fmean(stopwatch.alone(audio_seconds, subject, tuple(utterance.audio for utterance in split.utterances)))
    after = read_thermal()
    sizes = measure_breakdown(bundle)
    footprint = measure_footprint(
        bundle, request.threads, request.target, audio_s, request.fixed_tokens, beam_size=request.beam_size, seed=request.seed
    )
    return Profile(
        machine=machine,
        latency=timed[name],
        reference=None if reference is None else timed[REFERENCE],
        energy=metered.get(name),
        reference_energy=None if reference is None else metered.get(REFERENCE),
        no_energy=no_energy,
        size=sizes,
        footprint=footprint,
        macs=macs_of_bundle(bundle, audio_s, request.fixed_tokens, request.beam_size),
        audio_s=audio_s,
        thermal=(before, after),
    )


def _find_obstacle(request: ProfileRequest) -> str:
    """Why there will be no energy, empty where there will be; raises BadInput instead where it is required."""
    if request.energy is None:
        return "not asked for"
    try:
        request.energy.check()
    except BadInput as error:
        if request.required:
            raise
        return str(error)
    return ""


def _unavailable(reason: str) -> dict[str, Any]:
    return {"value": None, "ci95": None, "provenance": "unavailable", "reason": reason}
