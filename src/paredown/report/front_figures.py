"""How a figure of a front is written: its heading, its digits, its interval and whether it was measured."""

from paredown.profilers.measurement import Measurement
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome

ESTIMATED = "~"  # before every figure that no instrument measured
_SHORT = {"size_bytes": "size MB"}


def heading(objective: Objective, estimated: bool = False) -> str:
    """Name and unit in one line, and whether figures of the column are estimates."""
    short = objective.name.replace("_ms", "").replace("_mj", "").replace("_ratio", "")
    name = _SHORT.get(objective.name, f"{short} {objective.unit}")
    return f"{name}, {ESTIMATED} ESTIMATED" if estimated else name


def short_heading(objective: Objective) -> tuple[str, str]:
    """The same in two short lines: what it is, and its target and unit."""
    kind, _, target = objective.name.partition("@")
    unit = "MB" if objective.unit == "bytes" else ("x" if objective.unit.startswith("x ") else objective.unit)
    return kind.partition("_")[0], f"{target} {unit}".strip()


def is_estimated(outcome: Outcome, objective: Objective) -> bool:
    """Whether no instrument measured the figure of this objective."""
    return objective.name in outcome.estimated


def bracketed(objective: Objective, figure: Measurement, value: float) -> str:
    """The value with its interval behind it."""
    if figure.provenance == "unavailable":
        return "unavailable"
    scale, digits = scale_of(objective), _digits(objective)
    around = f" [{figure.ci95[0] / scale:.{digits}f}, {figure.ci95[1] / scale:.{digits}f}]" if figure.ci95 else ""
    return plain(objective, figure, value) + around


def plain(objective: Objective, figure: Measurement, value: float) -> str:
    """The value alone, marked where it is an estimate."""
    if figure.provenance == "unavailable":
        return "n/a"
    sign = "+" if objective.name == "quality" else ""
    return f"{ESTIMATED if figure.provenance == 'estimated' else ''}{value / scale_of(objective):{sign}.{_digits(objective)}f}"


def half_width(objective: Objective, figure: Measurement, value: float) -> str:
    """ "±0.75": how far the farther end of the interval lies from the value; nothing where there is no interval."""
    if figure.provenance == "unavailable" or not figure.ci95:
        return ""
    farthest = max(abs(value - end) for end in figure.ci95)
    return f"±{farthest / scale_of(objective):.{_digits(objective)}f}"


def decoded(outcome: Outcome) -> tuple[str, str]:
    """Latency over the reference's at a fixed number of tokens, and the mean tokens: a damaged model that stops early is not fast.

    Of the first target: how many tokens are decoded does not depend on the target.
    """
    measured = outcome.measurement_of
    latency = next((figure for name, figure in outcome.measurements if name.startswith("latency_ms@")), None)
    ratio = None if latency is None else latency.detail_of.get("fixed_tokens_ratio")
    tokens = measured["quality"].detail_of.get("tokens") if "quality" in measured else None
    return (f"{ratio:.2f}" if isinstance(ratio, float) else "", f"{tokens:.1f}" if isinstance(tokens, float) else "")


def scale_of(objective: Objective) -> float:
    """What a value of the objective is divided by to be in the unit of the heading."""
    return 1e6 if objective.unit == "bytes" else 1.0


def _digits(objective: Objective) -> int:
    return 2 if objective.unit == "bytes" or objective.name == "quality" or objective.unit.startswith("x ") else 1
