"""One fully resolved point of the space: a frozen value with a canonical JSON form and a digest."""

import hashlib
import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, TypeGuard, get_args

from paredown.space.inventory import GROUPS
from paredown.space.training import Training

MIN_BITS, MAX_BITS = 2, 8
HALF_BITS = 16  # no codes: the layer is stored in half precision and computed in fp32
_LARGEST_BONUS = 1e3  # of a token; scores are float32
BLOCKS = (16, 32, 64, 128, 256)  # those of onnxruntime's MatMulNBits
Kernel = Literal["fp32", "int8", "nbits", "fp16"]
Granularity = Literal["channel", "tensor"]
Method = Literal["rtn", "gptq"]
Variant = Literal["naive", "matched"]
Activations = Literal["dynamic", "static"]
Stage = str | Training
TRANSFORMATIONS = ("drop", "narrow", "factorize", "prune", "quantize")
_BEFORE_PRUNE = ("drop", "narrow", "factorize")
_FIRST = re.compile(r"(supernet|recovered):[0-9a-f]{64}")


@dataclass(frozen=True)
class Scheme:
    """How codes and scales are made and which kernel multiplies them.

    `kernel="int8"`: of the layers named in `bits`, linear layers, embeddings, pointwise convolutions and every subsampling convolution
    but the first compute in int8 (activations quantized at each call); the first subsampling and the depthwise convolutions are stored
    as codes and expanded to fp32 when the bundle is loaded. `kernel="fp32"`: every layer named in `bits` is expanded to fp32.
    `kernel="nbits"`: linear layers and pointwise convolutions multiply codes of 4 or 8 bits (the next width there is), activations
    quantized in blocks of `block`; embeddings are looked up as codes (meant for greedy decoding, and for CUDA). `kernel="fp16"`: products
    and attention in half precision, sums, normalizations and logits in fp32; layers without bits are stored in fp16 (meant for CUDA).
    `method`: how codes are chosen: "rtn" rounds every weight to the nearest, "gptq" makes up for a rounding error in the weights behind it.
    `activations` of the int8 kernel: "dynamic" finds the range of what a layer reads at each call, "static" takes one range that was seen
    on the analysis split.
    """

    granularity: Granularity = "channel"
    kernel: Kernel = "int8"
    method: Method = "rtn"
    block: int = 32
    activations: Activations = "dynamic"

    def __post_init__(self) -> None:
        choices = (("granularity", Granularity), ("kernel", Kernel), ("method", Method), ("activations", Activations))
        for name, known in choices:
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, got {getattr(self, name)!r}")
        if not _is_whole(self.block) or self.block not in BLOCKS:
            raise ValueError(f"block must be one of {', '.join(map(str, BLOCKS))}, got {self.block!r}")
        if self.activations == "static" and self.kernel != "int8":
            raise ValueError(f"activations are static for kernel int8 alone, got kernel {self.kernel}")


@dataclass(frozen=True)
class Input:
    """How much of the audio the model hears; None is what the model was trained with.

    `hop_samples`: between two frames, at the model's own sample rate: a longer hop gives fewer frames. `sample_rate_hz`: what audio is
    resampled to. `variant` of a lower rate: "naive" leaves the frontend as it is, which then hears accelerated speech (the first paper's,
    5.1); "matched" makes window, hop and mel filters for the rate, so that a frame lasts as long as before. Without another rate there
    is one variant, "matched".
    Source: On-device Speech Translation, Table 1.
    """

    hop_samples: int | None = None
    sample_rate_hz: int | None = None
    variant: Variant = "matched"

    def __post_init__(self) -> None:
        for name, (least, most) in (("hop_samples", (1, 2**14)), ("sample_rate_hz", (1_000, 768_000))):
            value = getattr(self, name)
            if value is not None and (not _is_whole(value) or not least <= value <= most):
                raise ValueError(f"{name} must be a whole number in [{least}, {most}] or null, got {value!r}")
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {self.variant!r}")
        if self.sample_rate_hz is None and self.variant != "matched":
            raise ValueError(f"a variant goes with a sample rate, got {self.variant!r} without one")


