"""Latency on a target: how hard it is measured, what comes out, and under which conditions. `session` measures."""

from paredown.profilers.latency.conditions import Conditions
from paredown.profilers.latency.effort import CHEAP, STRICT, Effort
from paredown.profilers.latency.timing import Figure, Latency, Timing

__all__ = ["CHEAP", "STRICT", "Conditions", "Effort", "Figure", "Latency", "Timing"]
