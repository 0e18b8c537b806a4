"""`paredown profile`: latency, energy, memory, size and work of a bundle, or of a model as it is, on this machine."""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.opening import opened
from paredown.commands.printing import add_json, console, natural, positive, positive_real, print_json
from paredown.errors import BadInput

if TYPE_CHECKING:
    from paredown.profilers.energy.protocol import Protocol
    from paredown.profilers.latency import Effort
    from paredown.trials.profile import ProfileRequest

SOURCES = ("auto", "none", "rapl", "pyrapl", "battery", "nvml", "estimate")
PROTOCOLS = ("quick", "on-device-st")


def add(subparsers: Any) -> None:
    profile = subparsers.add_parser("profile", help="latency, energy, memory and size of a bundle or model on this machine")
    profile.add_argument("subject", metavar="BUNDLE|MODEL")
    profile.add_argument("--against", metavar="BUNDLE|MODEL", help="a reference, measured interleaved; ratios are taken to it")
    profile.add_argument("--target", choices=("cpu", "cuda"), default="cpu")
    profile.add_argument("--data", default="bundled:tatoeba-en-de/search", metavar="DATA")
    profile.add_argument("--first", type=positive, default=32, metavar="N", help="only the first N utterances (default 32)")
    profile.add_argument("--quick", action="store_true", help="few repeats; without it until the interval is at most 4 %% wide")
    profile.add_argument("--time", default="2 min", metavar="2min", help="most time for the latency (default 2 min)")
    profile.add_argument("--threads", type=positive, default=1)
    profile.add_argument("--fixed-tokens", type=positive, default=16)
    profile.add_argument("--beam-size", type=positive)
    profile.add_argument("--energy", choices=SOURCES, default="auto", help="what counts joules (default: what this machine has)")
    profile.add_argument("--protocol", choices=PROTOCOLS, help="on-device-st: 100 utterances, four passes, five repeats, as in the paper")
    profile.add_argument("--tdp", type=positive_real, metavar="WATTS", help="design power of a processor package, for --energy estimate")
    profile.add_argument("--tdp-cores", type=positive, metavar="N", help="physical cores of that package")
    profile.add_argument(
        "--charge", type=positive_real, default=10.0, metavar="WH", help="a battery charge to tell utterances of (default 10)"
    )
    profile.add_argument("--figure", type=Path, metavar="FILE", help="write the distribution of latencies (.png, .svg, .pdf)")
    profile.add_argument("--seed", type=natural, default=0)
    add_json(profile)
    profile.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, then print tables, the distribution of latencies and what a charge carries."""
    from paredown.data import open_data
    from paredown.report.latency_figure import check_figure, write_latency_figure
    from paredown.report.profile_tables import samples_of, show_profile
    from paredown.trials.profile import take_profile

    if options.figure:
        check_figure(options.figure)
    request = _request(options)
    data = open_data(options.data)
    split = data.first(min(len(data), max(options.first, request.protocol.utterances if options.protocol else 0)))
    with ExitStack() as stack:
        bundle = stack.enter_context(opened(options.subject))
        reference = stack.enter_context(opened(options.against)) if options.against else None
        profile = take_profile(bundle, reference, split, request)
    if options.figure:
        write_latency_figure(options.figure, samples_of(profile, options.subject, options.against), f"latency on {profile.machine.cpu}")
    if options.json:
        print_json(profile.to_dict())
    else:
        show_profile(console(), profile, options.subject, options.against, len(split), options.charge)
    return 0


def _request(options: argparse.Namespace) -> "ProfileRequest":
    from paredown.trials.metering import EnergyRequest
    from paredown.trials.profile import ProfileRequest

    for name, value in (("--tdp", options.tdp), ("--tdp-cores", options.tdp_cores)):
        if value is not None and options.energy != "estimate":
            raise BadInput(f"{name} is for --energy estimate alone, got it with --energy {options.energy}")
    named = options.energy not in ("auto", "none")
    energy = EnergyRequest(options.target, options.energy if named else None, options.tdp, options.tdp_cores)
    return ProfileRequest(
        target=options.target,
        threads=options.threads,
        effort=_effort(options),
        fixed_tokens=options.fixed_tokens,
        beam_size=options.beam_size,
        energy=None if options.energy == "none" else energy,
        required=named,
        protocol=_protocol(options),
        seed=options.seed,
    )


def _effort(options: argparse.Namespace) -> "Effort":
    from paredown.profilers.latency import CHEAP, STRICT
    from paredown.search.units import parse_duration_s

    return replace(CHEAP if options.quick else STRICT, seconds=parse_duration_s(options.time, "--time"))


def _protocol(options: argparse.Namespace) -> "Protocol":
    from paredown.profilers.energy.protocol import CHEAP, ON_BATTERY, ON_DEVICE_ST

    if options.protocol == "on-device-st":
        return ON_DEVICE_ST
    if options.energy == "battery":
        return ON_BATTERY
    return replace(CHEAP, utterances=options.first)
