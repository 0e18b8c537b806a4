"""Knobs as Optuna knows them."""

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob


def distributions_of(knobs: Sequence[Knob]) -> dict[str, BaseDistribution]:
    """Optuna's distribution of every knob, by name, in the order of the knobs."""
    return {knob.name: _distribution(knob) for knob in knobs}


def _distribution(knob: Knob) -> BaseDistribution:
    if isinstance(knob, FloatKnob):
        return FloatDistribution(knob.low, knob.high, step=knob.step)
    return IntDistribution(knob.low, knob.high, step=knob.step if isinstance(knob, ChoiceKnob) else 1)
