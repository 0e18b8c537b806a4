"""`paredown init`: a study file for a model and its data."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, natural, print_json

if TYPE_CHECKING:
    from paredown.trials.starting import Started


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("init", help="write a commented study file with defaults for a model and this machine")
    parser.add_argument("model", metavar="MODEL", help="a folder with config.yaml, a *.pth in one, a tag of the hub, or bundled:NAME")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder with the splits analysis and search, one split (divided by a seed), or a recipe's data or dump/raw",
    )
    parser.add_argument("--test", type=Path, metavar="DIR", help="a split that nothing is chosen by, apart from --data")
    parser.add_argument("-o", "--output", type=Path, metavar="STUDY.toml", help="the study file (default NAME.toml)")
    parser.add_argument("--name", help="of the study, whose trials are kept in runs/NAME (default: that of the model's folder)")
    parser.add_argument("--seed", type=natural, default=0, help="of dividing the data and of the search (default 0)")
    parser.add_argument("--force", action="store_true", help="replace a study file; manifests are never replaced")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the study, and say what it found and what comes next."""
    from paredown.commands.telling import Telling
    from paredown.trials.default_study import default_name
    from paredown.trials.starting import Request, start_study

    name = options.name or (options.output.stem if options.output else default_name(options.model))
    output = options.output or Path(f"{name}.toml")
    with Telling() as telling:
        started = start_study(Request(options.model, options.data, options.test, output, name, options.seed, options.force), telling)
    if options.json:
        print_json(_figures(started))
    else:
        print("\n".join(_lines(started)))
    return 0


def _figures(started: "Started") -> dict[str, Any]:
    forecast = started.forecast
    return {
        "study": str(started.study),
        "name": started.spec.name,
        "model": started.spec.model.path,
        "utterances": dict(started.splits),
        "size_bytes": {"32": forecast.uncompressed_bytes} | {str(bits): size for bits, size in forecast.bytes_at},
        "utterance_s": forecast.utterance_s,
        "trial_s": forecast.trial_s,
        "trials": forecast.trials,
    }


def _lines(started: "Started") -> list[str]:
    """What was found, and the commands that follow."""
    study, name = shlex.quote(str(started.study)), started.spec.name
    splits = ", ".join(f"{split} {count}" for split, count in started.splits)
    return [
        f"{started.study}: {started.about[0]}",
        f"utterances: {splits}",
        "next:",
        f"  paredown run {study} --dry-run       what it will cost and can reach",
        f"  paredown run {study}                 search; the same command goes on where it stopped",
        f"  paredown front runs/{name}",
        f"  paredown report runs/{name}",
        f"  paredown export runs/{name} --pick knee -o bundle",
    ]
