"""How energy is measured: how many utterances, how often, in windows of which length, net of which idle time."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """One window runs one candidate over `utterances` utterances, `passes` times; there are `repeats` windows of each candidate.

    `window_s`: a window that would be shorter runs further passes (the source's own shortest window holds besides).
    `idle_s`: length of the quiet windows before and after, from which idle power comes; 0 leaves it out, and figures are gross alone.
    `warmup`: utterances that every candidate runs before, not counted.
    """

    utterances: int
    passes: int
    repeats: int
    idle_s: float
    window_s: float = 1.0
    warmup: int = 3

    def __post_init__(self) -> None:
        for name in ("utterances", "passes", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of an energy protocol must be at least 1, got {getattr(self, name)}")
        for name in ("idle_s", "warmup"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} of an energy protocol must be at least 0, got {getattr(self, name)}")
        if not 1.0 <= self.window_s < math.inf:
            raise ValueError(f"windows of an energy protocol must last 1 s at least (shorter ones are noise), got {self.window_s:g}")


# Section 4.7 of the first paper, On-device Speech Translation: 100 utterances, four passes, five repeats, mean and standard deviation.
# Its windows count the processor's package; idle is ours.
ON_DEVICE_ST = Protocol(utterances=100, passes=4, repeats=5, idle_s=30.0)

# Inside the search: windows as short as the counters allow, so few repeats that the interval is wide, and says so.
CHEAP = Protocol(utterances=16, passes=1, repeats=3, idle_s=0.0, warmup=1)

# The counter of a battery moves every few seconds to a minute: windows of a quarter of an hour.
ON_BATTERY = Protocol(utterances=100, passes=4, repeats=3, idle_s=900.0, window_s=900.0)
