"""`paredown convert` and `paredown export`: write a bundle, from a model or from a trial of a study."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, megabytes, print_json
from paredown.errors import BadInput
from paredown.space.configuration import MAX_BITS, MIN_BITS, Configuration

if TYPE_CHECKING:
    from paredown.models import Model


def add(subparsers: Any) -> None:
    convert = subparsers.add_parser("convert", help="one bundle, no search")
    convert.add_argument("model", metavar="MODEL")
    choice = convert.add_mutually_exclusive_group()
    choice.add_argument("--bits", type=int, default=32, help="bit-width of every layer: 2 to 8, or 32 = uncompressed (default)")
    choice.add_argument("--configuration", type=Path, metavar="FILE", help="JSON, as `paredown show --json` prints it")
    convert.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    convert.add_argument("--force", action="store_true", help="replace a bundle that is there")
    add_json(convert)
    convert.set_defaults(run=run_convert)

    export = subparsers.add_parser("export", help="write the bundle of a trial")
    export.add_argument("study", type=Path, metavar="STUDY")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", type=int, metavar="N")
    which.add_argument("--pick", choices=("knee", "smallest", "fastest", "best"), metavar="RULE", help="knee, smallest, fastest or best")
    export.add_argument("--budget", action="append", default=[], metavar="NAME=LIMIT", help="size=12MB, latency@cpu=80ms, quality=-1.0")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    export.add_argument("--force", action="store_true", help="replace a bundle that is there")
    add_json(export)
    export.set_defaults(run=run_export)


def configured(model: "Model", bits: int) -> Configuration:
    """Every layer at `bits` bits; 32 = uncompressed. Raises BadInput on any other width."""
    from paredown.trials.evaluation import UNCOMPRESSED
    from paredown.trials.space import uniform_bits

    if bits == 32:
        return UNCOMPRESSED
    if not MIN_BITS <= bits <= MAX_BITS:
        raise BadInput(f"bit-widths are {MIN_BITS} to {MAX_BITS}, or 32 for an uncompressed bundle; got {bits}")
    return uniform_bits(model.inventory(), bits)


def run_convert(options: argparse.Namespace) -> int:
    """Load the model, compress it as asked and write the bundle, after the parity check."""
    from paredown.models import load_model

    model = load_model(options.model)
    path = options.configuration
    return _write(model, _read_configuration(path) if path else configured(model, options.bits), options)


def run_export(options: argparse.Namespace) -> int:
    """Write the bundle of one trial, chosen by number or by a rule within the budgets."""
    from paredown.commands.fronts import budgets_of, find_trial, read_study
    from paredown.search.pick import pick_trial
    from paredown.search.study import read_identity
    from paredown.trials.study_run import studied_model

    spec, trials = read_study(options.study)
    if options.trial is not None:
        trial = find_trial(trials, options.trial)
    else:
        trial = pick_trial(options.pick, trials, spec.objective_list, budgets_of(spec, options.budget))
    model = studied_model(spec, str(read_identity(options.study)["model"]))
    return _write(model, trial.configuration, options, trial=trial.number)


def _read_configuration(path: Path) -> Configuration:
    try:
        return Configuration.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path} is no configuration: {error}") from None


def _write(model: "Model", configuration: Configuration, options: argparse.Namespace, *, trial: int | None = None) -> int:
    from paredown.bundle import check_parity, write_bundle
    from paredown.compress.network import compress_model
    from paredown.profilers.size import measure_size

    name = options.model if trial is None else f"{options.study.name}, trial {trial}"
    compressed = compress_model(model, configuration)
    check = check_parity(model, compressed)
    folder = write_bundle(model, compressed, options.output, name=str(name), force=options.force)
    size = measure_size(folder)
    if options.json:
        figures = {"bundle": str(folder), "size_bytes": size.size_bytes, "files": dict(size.files), "parity": check.to_dict()}
        print_json(figures if trial is None else {"trial": trial, **figures})
        return 0
    print(f"{folder}: {megabytes(size.size_bytes)}; {check}")
    return 0
