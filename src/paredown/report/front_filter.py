"""Which trials of a front are shown, and in which order: `--where` and `--sort`.

A condition is a name, a comparison and a number, read by hand: nothing in it is ever run.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from paredown.errors import BadInput
from paredown.report.front_rows import FrontEntry
from paredown.search.objective import Objective
from paredown.search.trial import Trial
from paredown.search.units import parse_energy_mj, parse_latency_ms, parse_size_bytes

_CONDITION = re.compile(r"\s*([^\s<>=!]+)\s*(<=|>=|==|!=|=|<|>)\s*(\S.*?)\s*")
_EQUAL_WITHIN = 1e-9  # relative: what a person writes with all digits


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_EQUAL_WITHIN, abs_tol=1e-12)


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": lambda one, other: one <= other or _equal(one, other),
    ">=": lambda one, other: one >= other or _equal(one, other),
    "<": lambda one, other: one < other and not _equal(one, other),
    ">": lambda one, other: one > other and not _equal(one, other),
    "=": _equal,
    "==": _equal,
    "!=": lambda one, other: not _equal(one, other),
}


@dataclass(frozen=True)
class Condition:
    """`name`: of a figure or a knob; `limit`: in its base unit; `text`: as the user wrote it."""

    name: str
    comparison: str
    limit: float
    text: str

    def holds(self, trial: Trial) -> bool:
        """Whether it holds of a trial; not of one that lacks the figure or the knob."""
        value = _facts(trial).get(self.name)
        return value is not None and _COMPARISONS[self.comparison](value, self.limit)


def parse_conditions(texts: Iterable[str], trials: Sequence[Trial]) -> tuple[Condition, ...]:
    """The conditions of the command line, such as "size<=8MB", "bits.average<4" or "layers.decoder=4".

    A figure is named as in a budget (size, latency@cpu, energy@cpu), with its unit, or as in JSON (latency_ms@cpu), in its base unit.
    Raises BadInput on what is no condition, a name that no trial has (listing those there are) and a limit that cannot be read.
    """
    known = sorted({_spoken(name) for trial in trials for name in _facts(trial)} | {"trial"})
    return tuple(_parse(text, known) for text in texts)


def _parse(text: str, known: Sequence[str]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise BadInput(f'a condition is written NAME, one of <= >= = != < >, LIMIT such as "size<=8MB", got {text!r}')
    name, comparison, limit = match.groups()
    spoken = _spoken(name)
    if spoken not in known:
        near = get_close_matches(spoken, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadInput(f"a condition is on one of {', '.join(known)}; got {name!r}{hint}")
    return Condition(_stored(name), comparison, _limit(spoken, limit, in_base_unit=spoken != name), text.strip())


def _limit(spoken: str, text: str, in_base_unit: bool) -> float:
    """The number in the base unit of what is named; `in_base_unit`: a bare number has it too."""
    what = f"the limit on {spoken}"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    kind = spoken.partition("@")[0]
    if kind == "size":
        return float(parse_size_bytes(text, what))
    if kind in ("latency", "energy") and "@" in spoken and not (in_base_unit and math.isfinite(value)):
        return (parse_latency_ms if kind == "latency" else parse_energy_mj)(text, what)
    if not math.isfinite(value):
        raise BadInput(f"{what} must be a finite number, got {text!r}")
    return value


def _facts(trial: Trial) -> dict[str, float]:
    """All numbers of a trial by their stored name, in base units."""
    figures = trial.outcome.measurements if trial.outcome is not None else ()
    known = {name: figure.value for name, figure in figures if figure.provenance != "unavailable"}
    return known | dict(trial.candidate.knobs or ()) | {"trial": float(trial.number)}


def _spoken(name: str) -> str:
    """As budgets name it: "latency_ms@cpu" is latency@cpu."""
    if name == "size_bytes":
        return "size"
    kind, at, target = name.partition("@")
    return f"{kind.removesuffix('_ms').removesuffix('_mj')}{at}{target}"


def _stored(name: str) -> str:
    """As outcomes name it."""
    if name == "size":
        return "size_bytes"
    units = {"latency": "latency_ms", "energy": "energy_mj"}
    kind, at, target = name.partition("@")
    return f"{units[kind] if at and kind in units else kind}{at}{target}"


def sort_entries(entries: Sequence[FrontEntry], key: str, objectives: Sequence[Objective], turned: bool = False) -> list[FrontEntry]:
    """Best first by one objective ("latency" is that of the first target, "latency@cuda" another's), or by the trial's number.

    A "-" before the key turns the order, `turned` does so too. Raises BadInput where the study has no such objective.
    """
    name = key.removeprefix("-")
    backwards = key.startswith("-") != turned
    if name == "trial":
        return sorted(entries, key=lambda entry: (entry.study or "", entry.trial.number), reverse=backwards)
    spoken = [_spoken(objective.name).replace("_ratio", "") for objective in objectives]
    place = next((index for index, each in enumerate(spoken) if name in (each, each.partition("@")[0], objectives[index].name)), None)
    if place is None:
        raise BadInput(f"a front is sorted by one of {', '.join([*spoken, 'trial'])}, got {key!r}")
    objective = objectives[place]
    ordered = sorted(entries, key=lambda entry: (objective.loss(entry.point.values[place]), entry.trial.number))
    return ordered[::-1] if backwards else ordered
