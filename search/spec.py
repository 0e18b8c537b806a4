"""A study file as a value: parsed and checked once, at the edge, and frozen from then on.

Human units stay as they were written, so that the study can be written back; the properties give them in base units.
"""

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from paredown.search.budget import Budget, make_budget
from paredown.search.objective import Objective
from paredown.search.sampler import SamplerName
from paredown.search.units import parse_duration_s
from paredown.space.configuration import MAX_BITS, MIN_BITS, Decode, Input, Method, Variant
from paredown.space.inventory import GROUPS

LATER = {"width", "rank"}  # axes of the design that no release searches yet
AXES = ("bits", "layers", "sparsity", "input", "decode")
Text = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(lambda value: _refuse_bool(value, "a whole number"))]
Real = Annotated[float, BeforeValidator(lambda value: _refuse_bool(value, "a number"))]


class Section(BaseModel):
    """A table of the study file: frozen, and no key is accepted that it does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class ModelSection(Section):
    """`path`: a folder or `bundled:NAME`."""

    path: Text


class DataSection(Section):
    """Where the four splits lie; what is absent comes with the model, or is not needed."""

    analysis: Text | None = None
    search: Text | None = None
    test: Text | None = None
    train: Text | None = None


class BitsAxisSpec(Section):
    """`average`: range of the mean bit-width; `choices`: the widths a layer may have; `method`: how codes are chosen (gptq: calibrated)."""

    average: tuple[float, float]
    choices: tuple[Whole, ...] = tuple(range(MIN_BITS, MAX_BITS + 1))
    method: Method = "rtn"

    @model_validator(mode="after")
    def _check(self) -> Self:
        choices = self.choices
        if not choices or list(choices) != sorted(set(choices)) or choices[0] < MIN_BITS or choices[-1] > MAX_BITS:
            raise ValueError(f"choices must be ascending widths in [{MIN_BITS}, {MAX_BITS}], got {list(choices)}")
        low, high = self.average
        if not choices[0] <= low <= high <= choices[-1]:
            raise ValueError(f"average bits must lie in [{choices[0]}, {choices[-1]}], low before high, got {list(self.average)}")
        return self


class LayersAxisSpec(Section):
    """`decoder`, `encoder`: fewest and most blocks of a stack that stay; one that is absent stays whole.

    `rule`: "greedy" removes what costs least in the metric `by`, "middle" the blocks from the middle on; `protect`: the first and the last
    block of a stack stay.
    """

    decoder: tuple[Whole, Whole] | None = None
    encoder: tuple[Whole, Whole] | None = None
    rule: Literal["greedy", "middle"] = "greedy"
    by: Literal["chrf", "chrf++", "bleu", "wer"] = "chrf"
    protect: bool = True

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Fewest and most blocks kept of every stack that may lose some."""
        return {stack: kept for stack in ("decoder", "encoder") if (kept := getattr(self, stack)) is not None}

    @field_validator("decoder", "encoder")
    @classmethod
    def _check(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 1 <= value[0] <= value[1]:
            raise ValueError(f"blocks kept must be at least 1, low before high, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _check_stacks(self) -> Self:
        if not self.ranges:
            raise ValueError("axis layers needs a range of decoder or encoder blocks, got none")
        return self


class SparsityAxisSpec(Section):
    """`groups`: module groups that lose weights; `max`: the largest share each may lose."""

    groups: tuple[str, ...] = Field(min_length=1)
    max: float

    @field_validator("groups")
    @classmethod
    def _check_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for group in value:
            if group not in GROUPS:
                near = get_close_matches(group, GROUPS, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"the groups are {', '.join(GROUPS)}"
                raise ValueError(f"a module group must be one of the model's, got {group!r}; {hint}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.groups)) != len(self.groups):
            raise ValueError(f"groups must name each group once, got {list(self.groups)}")
        if not 0.0 < self.max < 1.0:
            raise ValueError(f"max must lie between 0 and 1, got {self.max}")
        return self


class InputAxisSpec(Section):
    """`hop_samples`: hop lengths to choose from, at the model's own rate; `sample_rate_hz`: lower rates beside its own, in `variants`."""

    hop_samples: tuple[Annotated[Whole, Field(ge=1)], ...] = ()
    sample_rate_hz: tuple[Annotated[Whole, Field(ge=1000)], ...] = ()
    variants: tuple[Variant, ...] = ("matched",)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Every rate and variant there is, the model's own first; empty where only the hop varies."""
        if not self.sample_rate_hz:
            return ()
        rates = sorted(self.sample_rate_hz, reverse=True)
        return (Input(), *(Input(None, rate_hz, variant) for rate_hz in rates for variant in self.variants))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.hop_samples and not self.sample_rate_hz:
            raise ValueError("axis input needs hop_samples or sample_rate_hz, got neither")
        for name in ("hop_samples", "sample_rate_hz", "variants"):
            values = getattr(self, name)
            if len(set(values)) != len(values) or (not values and name == "variants"):
                raise ValueError(f"{name} must name each choice once, got {list(values)}")
        if list(self.hop_samples) != sorted(self.hop_samples):
            raise ValueError(f"hop_samples must be ascending, got {list(self.hop_samples)}")
        return self


class DecodeAxisSpec(Section):
    """Ranges of how bundles are decoded; one that is absent stays as the model's kind is decoded."""

    beam_size: tuple[Whole, Whole] | None = None
    ctc_weight: tuple[float, float] | None = None
    length_bonus: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        if not given:
            raise ValueError("axis decode needs beam_size, ctc_weight or length_bonus, got none")
        for name, (low, high) in given.items():
            if low > high:
                raise ValueError(f"{name} must run from low to high, got {[low, high]}")
            for value in (low, high):
                Decode(**{name: value})
        return self


class SpaceSection(Section):
    """What may vary; an axis that is absent is off."""

    bits: BitsAxisSpec | None = None
    layers: LayersAxisSpec | None = None
    sparsity: SparsityAxisSpec | None = None
    input: InputAxisSpec | None = None
    decode: DecodeAxisSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_later(cls, value: Any) -> Any:
        for name in sorted(LATER & set(value)) if isinstance(value, dict) else ():
            raise ValueError(f"axis {name} is not supported yet; the axes are {', '.join(AXES)}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if all(getattr(self, name) is None for name in AXES):
            raise ValueError(f"a space needs at least one axis of {', '.join(AXES)}, got none")
        return self


class ObjectivesSection(Section):
    """What is minimized and maximized. `quality`: the metric; `latency`, `energy`: targets; `size`: bytes of the bundle.

    `energy = "estimate"` takes a labelled model in the place of a counter (see `TargetSection`).
    """

    quality: Literal["chrf", "bleu"] = "chrf"
    latency: tuple[Literal["cpu"], ...] = ("cpu",)
    energy: tuple[Literal["cpu"], ...] | Literal["estimate"] = ()
    size: bool = True

    @field_validator("energy", mode="before")
    @classmethod
    def _known_energy(cls, value: Any) -> Any:
        if value not in ([], (), ["cpu"], ("cpu",), "estimate"):
            raise ValueError(f'energy must be [], ["cpu"] (measured by counters) or "estimate" (a labelled model), got {value!r}')
        return value

    @field_validator("latency")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"latency must name each target once, got {list(value)}")
        return value


class TargetSection(Section):
    """How the target runs a bundle. `threads`: of the runtime.

    `tdp_w`, `tdp_cores`: design power and physical cores of one processor package, for energy = "estimate" where they are not known.
    """

    threads: Annotated[Whole, Field(ge=1)] = 1
    tdp_w: Annotated[Real, Field(gt=0)] | None = None
    tdp_cores: Annotated[Whole, Field(ge=1)] | None = None


class BudgetsSection(Section):
    """Limits in human units; `quality` at or below zero is a loss allowed, above zero a score."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_alias=True, serialize_by_alias=True)

    size: str | float | None = None
    latency_cpu: str | float | None = Field(default=None, alias="latency@cpu")
    energy_cpu: str | float | None = Field(default=None, alias="energy@cpu")
    quality: str | float | None = None

    @property
    def given(self) -> tuple[tuple[str, str | float], ...]:
        """(name, limit) of each budget there is."""
        pairs = (("size", self.size), ("latency@cpu", self.latency_cpu), ("energy@cpu", self.energy_cpu), ("quality", self.quality))
        return tuple((name, limit) for name, limit in pairs if limit is not None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, limit in self.given:
            make_budget(name, limit)
        return self


class SearchSection(Section):
    """How the space is explored. `trials` and `time` bound the whole study, earlier runs included; `time` includes the analysis."""

    sampler: SamplerName = "auto"
    trials: Annotated[Whole, Field(ge=1)] = 60
    time: str | float | None = None
    seed: Annotated[Whole, Field(ge=0)] = 0

    @property
    def time_s(self) -> float | None:
        """Seconds, None without a limit."""
        return None if self.time is None else parse_duration_s(self.time)

    @field_validator("time")
    @classmethod
    def _check(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            parse_duration_s(value)
        return value


class StudySpec(Section):
    """A whole study file."""

    name: Text
    model: ModelSection
    data: DataSection = DataSection()
    space: SpaceSection
    objectives: ObjectivesSection = ObjectivesSection()
    budgets: BudgetsSection = BudgetsSection()
    target: TargetSection = TargetSection()
    search: SearchSection = SearchSection()

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", value):
            raise ValueError(f"a name becomes a folder: letters, digits, '.', '_' and '-', got {value!r}")
        return value

    @model_validator(mode="after")
    def _check_measured(self) -> Self:
        if self.budgets.latency_cpu is not None and "cpu" not in self.objectives.latency:
            raise ValueError('a budget on latency@cpu needs the objective latency = ["cpu"], got none')
        if self.budgets.energy_cpu is not None and not self.objectives.energy:
            raise ValueError('a budget on energy@cpu needs the objective energy = ["cpu"] or "estimate", got none')
        for name, value in (("tdp_w", self.target.tdp_w), ("tdp_cores", self.target.tdp_cores)):
            if value is not None and self.objectives.energy != "estimate":
                energy = list(self.objectives.energy)
                raise ValueError(f'target.{name} is for energy = "estimate" alone, got {value:g} beside energy = {energy}')
        return self

    @property
    def budget_list(self) -> tuple[Budget, ...]:
        """The budgets, in base units."""
        return tuple(make_budget(name, limit, self.objectives.quality) for name, limit in self.budgets.given)

    @property
    def objective_list(self) -> tuple[Objective, ...]:
        """Quality first, then the costs."""
        points = {"chrf": "chrF", "bleu": "BLEU"}[self.objectives.quality]
        latency = tuple(Objective(f"latency_ms@{target}", "minimize", "ms", "log") for target in self.objectives.latency)
        energy = (Objective("energy_mj@cpu", "minimize", "mJ", "log"),) if self.objectives.energy else ()
        size = (Objective("size_bytes", "minimize", "bytes", "log"),) if self.objectives.size else ()
        return (Objective("quality", "maximize", points), *latency, *energy, *size)


def _refuse_bool(value: Any, rule: str) -> Any:
    """TOML's true is no number, though pydantic takes it for 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be {rule}, got {str(value).lower()}")
    return value
