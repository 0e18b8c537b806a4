"""A training stage of a schedule: what is trained, on which data, for how long. A frozen value, part of a configuration."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

Kind = Literal["fine-tune", "distill", "qat", "lora", "qlora"]
ADAPTERS: tuple[Kind, ...] = ("lora", "qlora")
PATTERNS = ("SL", "LS", "LL")  # which of two factors stays semi-orthogonal: S does, L is free
_DIGEST_LENGTH = 64
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Mixture:
    """How often one pass over the data takes each utterance, in whole times.

    `references`: with its reference; `distilled`: with the teacher's hypotheses as the target (audio without a reference has these
    alone); `out_of_domain`: those of the other data, with their references. Taking something more than once oversamples it.
    Source: IWSLT 2025 compression, 3.2 and Table 7.
    """

    references: int = 1
    distilled: int = 0
    out_of_domain: int = 0

    def __post_init__(self) -> None:
        for entry in fields(self):
            _check_whole(f"mixture.{entry.name}", getattr(self, entry.name), 0, 1000)
        if self.references + self.distilled + self.out_of_domain == 0:
            raise ValueError("a mixture must take something, got 0 of everything")


@dataclass(frozen=True)
class Training:
    """One training stage.

    `kind`: "fine-tune" trains all weights with the model's own joint loss; "distill" lets the decoder follow the uncompressed model's
    posteriors too; "qat" trains all weights as the configuration's codes would have them (straight-through estimator, learned steps);
    "lora" and "qlora" train adapters of `rank` beside frozen weights, of NF4 for the latter, merged at the end.
    `data`: digest of the split it trains on, `other_data` that of the out-of-domain split, None where there is none.
    `steps` or `minutes` bound it: exactly one of them is there. `rate`: the peak learning rate, after `warmup_steps`; it falls linearly
    to 0 over the last share `cooldown`. `batch_s`: seconds of audio in a batch, padding counted.
    `teacher`: share in [0, 1] of the decoder's loss that is the divergence from the uncompressed model's posteriors.
    `alpha` scales adapters by alpha / sqrt(rank). `semi_orthogonal`: the pattern of the factors ("SLLS": two letters of `PATTERNS` for
    `w_1`, two for `w_2`), None leaves them free; where nothing is factorized there is nothing to constrain.
    `masking`: SpecAugment; `dropout`: the model's own, blocks dropped at random included.
    Raises ValueError, naming the rule and the value.
    """

    kind: Kind
    data: str
    steps: int | None = None
    minutes: float | None = None
    rate: float = 5e-4
    warmup_steps: int = 0
    cooldown: float = 0.75
    batch_s: float = 78.0
    mixture: Mixture = field(default_factory=Mixture)
    other_data: str | None = None
    teacher: float = 0.0
    rank: int = 64
    alpha: float = 128.0
    semi_orthogonal: str | None = None
    masking: bool = True
    dropout: bool = True
    weight_decay: float = 0.001
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a training stage is one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        for name, digest in (("data", self.data), ("other_data", self.other_data)):
            if not _is_digest(digest) and not (name == "other_data" and digest is None):
                raise ValueError(f"{name} of a training stage must be the SHA-256 of a split in hex, got {digest!r}")
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"steps or minutes must bound a training stage, one of them, got {self.steps} and {self.minutes}")
        if self.steps is not None:
            _check_whole("steps", self.steps, 1, 10**9)
        if self.minutes is not None:
            _check_number("minutes", self.minutes, 0.0, 1e6, above=True)
        _check_number("rate", self.rate, 0.0, 1.0, above=True)
        _check_whole("warmup_steps", self.warmup_steps, 0, 10**9)
        _check_number("cooldown", self.cooldown, 0.0, 1.0)
        _check_number("batch_s", self.batch_s, 0.0, 1e5, above=True)
        _check_number("teacher", self.teacher, 0.0, 1.0)
        _check_whole("rank", self.rank, 1, 2**14)
        _check_number("alpha", self.alpha, 0.0, 1e6, above=True)
        _check_number("weight_decay", self.weight_decay, 0.0, 1.0)
        _check_whole("seed", self.seed, 0, _LARGEST_SEED)
        if not isinstance(self.mixture, Mixture):
            raise ValueError(f"mixture must be a Mixture, got {self.mixture!r}")
        for name in ("masking", "dropout"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        if (self.mixture.out_of_domain > 0) != (self.other_data is not None):
            raise ValueError(f"out-of-domain data and its share go together, got {self.other_data} and {self.mixture.out_of_domain}")
        if self.kind == "fine-tune" and self.teacher > 0:
            raise ValueError(f"fine-tune has no teacher (distill has), got teacher = {self.teacher:g}")
        if self.kind == "distill" and self.teacher == 0 and self.mixture.distilled == 0:
            raise ValueError("distill needs a teacher: its posteriors (teacher above 0) or its hypotheses (mixture.distilled), got neither")
        if self.semi_orthogonal is not None and not _is_pattern(self.semi_orthogonal):
            raise ValueError(f"semi_orthogonal must be {', '.join(PATTERNS)} for w_1 and for w_2, as SLLS, got {self.semi_orthogonal!r}")
        if self.semi_orthogonal is not None and self.kind in ADAPTERS:
            raise ValueError(f"adapters leave factors as they are: no semi_orthogonal with {self.kind}, got {self.semi_orthogonal!r}")
        for name in ("rate", "cooldown", "batch_s", "teacher", "alpha", "weight_decay", "minutes"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    @property
    def needs_hypotheses(self) -> bool:
        """Whether the teacher must have decoded the data."""
        return self.mixture.distilled > 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """The stage that `to_dict` gave. Raises ValueError on unknown keys and impossible values."""
        if not isinstance(value, dict):
            raise ValueError(f"a training stage must be a JSON object, got {value!r}")
        _check_keys("a training stage", value, cls)
        _check_keys("mixture", value.get("mixture", {}), Mixture)
        missing = {"kind", "data"} - set(value)
        if missing:
            raise ValueError(f"a training stage must have {' and '.join(sorted(missing))}, got {value!r}")
        return cls(**{**value, "mixture": Mixture(**value.get("mixture", {}))})


def _check_keys(what: str, value: object, kind: type) -> None:
    known = {entry.name for entry in fields(kind)}
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, got {value!r}")
    for key in value:
        if key not in known:
            raise ValueError(f"{what} has no key {key!r}; its keys are {', '.join(sorted(known))}")


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number in [{least}, {most}], got {value!r}")


def _check_number(name: str, value: object, least: float, most: float, *, above: bool = False) -> None:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not fine or (above and value == least):
        raise ValueError(f"{name} must be a number in {'(' if above else '['}{least:g}, {most:g}], got {value!r}")


def _is_pattern(value: object) -> bool:
    return isinstance(value, str) and len(value) == 4 and value[:2] in PATTERNS and value[2:] in PATTERNS


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == _DIGEST_LENGTH and set(value) <= set("0123456789abcdef")
