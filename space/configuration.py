"""One fully resolved point of the space: a frozen value with a canonical JSON form and a digest."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from paredown.space.inventory import GROUPS

MIN_BITS, MAX_BITS = 2, 8
Kernel = Literal["fp32", "int8"]


@dataclass(frozen=True)
class Scheme:
    """How codes and scales are made and which kernel multiplies them.

    `kernel="int8"`: linear layers named in `bits` run as dynamic int8 products, other layers named there are stored as
    codes and expanded to fp32 when the bundle is loaded. `kernel="fp32"`: every layer named in `bits` is expanded to fp32.
    """

    granularity: Literal["channel", "tensor"] = "channel"
    kernel: Kernel = "int8"


@dataclass(frozen=True)
class Decode:
    """How the beam search runs."""

    beam_size: int = 10
    length_bonus: float = 0.0

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError(f"beam size must be at least 1, got {self.beam_size}")


@dataclass(frozen=True)
class Configuration:
    """What is done to the model.

    `keep`: original indices of the blocks that stay, per stack ("decoder" -> (0, 1, 3)); a stack that is absent keeps all.
    `bits`: bit-width in [2, 8] of every quantized layer, by path; a layer that is absent stays in fp32.
    `sparsity`: share of a module group's weights set to zero, in [0, 1), ranked over the whole group.
    All mappings are stored as sorted tuples of pairs, so that equal configurations are equal values.
    """

    keep: tuple[tuple[str, tuple[int, ...]], ...] = ()
    bits: tuple[tuple[str, int], ...] = ()
    sparsity: tuple[tuple[str, float], ...] = ()
    scheme: Scheme = field(default_factory=Scheme)
    decode: Decode = field(default_factory=Decode)

    def __post_init__(self) -> None:
        for name in ("keep", "bits", "sparsity"):
            pairs = tuple(sorted(getattr(self, name)))
            if len({key for key, _ in pairs}) != len(pairs):
                raise ValueError(f"{name} must name each key once")
            object.__setattr__(self, name, pairs)
        for path, bits in self.bits:
            if not MIN_BITS <= bits <= MAX_BITS:
                raise ValueError(f"bit-width must lie in [{MIN_BITS}, {MAX_BITS}], got {bits} for {path}")
        for group, share in self.sparsity:
            if group not in GROUPS:
                raise ValueError(f"sparsity names a module group, one of {', '.join(GROUPS)}; got {group!r}")
            if not 0.0 <= share < 1.0:
                raise ValueError(f"sparsity must lie in [0, 1), got {share} for {group}")
        for stack, indices in self.keep:
            if stack not in ("encoder", "decoder"):
                raise ValueError(f"keep names a stack, encoder or decoder; got {stack!r}")
            if not indices or list(indices) != sorted(set(indices)):
                raise ValueError(f"kept blocks must be distinct, ascending and at least one, got {indices} for {stack}")

    @property
    def bits_of(self) -> dict[str, int]:
        return dict(self.bits)

    @property
    def keep_of(self) -> dict[str, tuple[int, ...]]:
        return dict(self.keep)

    @property
    def sparsity_of(self) -> dict[str, float]:
        return dict(self.sparsity)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; equal configurations give equal text."""
        value = asdict(self)
        for name in ("keep", "bits", "sparsity"):
            value[name] = dict(getattr(self, name))
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The configuration that `to_json` wrote.

        Raises ValueError, naming the rule and the value, on unknown keys and impossible values.
        """
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"a configuration is a JSON object, got {type(value).__name__}")
        _refuse_unknown(value, cls, "configuration")
        scheme, decode = value.pop("scheme", {}), value.pop("decode", {})
        _refuse_unknown(scheme, Scheme, "scheme")
        _refuse_unknown(decode, Decode, "decode")
        keep = tuple((stack, tuple(indices)) for stack, indices in value.get("keep", {}).items())
        return cls(
            keep=keep,
            bits=tuple(value.get("bits", {}).items()),
            sparsity=tuple(value.get("sparsity", {}).items()),
            scheme=Scheme(**scheme),
            decode=Decode(**decode),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _refuse_unknown(value: dict[str, Any], kind: type, what: str) -> None:
    known = {entry.name for entry in fields(kind)}
    for key in value:
        if key not in known:
            raise ValueError(f"{what} has no key {key!r}; its keys are {', '.join(sorted(known))}")
