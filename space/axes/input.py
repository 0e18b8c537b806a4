"""Axis `input`: how much of the audio the model hears, as hop length and sample rate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.configuration import Configuration, Input
from paredown.space.knobs import ChoiceKnob, IntKnob, Knob


class InputAxis(Axis):
    """Knobs `input.hop_samples` (one of `hops`, at the model's own rate) and `input.rate` (index into `rates`, where there are several).

    A hop of `own_hop` and a rate without change give the model's own input, so that full input has one digest.
    Source: On-device Speech Translation, Table 1: hop 160, 200, 250, 300, and 8 kHz.
    """

    name: ClassVar[str] = "input"
    stage: ClassVar[int] = 0

    def __init__(self, own_hop: int, hops: Sequence[int] = (), rates: Sequence[Input] = ()) -> None:
        """`rates`: inputs that name a sample rate, or none for the model's own; from the most audio to the least."""
        if not hops and not rates:
            raise ValueError("axis input needs hop lengths or sample rates to choose from, got neither")
        self.own_hop, self.rates = own_hop, tuple(rates)
        self._hop = ChoiceKnob(f"{self.name}.hop_samples", tuple(hops)) if hops else None
        self._rate = IntKnob(f"{self.name}.rate", 0, len(self.rates) - 1) if self.rates else None

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return tuple(knob for knob in (self._hop, self._rate) if knob is not None)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        heard = configuration.input if self._rate is None else self.rates[int(values[self._rate.name])]
        if self._hop is not None:
            hop = int(values[self._hop.name])
            heard = replace(heard, hop_samples=None if hop == self.own_hop else hop)
        return replace(configuration, input=heard)

    def lowest(self) -> dict[str, float | int]:
        return {knob.name: knob.high for knob in self.knobs}  # the longest hop and the lowest rate: the least work

    def describe(self) -> dict[str, Any]:
        described = super().describe() | {f"{self.name}.own_hop": self.own_hop}
        if self._hop is not None:
            described[f"{self._hop.name}.choices"] = list(self._hop.choices)
        if self._rate is not None:
            described[f"{self._rate.name}.choices"] = [[rate.sample_rate_hz, rate.variant] for rate in self.rates]
        return described
