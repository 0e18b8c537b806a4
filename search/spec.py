"""A study file as a value: parsed and checked once, at the edge, and frozen from then on.

Human units stay as they were written, so that the study can be written back; the properties give them in base units.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from paredown.search.budget import METRICS, Budget, make_budget
from paredown.search.objective import Objective
from paredown.search.recovery_section import RecoverySection
from paredown.search.sampler import SamplerName
from paredown.search.section import Real, Section, Text, Whole
from paredown.search.space_section import SpaceSection
from paredown.search.units import parse_duration_s

Target = Literal["cpu", "cuda"]


class ModelSection(Section):
    """`path`: a folder, a weights file, `org/name[@revision]` of the hub, or `bundled:NAME`."""

    path: Text


class DataSection(Section):
    """Where the four splits lie, and `other`, out-of-domain data to train on; what is absent comes with the model, or is not needed."""

    analysis: Text | None = None
    search: Text | None = None
    test: Text | None = None
    train: Text | None = None
    other: Text | None = None


class ObjectivesSection(Section):
    """What is minimized and maximized. `quality`: the metric; `latency`, `energy`: targets; `size`: bytes of the bundle.

    Latency is always one, on several targets several, in the order given.
    `energy = "estimate"` takes a labelled model in the place of a counter (see `TargetSection`).
    """

    quality: Literal["chrf", "bleu", "wer"] = "chrf"
    latency: tuple[Target, ...] = ("cpu",)
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
        if not value or len(set(value)) != len(value):
            raise ValueError(f"latency must name a target, and each once, got {list(value)}")
        return value


class TargetSection(Section):
    """How the target runs a bundle. `threads`: of the runtime, on the CPU. `kernel`: what computes coded layers; "int8" is the CPU's alone.

    `tdp_w`, `tdp_cores`: design power and physical cores of one processor package, for energy = "estimate" where they are not known.
    """

    threads: Annotated[Whole, Field(ge=1)] = 1
    kernel: Literal["int8", "nbits"] = "int8"
    tdp_w: Annotated[Real, Field(gt=0)] | None = None
    tdp_cores: Annotated[Whole, Field(ge=1)] | None = None


class BudgetsSection(Section):
    """Limits in human units; `quality` at or below zero is a loss allowed, above zero a score."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_alias=True, serialize_by_alias=True)

    size: str | float | None = None
    latency_cpu: str | float | None = Field(default=None, alias="latency@cpu")
    latency_cuda: str | float | None = Field(default=None, alias="latency@cuda")
    energy_cpu: str | float | None = Field(default=None, alias="energy@cpu")
    quality: str | float | None = None

    @property
    def given(self) -> tuple[tuple[str, str | float], ...]:
        """(name, limit) of each budget there is."""
        fields = type(self).model_fields
        pairs = ((fields[name].alias or name, getattr(self, name)) for name in fields)
        return tuple((name, limit) for name, limit in pairs if limit is not None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, limit in self.given:
            make_budget(name, limit)
        return self


class SearchSection(Section):
    """How the space is explored. `trials` and `time` bound the whole study, earlier runs included; `time` includes the analysis.

    `sampler`: "auto" is "model" up to 200 trials and "tpe" beyond (see `paredown.search.sampler`).
    `staged`: what is cheap to know comes first, and ends what a budget rules out. `racing`: decoding ends as soon as the front is out of
    reach. `refine`: neighbours of the front are tried too. `warm_start`: folders of other studies, whose fronts are tried first.
    """

    sampler: SamplerName = "auto"
    trials: Annotated[Whole, Field(ge=1)] = 60
    time: str | float | None = None
    seed: Annotated[Whole, Field(ge=0)] = 0
    staged: bool = True
    racing: bool = True
    refine: bool = True
    warm_start: tuple[Text, ...] = ()

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
    recovery: RecoverySection | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", value):
            raise ValueError(f"a name becomes a folder: letters, digits, '.', '_' and '-', got {value!r}")
        return value

    @model_validator(mode="after")
    def _check_measured(self) -> Self:
        for name, _ in self.budgets.given:
            kind, _, target = name.partition("@")
            if kind == "latency" and target not in self.objectives.latency:
                raise ValueError(f'a budget on {name} needs the objective latency = ["{target}"], got {list(self.objectives.latency)}')
        if self.budgets.energy_cpu is not None and not self.objectives.energy:
            raise ValueError('a budget on energy@cpu needs the objective energy = ["cpu"] or "estimate", got none')
        for name, value in (("tdp_w", self.target.tdp_w), ("tdp_cores", self.target.tdp_cores)):
            if value is not None and self.objectives.energy != "estimate":
                energy = list(self.objectives.energy)
                raise ValueError(f'target.{name} is for energy = "estimate" alone, got {value:g} beside energy = {energy}')
        return self

    @model_validator(mode="after")
    def _check_kernel(self) -> Self:
        kernel = self.target.kernel
        if "cuda" in self.objectives.latency and kernel == "int8":
            raise ValueError('latency on cuda needs target.kernel = "nbits": kernel int8 runs on the CPU alone, got int8')
        if kernel != "int8" and self.space.activations == "static":
            raise ValueError(f'space.activations = "static" is for target.kernel = "int8" alone, got {kernel}')
        return self

    @model_validator(mode="after")
    def _check_recovery(self) -> Self:
        takes_other = self.recovery is not None and self.recovery.takes_other
        if takes_other != (self.data.other is not None):
            share = 0 if self.recovery is None else self.recovery.mixture.out_of_domain
            raise ValueError(f"data.other and recovery.mixture.out_of_domain go together, got {self.data.other} and {share}")
        if self.recovery is None:
            return self
        if self.data.train is None:
            raise ValueError("recovery needs data.train, a manifest or a folder to train on, got none")
        if self.recovery.semi_orthogonal is not None and self.space.rank is None:
            raise ValueError(f"recovery.semi_orthogonal needs the axis rank, got {self.recovery.semi_orthogonal!r} without it")
        return self

    @property
    def budget_list(self) -> tuple[Budget, ...]:
        """The budgets, in base units."""
        return tuple(make_budget(name, limit, self.objectives.quality) for name, limit in self.budgets.given)

    @property
    def objective_list(self) -> tuple[Objective, ...]:
        """Quality first, then the costs: latency on every target in the order given, energy, size."""
        points = METRICS[self.objectives.quality]
        latency = tuple(Objective(f"latency_ms@{target}", "minimize", "ms", "log") for target in self.objectives.latency)
        energy = (Objective("energy_mj@cpu", "minimize", "mJ", "log"),) if self.objectives.energy else ()
        size = (Objective("size_bytes", "minimize", "bytes", "log"),) if self.objectives.size else ()
        return (Objective("quality", "maximize", points), *latency, *energy, *size)
