"""The flags that say how a model is compressed and decoded, and the configuration that they make."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from paredown.commands.printing import positive, real
from paredown.errors import BadInput
from paredown.space.configuration import MAX_BITS, MIN_BITS, Activations, Configuration, Granularity, Kernel, Method

if TYPE_CHECKING:
    from paredown.models import Model


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Flags of `configuration_of`."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--bits", type=int, default=None, help="bit-width of every layer: 2 to 8, or 32 = uncompressed (default)")
    choice.add_argument(
        "--configuration", type=Path, metavar="FILE", help="JSON, as `paredown show --json` prints it; other flags change it"
    )
    parser.add_argument("--kernel", choices=get_args(Kernel), help="what multiplies: int8 (default with --bits), nbits, fp16 or fp32")
    parser.add_argument("--method", choices=get_args(Method), help="codes: rtn, each the nearest (default), or gptq, calibrated on --data")
    parser.add_argument(
        "--activations",
        choices=get_args(Activations),
        help="of int8: the range of each call (dynamic, default) or one heard in --data (static)",
    )
    parser.add_argument("--granularity", choices=get_args(Granularity), help="a scale for each output channel (default) or for each tensor")
    parser.add_argument("--beam-size", type=positive, metavar="N", help="hypotheses of the search that the bundle asks for (default 10)")
    parser.add_argument(
        "--ctc-weight", type=real, metavar="W", help="share of the CTC in its scores, 0 to 1 (default 0.3 for ASR, 0 for ST)"
    )


def configuration_of(model: "Model", options: argparse.Namespace) -> Configuration:
    """The configuration that the flags describe; raises BadInput for flags that contradict each other or the model."""
    if options.configuration is not None:
        configuration = read_configuration(options.configuration)
    else:
        configuration = configured(model, 32 if options.bits is None else options.bits)
    changes = {
        name: getattr(options, name) for name in ("kernel", "method", "activations", "granularity") if getattr(options, name) is not None
    }
    for name, value in changes.items():
        if not configuration.bits and value not in ("fp32", "fp16"):
            raise BadInput(f"--{name} {value} is about layers that are quantized, got none: add --bits {MIN_BITS} to {MAX_BITS}")
    decode = {name: getattr(options, name) for name in ("beam_size", "ctc_weight") if getattr(options, name) is not None}
    try:
        configuration = replace(
            configuration, scheme=replace(configuration.scheme, **changes), decode=replace(configuration.decode, **decode)
        )
    except ValueError as error:
        raise BadInput(str(error)) from None
    if decode.get("ctc_weight") and model.network.output_ctc is None:
        raise BadInput(f"the CTC weight must be 0 for a model without a CTC over its output text, got {options.ctc_weight:g}")
    if options.form != "espnet" and configuration.decode.beam_size > len(model.tokens):
        found = configuration.decode.beam_size
        raise BadInput(f"beam size must lie in [1, {len(model.tokens)}] (the vocabulary), got {found}: see --beam-size")
    return configuration


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
