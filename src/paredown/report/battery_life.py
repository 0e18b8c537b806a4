"""Energy in words a person uses: how many utterances a charge carries."""

from dataclasses import dataclass

MJ_PER_WH = 3.6e6


@dataclass(frozen=True)
class BatteryLife:
    """What `charge_wh` carries if nothing else drew from it: utterances, and hours of speech where the length of the audio is known.

    `utterances_ci95`: from the interval of the energy, low to high; None where it has none.
    Source: the first paper counts iterations within 10 Wh (Fig. 6).
    """

    charge_wh: float
    utterances: float
    utterances_ci95: tuple[float, float] | None
    speech_hours: float | None

    @classmethod
    def of(
        cls, charge_wh: float, energy_mj: float, ci95_mj: tuple[float, float] | None = None, audio_s: float | None = None
    ) -> "BatteryLife":
        """`energy_mj`, `audio_s`: of an utterance, on average. Raises ValueError unless charge and energy are above zero."""
        if not charge_wh > 0 or not energy_mj > 0:
            raise ValueError(f"charge and energy must be above zero, got {charge_wh} Wh and {energy_mj} mJ")
        charge_mj = charge_wh * MJ_PER_WH
        utterances = charge_mj / energy_mj
        known = ci95_mj is not None and ci95_mj[0] > 0  # an interval that holds zero has no end for what a charge carries
        around = (charge_mj / ci95_mj[1], charge_mj / ci95_mj[0]) if ci95_mj is not None and known else None
        return cls(charge_wh, utterances, around, None if audio_s is None else utterances * audio_s / 3600.0)

    def __str__(self) -> str:
        around = f" ({_round(self.utterances_ci95[0])} to {_round(self.utterances_ci95[1])})" if self.utterances_ci95 else ""
        speech = "" if self.speech_hours is None else f", {_round(self.speech_hours)} hours of speech"
        return f"{self.charge_wh:g} Wh carry {_round(self.utterances)} utterances{around}{speech}"


def _round(value: float) -> str:
    """Three digits, with separators for thousands."""
    return f"{float(f'{value:.3g}'):,.15g}"