@dataclass(frozen=True)
class Decode:
    """How the beam search runs. `ctc_weight`: share of the CTC's prefix scores beside the decoder's, in [0, 1]."""

    beam_size: int = 10
    length_bonus: float = 0.0
    ctc_weight: float = 0.0

    def __post_init__(self) -> None:
        if not _is_whole(self.beam_size) or self.beam_size < 1:
            raise ValueError(f"beam size must be a whole number of at least 1, got {self.beam_size!r}")
        if not _is_number(self.length_bonus) or not abs(self.length_bonus) <= _LARGEST_BONUS:
            raise ValueError(f"length bonus must be a number within {_LARGEST_BONUS:g} of 0, got {self.length_bonus!r}")
        if not _is_number(self.ctc_weight) or not 0.0 <= self.ctc_weight <= 1.0:
            raise ValueError(f"CTC weight must lie in [0, 1], got {self.ctc_weight!r}")
        for name in ("length_bonus", "ctc_weight"):
            object.__setattr__(self, name, _one_zero(getattr(self, name)))


@dataclass(frozen=True)
class Configuration:
    """What is done to the model.

    `input`: frames and sample rate of the audio.
    `keep`: original indices of the blocks that stay, per stack ("decoder" -> (0, 1, 3)); a stack that is absent keeps all.
    `width`: hidden units that a feed-forward keeps, by its path (`encoder.encoders.3.feed_forward_macaron`): the most important ones.
    `heads`: indices of the heads that an attention keeps, by its path (`decoder.decoders.0.src_attn`).
    `rank`: bottleneck of a layer of a feed-forward, by path: its matrix becomes the product of two (`path.up` after `path.down`).
    `bits`: bit-width in [2, 8] of every quantized layer, by path, of both factors where it is factorized; 16 stores a layer in half
    precision; a layer that is absent stays in fp32.
    `sparsity`: share of a module group's weights set to zero, in [0, 1), ranked over the whole group.
    `kernels`: layers of `bits` that another kernel than the scheme's computes, by path ("fp32" where activations have outliers).
    `schedule`: the order of the transformations and the training between them (see `check_schedule`); a first stage "supernet:DIGEST"
    takes the weights of the supernet of that digest, whose neurons stand in the order of their importance, "recovered:DIGEST" those of
    that recovery, where shapes agree.
    All mappings are stored as sorted tuples of pairs, so that equal configurations are equal values.
    """

    keep: tuple[tuple[str, tuple[int, ...]], ...] = ()
    bits: tuple[tuple[str, int], ...] = ()
    sparsity: tuple[tuple[str, float], ...] = ()
    scheme: Scheme = field(default_factory=Scheme)
    decode: Decode = field(default_factory=Decode)
    input: Input = field(default_factory=Input)
    kernels: tuple[tuple[str, Kernel], ...] = ()
    width: tuple[tuple[str, int], ...] = ()
    heads: tuple[tuple[str, tuple[int, ...]], ...] = ()
    rank: tuple[tuple[str, int], ...] = ()
    schedule: tuple[Stage, ...] = TRANSFORMATIONS

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            object.__setattr__(self, name, _sorted_pairs(name, getattr(self, name)))
        for name, kind in (("scheme", Scheme), ("decode", Decode), ("input", Input)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}")
        for path, bits in self.bits:
            if not _is_whole(bits) or not (MIN_BITS <= bits <= MAX_BITS or bits == HALF_BITS):
                raise ValueError(f"bit-width must be a whole number in [{MIN_BITS}, {MAX_BITS}] or {HALF_BITS}, got {bits!r} for {path!r}")
        for what, sizes in (("hidden units of a feed-forward", self.width), ("the rank of a layer", self.rank)):
            for path, size in sizes:
                if not _is_whole(size) or size < 1:
                    raise ValueError(f"{what} must be a whole number of at least 1, got {size!r} for {path!r}")
        for path, kernel in self.kernels:
            if kernel not in get_args(Kernel):
                raise ValueError(f"a layer's kernel must be one of {', '.join(get_args(Kernel))}, got {kernel!r} for {path!r}")
            if path not in dict(self.bits):
                raise ValueError(f"kernels must name layers that have bits, got {path!r}")
        for group, share in self.sparsity:
            if group not in GROUPS:
                raise ValueError(f"sparsity names a module group, one of {', '.join(GROUPS)}; got {group!r}")
            if not _is_number(share) or not 0.0 <= share < 1.0:
                raise ValueError(f"sparsity must be a number in [0, 1), got {share!r} for {group}")
        object.__setattr__(self, "sparsity", tuple((group, _one_zero(share)) for group, share in self.sparsity))
        for stack, _ in self.keep:
            if stack not in ("encoder", "decoder"):
                raise ValueError(f"keep names a stack, encoder or decoder; got {stack!r}")
        for what, mapping in (("blocks", self.keep), ("heads", self.heads)):
            for path, indices in mapping:
                if not isinstance(indices, tuple) or not all(_is_whole(index) and index >= 0 for index in indices):
                    raise ValueError(f"kept {what} must be whole numbers of at least 0, got {indices!r} for {path}")
                if not indices or list(indices) != sorted(set(indices)):
                    raise ValueError(f"kept {what} must be distinct, ascending and at least one, got {indices} for {path}")
        check_schedule(self.schedule)

    @property
    def bits_of(self) -> dict[str, int]:
        return dict(self.bits)

    @property
    def kernels_of(self) -> dict[str, Kernel]:
        return dict(self.kernels)

    @property
    def keep_of(self) -> dict[str, tuple[int, ...]]:
        return dict(self.keep)

    @property
    def sparsity_of(self) -> dict[str, float]:
        return dict(self.sparsity)

    @property
    def width_of(self) -> dict[str, int]:
        return dict(self.width)

    @property
    def heads_of(self) -> dict[str, tuple[int, ...]]:
        return dict(self.heads)

    @property
    def rank_of(self) -> dict[str, int]:
        return dict(self.rank)

    @property
    def supernet(self) -> str | None:
        """Digest of the supernet whose weights it takes, None for the model's own."""
        return self._first("supernet")

    @property
    def inherited(self) -> str | None:
        """Digest of the recovery whose weights it starts from, None for the model's own or a supernet's."""
        return self._first("recovered")

    def _first(self, kind: str) -> str | None:
        first = self.schedule[0]
        return first.partition(":")[2] if isinstance(first, str) and first.startswith(f"{kind}:") else None

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The training stages, in order."""
        return tuple(stage for stage in self.schedule if isinstance(stage, Training))

    @property
    def is_recovered(self) -> bool:
        """Whether training, of its own or inherited, made its weights."""
        return bool(self.trainings) or self.inherited is not None

    @property
    def is_calibrated(self) -> bool:
        """Whether codes or ranges are chosen by what the model hears, so that it must hear something first."""
        return bool(self.bits) and (self.scheme.method == "gptq" or self.scheme.activations == "static")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; equal configurations give equal text."""
        value: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}  # asdict copies every pair: eight times as long
        value |= {name: dict(value[name]) for name in _MAPPINGS}
        value |= {name: vars(value[name]) for name in ("scheme", "decode", "input")}
        value["schedule"] = [stage.to_dict() if isinstance(stage, Training) else stage for stage in self.schedule]
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The configuration that `to_json` wrote.

        Raises ValueError, naming the rule and the value, on text that is no JSON, unknown keys, wrong types and impossible values.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a configuration must be JSON, got text that is none ({error})") from error
        value = _known_object("configuration", value, cls)
        parts = (("scheme", Scheme), ("decode", Decode), ("input", Input))
        scheme, decode, heard = (_known_object(name, value.get(name, {}), kind) for name, kind in parts)
        mappings: dict[str, Any] = {
            name: tuple((key, _frozen(entry)) for key, entry in _known_object(name, value.get(name, {})).items()) for name in _MAPPINGS
        }
        return cls(
            **mappings,
            schedule=_read_schedule(value.get("schedule", TRANSFORMATIONS)),
            scheme=Scheme(**scheme),
            decode=Decode(**decode),
            input=Input(**heard),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return digest_json(self.to_json())


def digest_json(text: str) -> str:
    """The digest of the configuration that `to_json` wrote like this."""
    return hashlib.sha256(text.encode()).hexdigest()


_MAPPINGS = ("keep", "bits", "sparsity", "kernels", "width", "heads", "rank")


def check_schedule(schedule: object) -> None:
    """Raises ValueError unless every transformation stands in the schedule once, in an order that has a meaning.

    "prune" comes behind "drop", "narrow" and "factorize", which decide between which weights it ranks (and factors would fill its
    zeros), and "quantize" comes last: nothing else computes with codes. Weights of a supernet or a recovery are taken first of all.
    Training may stand between any two, "qat" behind all other transformations and with nothing but "qat" before the codes; what is
    semi-orthogonal must be factorized before.
    """
    if not isinstance(schedule, tuple) or not all(isinstance(stage, str | Training) for stage in schedule):
        raise ValueError(f"schedule must be a list of stages, got {schedule!r}")
    stages = schedule[1:] if schedule and isinstance(schedule[0], str) and _FIRST.fullmatch(schedule[0]) else schedule
    names = [stage for stage in stages if isinstance(stage, str)]
    told = " -> ".join(stage.kind if isinstance(stage, Training) else stage for stage in schedule) or "none"
    if sorted(names) != sorted(TRANSFORMATIONS):
        rule = f"schedule must name each of {', '.join(TRANSFORMATIONS)} once (before them perhaps a supernet or a recovery)"
        raise ValueError(f"{rule}, got {told}")
    if stages[-1] != "quantize":
        raise ValueError(f"schedule must end in quantize, got {told}")
    for name in _BEFORE_PRUNE:
        if names.index(name) > names.index("prune"):
            raise ValueError(f"schedule must have {name} before prune, got {told}")
    seen: set[str] = set()
    for stage in stages:
        if isinstance(stage, str) and stage != "quantize" and "qat" in seen:
            raise ValueError(f"schedule must have {stage} before qat, got {told}")
        if isinstance(stage, Training):
            if "qat" in seen and stage.kind != "qat":
                raise ValueError(f"schedule must have nothing but quantize behind qat, got {told}")
            if stage.semi_orthogonal is not None and "factorize" not in seen:
                raise ValueError(f"schedule must have factorize before a semi-orthogonal stage, got {told}")
        seen.add(stage.kind if isinstance(stage, Training) else stage)


def _read_schedule(value: object) -> Any:
    """Stages as JSON has them: training stages are objects."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(Training.from_dict(stage) if isinstance(stage, dict) else stage for stage in value)


def _frozen(value: object) -> Any:
    """A JSON list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _known_object(what: str, value: object, kind: type | None = None) -> dict[str, Any]:
    """A JSON object; its keys must be fields of the dataclass `kind`, where that is given."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, got {value!r}")
    known = set(value) if kind is None else {entry.name for entry in fields(kind)}
    for key in value:
        if key not in known:
            raise ValueError(f"{what} has no key {key!r}; its keys are {', '.join(sorted(known))}")
    return value


def _sorted_pairs(name: str, pairs: object) -> tuple[tuple[str, Any], ...]:
    """Pairs (key, value) by key."""
    if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise ValueError(f"{name} must be a tuple of pairs of a name and a value, got {pairs!r}")
    by_key = dict(pairs)
    if len(by_key) != len(pairs):
        raise ValueError(f"{name} must name each key once, got {[key for key, _ in pairs]}")
    return tuple(sorted(by_key.items(), key=lambda pair: pair[0]))


def _is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an int; True and False, which Python counts among them, are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, float) or _is_whole(value)


def _one_zero(value: float) -> float:
    """A number as a float: 0, 0.0 and -0.0 are equal, so they must be written alike and give one digest."""
    return float(value) + 0.0
