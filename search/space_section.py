"""The table `[space]` of a study file: what may vary, one value an axis."""

from difflib import get_close_matches
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from paredown.search.section import Real, Section, Text, Whole
from paredown.space.configuration import HALF_BITS, MAX_BITS, MIN_BITS, Activations, Decode, Input, Method, Variant
from paredown.space.inventory import GROUPS

AXES = ("bits", "layers", "sparsity", "heads", "width", "rank", "input", "decode")
FP32_BITS = 32  # of `fixed`: the layer is not quantized
Attention = Literal["encoder.self_attn", "decoder.self_attn", "decoder.cross_attn"]
Softmax = Literal["gumbel", "plain"]


class BitsAxisSpec(Section):
    """`average`: range of the mean bit-width; `choices`: the widths a layer may have; `method`: how codes are chosen (gptq: calibrated).

    `sensitivity`: the divergence of the "posteriors", or that at the encoder's output (Eq. 7 of the lossless 4-bit Conformer as printed).
    `rounds`: how often the solver's choice is measured and corrected. `least`: fewest bits of layers, by a path's beginning or a module
    group; `fixed`: their bits, also 16 (half precision) and 32 (not quantized); `same`: "block" gives all layers of a block one width.
    """

    average: tuple[float, float]
    choices: tuple[Whole, ...] = tuple(range(MIN_BITS, MAX_BITS + 1))
    method: Method = "rtn"
    sensitivity: Literal["posteriors", "encoder_output"] = "posteriors"
    rounds: Annotated[Whole, Field(ge=0, le=10)] = 0
    least: dict[Text, Whole] = Field(default_factory=dict)
    fixed: dict[Text, Whole] = Field(default_factory=dict)
    same: Literal["layer", "block"] = "layer"

    @field_validator("least", "fixed")
    @classmethod
    def _check_limits(cls, value: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        exceptions = (HALF_BITS, FP32_BITS) if info.field_name == "fixed" else ()
        for layers, bits in value.items():
            if not MIN_BITS <= bits <= MAX_BITS and bits not in exceptions:
                also = f" or be {HALF_BITS} or {FP32_BITS}" if exceptions else ""
                raise ValueError(f"{info.field_name} bits must lie in [{MIN_BITS}, {MAX_BITS}]{also}, got {bits} for {layers!r}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        choices = self.choices
        if not choices or list(choices) != sorted(set(choices)) or choices[0] < MIN_BITS or choices[-1] > MAX_BITS:
            raise ValueError(f"choices must be ascending widths in [{MIN_BITS}, {MAX_BITS}], got {list(choices)}")
        if self.rounds and self.sensitivity != "posteriors":
            raise ValueError(f"rounds measure posteriors, so sensitivity must be posteriors with them, got {self.sensitivity}")
        low, high = self.average
        if not choices[0] <= low <= high <= choices[-1]:
            raise ValueError(f"average bits must lie in [{choices[0]}, {choices[-1]}], low before high, got {list(self.average)}")
        return self


class LayersAxisSpec(Section):
    """`decoder`, `encoder`: fewest and most blocks of a stack that stay; one that is absent stays whole.

    `rule`: "greedy" removes what costs least in the metric `by` ("loss": the teacher-forced loss), "middle" the blocks from the middle on;
    `protect`: the first and the last block of a stack stay.
    """

    decoder: tuple[Whole, Whole] | None = None
    encoder: tuple[Whole, Whole] | None = None
    rule: Literal["greedy", "middle"] = "greedy"
    by: Literal["chrf", "chrf++", "bleu", "wer", "loss"] = "chrf"
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
    """`groups`: module groups that lose weights; `max`: the largest share each may lose.

    `scope`: "component" has a share for each group, "global" one share of all of them, ranked together.
    """

    groups: tuple[str, ...] = Field(min_length=1)
    max: float
    scope: Literal["component", "global"] = "component"

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


class HeadsAxisSpec(Section):
    """`max`: the largest share of attention heads that goes, of these `groups` of attentions; every attention keeps one."""

    max: float
    groups: tuple[Attention, ...] = get_args(Attention)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 < self.max < 1.0:
            raise ValueError(f"max must lie between 0 and 1, got {self.max}")
        if not self.groups or len(set(self.groups)) != len(self.groups):
            raise ValueError(f"groups must name each group once, got {list(self.groups)}")
        return self


class RankAxisSpec(Section):
    """`eta`: range of the penalty on parameters, per million; `softmax`: how architectures are weighted while they are searched."""

    eta: tuple[Annotated[Real, Field(ge=0)], Annotated[Real, Field(ge=0)]]
    softmax: Softmax = "gumbel"

    @field_validator("eta")
    @classmethod
    def _check_eta(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"eta must run from low to high, got {list(value)}")
        return value


class WidthAxisSpec(RankAxisSpec):
    """As `RankAxisSpec`. `supernet`: a folder or `bundled:NAME` whose weights the narrowed models take; None takes the model's own."""

    supernet: Text | None = None


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
        _ = self.inputs, [Input(hop) for hop in self.hop_samples]  # refuse what no configuration may hold
        return self


class DecodeAxisSpec(Section):
    """Ranges of how bundles are decoded; one that is absent stays as the model's kind is decoded."""

    beam_size: tuple[Whole, Whole] | None = None
    ctc_weight: tuple[Real, Real] | None = None
    length_bonus: tuple[Real, Real] | None = None

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
    """What may vary; an axis that is absent is off. `activations`: how those of the int8 kernel are quantized, in the whole study."""

    bits: BitsAxisSpec | None = None
    layers: LayersAxisSpec | None = None
    sparsity: SparsityAxisSpec | None = None
    heads: HeadsAxisSpec | None = None
    width: WidthAxisSpec | None = None
    rank: RankAxisSpec | None = None
    input: InputAxisSpec | None = None
    decode: DecodeAxisSpec | None = None
    activations: Activations = "dynamic"

    @property
    def is_calibrated(self) -> bool:
        """Whether codes or ranges are chosen by what the model hears."""
        return self.activations == "static" or (self.bits is not None and self.bits.method == "gptq")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if all(getattr(self, name) is None for name in AXES):
            raise ValueError(f"a space needs at least one axis of {', '.join(AXES)}, got none")
        return self
