"""Axis `decode`: beam size, share of the CTC and length bonus: cheap knobs that move quality and latency together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.configuration import Configuration
from paredown.space.knobs import FloatKnob, IntKnob, Knob

SHARE_STEP, BONUS_STEP = 0.05, 0.1
Range = tuple[float, float]


class DecodeAxis(Axis):
    """Knobs `decode.beam_size`, `decode.ctc_weight` and `decode.length_bonus`, those whose range is given.

    With no CTC weight at all the CTC is not computed. Raises ValueError without any range.
    """

    name: ClassVar[str] = "decode"
    stage: ClassVar[int] = 0

    def __init__(
        self, beam_size: tuple[int, int] | None = None, ctc_weight: Range | None = None, length_bonus: Range | None = None
    ) -> None:
        knobs: list[Knob] = []
        if beam_size is not None:
            knobs.append(IntKnob(f"{self.name}.beam_size", *beam_size))
        if ctc_weight is not None:
            knobs.append(FloatKnob(f"{self.name}.ctc_weight", *ctc_weight, SHARE_STEP))
        if length_bonus is not None:
            knobs.append(FloatKnob(f"{self.name}.length_bonus", *length_bonus, BONUS_STEP))
        if not knobs:
            raise ValueError("axis decode needs a range of beam_size, ctc_weight or length_bonus, got none")
        self._knobs = tuple(knobs)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return self._knobs

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        chosen: dict[str, Any] = {name.removeprefix(f"{self.name}."): value for name, value in values.items()}
        return replace(configuration, decode=replace(configuration.decode, **chosen))

    def lowest(self) -> dict[str, float | int]:
        """None of them changes bytes; the smallest beam and the least CTC are the fastest."""
        return {knob.name: knob.low for knob in self._knobs}
