"""Budgets as a program states them: human units by name."""

from collections.abc import Mapping

Budgets = Mapping[str, str | float]


def as_options(budgets: Budgets | None) -> tuple[str, ...]:
    """The same as the command line states them: {"size": "12 MB", "quality": -1.0} is ("size=12 MB", "quality=-1.0").

    Names are size, latency@cpu, latency@cuda, energy@cpu and quality. Latency and energy need their unit ("80 ms", "200 mJ"); a plain
    number is bytes, or points of quality: at or below zero the loss allowed, above zero the score.
    """
    return tuple(f"{name}={limit}" for name, limit in (budgets or {}).items())
