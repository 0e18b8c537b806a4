"""The table `[recovery]` of a study file: what training every candidate gets, and how much more the promising ones."""

from math import log
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from paredown.search.section import Real, Section, Text, Whole
from paredown.search.units import parse_duration_s
from paredown.space.training import Kind, Mixture, Training

_SOME_DATA, _OTHER_DATA = "0" * 64, "1" * 64  # stand for splits while settings are checked
_DEFAULT_TEACHER = 0.5
_BOUNDS = ("short", "long", "short_steps", "long_steps")
_OWN = (*_BOUNDS, "eta", "inherit", "teacher", "mixture")  # what is not handed to `Training` as it stands


class MixtureSection(Section):
    """As `paredown.space.training.Mixture`."""

    references: Whole = 1
    distilled: Whole = 0
    out_of_domain: Whole = 0


class RecoverySection(Section):
    """How candidates are trained. `short`, `long`: of training (not of the trial), or `short_steps` and `long_steps`.

    Every candidate gets the short recovery. The best 1 / `eta` of those that were trained equally long are trained about `eta` times as
    long, and so on up to the long recovery. `inherit`: a candidate starts from the weights of the nearest one that was recovered before.
    `seed`: of the short recovery; each longer one counts up. `teacher`: None takes 0.5 where the kind is "distill", else 0.
    Everything else as in `paredown.space.training.Training`.
    """

    kind: Kind = "distill"
    short: str | Real | None = None
    long: str | Real | None = None
    short_steps: Annotated[Whole, Field(ge=1)] | None = None
    long_steps: Annotated[Whole, Field(ge=1)] | None = None
    eta: Annotated[Whole, Field(ge=2)] = 3
    inherit: bool = True
    rate: Real = Training.rate
    warmup_steps: Whole = Training.warmup_steps
    cooldown: Real = Training.cooldown
    batch_s: Real = Training.batch_s
    mixture: MixtureSection = MixtureSection()
    teacher: Real | None = None
    rank: Whole = Training.rank
    alpha: Real = Training.alpha
    semi_orthogonal: Text | None = None
    masking: bool = Training.masking
    dropout: bool = Training.dropout
    weight_decay: Real = Training.weight_decay
    seed: Annotated[Whole, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _with_bounds(cls, value: Any) -> Any:
        """30 seconds and 4 minutes where nothing is said."""
        if isinstance(value, dict) and not any(name in value for name in _BOUNDS):
            return {**value, "short": "30 s", "long": "4 min"}
        return value

    @field_validator("short", "long")
    @classmethod
    def _check_time(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            parse_duration_s(value, "a time of recovery")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        times, steps = (self.short, self.long), (self.short_steps, self.long_steps)
        if (None in times) == (None in steps) or (times != (None, None) and steps != (None, None)):
            given = {name: value for name in _BOUNDS if (value := getattr(self, name)) is not None}
            raise ValueError(f"short and long must bound a recovery, or short_steps and long_steps, got {given}")
        if self._budget(0) > self._budget(1):
            name = "short" if self.short_steps is None else "short_steps"
            raise ValueError(f"{name} must be at most {name.replace('short', 'long')}, got {self.short or self.short_steps}")
        for rung in range(len(self.rungs)):
            self.training(rung, _SOME_DATA, _OTHER_DATA)
        return self

    def _budget(self, end: int) -> float:
        """Seconds or steps of the short (0) or the long (1) recovery."""
        steps = (self.short_steps, self.long_steps)[end]
        return float(steps) if steps is not None else parse_duration_s((self.short, self.long)[end] or 0.0)

    @property
    def rungs(self) -> tuple[float, ...]:
        """Seconds or steps of training, in all, of every rung: each about `eta` times the one before, the last the long recovery."""
        short, long = self._budget(0), self._budget(1)
        if short == long:
            return (short,)
        count = max(1, round(log(long / short) / log(self.eta)))
        between = (short * self.eta**rung for rung in range(count))
        return (*(float(round(each)) if self.short_steps is not None else each for each in between), long)

    @property
    def takes_other(self) -> bool:
        """Whether out-of-domain data is mixed in."""
        return self.mixture.out_of_domain > 0

    @property
    def needs_references(self) -> bool:
        """Whether every utterance must have one: the teacher's hypotheses alone can do without."""
        return self.mixture.references > 0

    def training(self, rung: int, data: str, other: str | None) -> Training:
        """The stage that takes a candidate from the rung before to this one. `data`, `other`: digests of the splits.

        Raises ValueError, naming the rule and the value, for what no stage can be.
        """
        more = self.rungs[rung] - (self.rungs[rung - 1] if rung else 0.0)
        plain = {name: getattr(self, name) for name in type(self).model_fields if name not in (*_OWN, "seed")}
        return Training(
            **plain,
            data=data,
            other_data=other if self.takes_other else None,
            steps=None if self.short_steps is None else round(more),
            minutes=None if self.short_steps is not None else more / 60.0,
            mixture=Mixture(**self.mixture.model_dump()),
            teacher=self._teacher,
            seed=self.seed + rung,
        )

    @property
    def _teacher(self) -> float:
        if self.teacher is not None:
            return self.teacher
        return _DEFAULT_TEACHER if self.kind == "distill" else 0.0

    def describe(self) -> dict[str, Any]:
        """What must be equal for trials to be comparable, flat and as plain JSON values."""
        value = self.model_dump(mode="json", exclude={*_BOUNDS, "mixture", "teacher"})
        value |= {"rungs": list(self.rungs), "rungs in": "s" if self.short_steps is None else "steps", "teacher": self._teacher}
        value |= {f"mixture {name}": share for name, share in self.mixture.model_dump().items()}
        return {f"recovery {name}": entry for name, entry in value.items()}
