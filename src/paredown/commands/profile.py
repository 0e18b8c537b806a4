"""`paredown profile`: latency, energy, memory, size and work of a bundle, or of a model as it is, on this machine."""

import argparse
from pathlib import Path
from typing import Any, get_args

from paredown.commands.printing import add_json, console, natural, positive, positive_real, print_json
from paredown.trials.profile_request import ProtocolName, Source

SOURCES = get_args(Source)
PROTOCOLS = get_args(ProtocolName)


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
    from paredown.trials.profile_request import make_request, profile_subject, timed_utterances

    if options.figure:
        check_figure(options.figure)
    names = ("target", "threads", "first", "quick", "time", "fixed_tokens", "beam_size", "energy", "protocol", "tdp_cores", "seed")
    request = make_request(**{name: getattr(options, name) for name in names}, tdp_w=options.tdp)
    data, named = open_data(options.data), options.protocol is not None
    profile = profile_subject(options.subject, options.against, data, options.first, request, named)
    if options.figure:
        write_latency_figure(options.figure, samples_of(profile, options.subject, options.against), f"latency on {profile.machine.cpu}")
    if options.json:
        print_json(profile.to_dict())
    else:
        utterances = timed_utterances(len(data), options.first, request, named)
        show_profile(console(), profile, options.subject, options.against, utterances, options.charge)
    return 0
