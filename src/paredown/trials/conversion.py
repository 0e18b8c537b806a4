"""How a model is to be converted, in a few words, and the configuration that this makes."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.data import PREFIX
from paredown.errors import BadInput
from paredown.space.configuration import MAX_BITS, MIN_BITS, Activations, Configuration, Granularity, Kernel, Method

if TYPE_CHECKING:
    from paredown.models import Model


@dataclass(frozen=True)
class Wish:
    """What a user says of a conversion; None where nothing is said.

    `bits`: of every layer, 2 to 8, or 32 for none quantized (the default); or a `configuration`, which everything else changes.
    `beam_size`, `ctc_weight`: what the bundle's search takes by itself.
    """

    bits: int | None = None
    configuration: Configuration | None = None
    kernel: Kernel | None = None
    method: Method | None = None
    activations: Activations | None = None
    granularity: Granularity | None = None
    beam_size: int | None = None
    ctc_weight: float | None = None


def wished(model: "Model", wish: Wish, decodes: bool = True) -> Configuration:
    """The configuration of a wish; raises BadInput where it contradicts itself or the model. `decodes`: whether it becomes something that
    searches, and not a checkpoint.
    """
    if wish.bits is not None and wish.configuration is not None:
        raise BadInput(f"a configuration has its own bit-widths, got {wish.bits} bits beside it")
    silent = ("kernel", "activations", "beam_size", "ctc_weight")
    given = [f"{name} {value}" for name in silent if (value := getattr(wish, name)) is not None]
    if given and not decodes:
        raise BadInput(f"an ESPnet checkpoint has no kernels and no decoding, got {', '.join(given)}")
    configuration = wish.configuration or configured(model, 32 if wish.bits is None else wish.bits)
    names = ("kernel", "method", "activations", "granularity")
    changes: dict[str, Any] = {name: value for name in names if (value := getattr(wish, name)) is not None}
    for name, value in changes.items():
        if not configuration.bits and value not in ("fp32", "fp16"):
            raise BadInput(f"--{name} {value} is about layers that are quantized, got none: add --bits {MIN_BITS} to {MAX_BITS}")
    decode: dict[str, Any] = {name: value for name in ("beam_size", "ctc_weight") if (value := getattr(wish, name)) is not None}
    try:
        scheme = replace(configuration.scheme, **changes)
        configuration = replace(configuration, scheme=scheme, decode=replace(configuration.decode, **decode))
    except ValueError as error:
        raise BadInput(str(error)) from None
    if wish.ctc_weight and model.network.output_ctc is None:
        raise BadInput(f"the CTC weight must be 0 for a model without a CTC over its output text, got {wish.ctc_weight:g}")
    if decodes and configuration.decode.beam_size > len(model.tokens):
        found = configuration.decode.beam_size
        raise BadInput(f"beam size must lie in [1, {len(model.tokens)}] (the vocabulary), got {found}: see --beam-size")
    return configuration


def own_data(model: str) -> str | None:
    """What a model that comes with paredown hears where nothing else is named: its *analysis* split; None for any other model."""
    return f"{model}/analysis" if model.startswith(PREFIX) else None


def configured(model: "Model", bits: int) -> Configuration:
    """Every layer at `bits` bits; 32 = uncompressed. Raises BadInput on any other width."""
    from paredown.models.decode import default_decode
    from paredown.trials.evaluation import uncompressed
    from paredown.trials.space import uniform_bits

    if bits == 32:
        return uncompressed(model)
    if not MIN_BITS <= bits <= MAX_BITS:
        raise BadInput(f"bit-widths are {MIN_BITS} to {MAX_BITS}, or 32 for an uncompressed bundle; got {bits}")
    return uniform_bits(model.inventory(), bits, default_decode(model))


def read_configuration(path: Path) -> Configuration:
    """A configuration file, or what `paredown show --json` printed, which holds one. Raises BadInput where it is none."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        inner = value["configuration"] if isinstance(value, dict) and isinstance(value.get("configuration"), dict) else value
        return Configuration.from_json(json.dumps(inner))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path} is no configuration: {error}") from None
