"""The flags that say how a model is compressed and decoded."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from paredown.commands.printing import positive, real
from paredown.space.configuration import Activations, Configuration, Granularity, Kernel, Method
from paredown.trials.conversion import Wish, read_configuration, wished

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
    names = ("bits", "kernel", "method", "activations", "granularity", "beam_size", "ctc_weight")
    given = None if options.configuration is None else read_configuration(options.configuration)
    wish = Wish(configuration=given, **{name: getattr(options, name) for name in names})
    return wished(model, wish, options.form != "espnet")
