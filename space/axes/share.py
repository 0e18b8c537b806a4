"""A knob that is a share of something that goes: from nothing to some largest part, in steps."""

from paredown.space.knobs import FloatKnob

STEP = 0.05


def share_knob(name: str, what: str, highest: float) -> FloatKnob:
    """The knob; a range that is no multiple of the step could never reach its own end. Raises ValueError unless 0 <= highest < 1."""
    if not 0.0 <= highest < 1.0:
        raise ValueError(f"the largest {what} must lie in [0, 1), got {highest}")
    return FloatKnob(name, 0.0, round(int(highest / STEP + 1e-9) * STEP, 10), STEP)
