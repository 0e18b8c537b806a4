"""The stages of a translation, in order: what takes its time is told by them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paredown.runtime.translation import Timings

STAGES = ("features", "encoder", "search")


def stages_of(timings: "Timings") -> tuple[float, float, float]:
    """Milliseconds of each."""
    return timings.features_ms, timings.encoder_ms, timings.search_ms
