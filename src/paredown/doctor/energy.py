"""What of this machine's energy can be counted, and what stands in the way of the rest."""

from collections.abc import Iterable, Iterator

from paredown.doctor.finding import Finding
from paredown.profilers.energy.probe import SourceState, find_sources

SECTION = "energy"
# What each source counts, in words.
SUBJECTS = {
    "rapl": "processor (RAPL)",
    "pyrapl": "processor (pyRAPL)",
    "battery": "whole machine (battery)",
    "nvml": "GPU (NVML)",
    "estimate": "processor (estimate)",
}


def look_at_energy(sources: Iterable[SourceState] | None = None) -> Iterator[Finding]:
    """One finding for each source. `sources`: what was found, by default on this machine."""
    for source in find_sources() if sources is None else sources:
        evidence = "; ".join(source.evidence) or "nothing there to look at"
        subject = SUBJECTS.get(source.name, source.name)
        if source.available:
            yield Finding(SECTION, subject, "ok", source.provenance, evidence)
        else:
            yield Finding(SECTION, subject, "missing", source.reason, evidence, source.remedy)
