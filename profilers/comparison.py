"""Figures of two targets are not compared: a laptop on battery is another target than the same laptop on mains."""

from collections.abc import Iterable, Mapping

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement


def require_one_target(what: str, measurements: Iterable[tuple[str, Measurement]]) -> None:
    """Raises BadInput where figures of one name were measured on different targets, or some are measured and some estimated.

    `what`: what is about to be compared, for the message. `measurements`: pairs of who has the figure and the figure itself.
    Figures that no machine determines (without a target) and unavailable ones are left out.
    """
    owners: dict[tuple[str | None, str], str] = {}
    for owner, measurement in measurements:
        if measurement.target is not None and measurement.provenance != "unavailable":
            owners.setdefault((measurement.target, measurement.provenance), owner)
    if len(owners) > 1:
        raise BadInput(f"{what} is compared on one target and from one source only, got {_describe(owners)}")


def _describe(owners: Mapping[tuple[str | None, str], str]) -> str:
    return ", ".join(f"{owner} {provenance} on {(target or '')[:12]}" for (target, provenance), owner in owners.items())
