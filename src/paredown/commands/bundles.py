"""`paredown convert` and `paredown export`: write a bundle, from a model or from a trial of a study."""

import argparse
import json
import sys
from dataclasses import asdict
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
    which.add_argument("--pick", metavar="RULE", help="knee, smallest, fastest or best, within the budgets")
    export.add_argument("--budget", action="append", default=[], metavar="NAME=LIMIT", help="size=12MB, latency@cpu=80ms, quality=-1.0")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    export.add_argument("--force", action="store_true", help="replace a bundle that is there")
    add_json(export)
    export.set_defaults(run=run_export)


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
    figures = {name: figure.to_dict() for name, figure in (trial.outcome.measurements if trial.outcome else ())}
    about = {"study": spec.name, "trial": trial.number, "label": trial.label, "target": str(read_identity(options.study)["target"])}
    return _write(model, trial.configuration, options, {**about, "measurements": figures})


def _read_configuration(path: Path) -> Configuration:
    """A configuration file, or what `paredown show --json` printed, which holds one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        inner = value["configuration"] if isinstance(value, dict) and isinstance(value.get("configuration"), dict) else value
        return Configuration.from_json(json.dumps(inner))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is no configuration: {error}") from None


def _write(model: "Model", configuration: Configuration, options: argparse.Namespace, about: dict[str, Any] | None = None) -> int:
    """Check parity with torch, write the bundle, say what it became. `about` goes into `measurements.json`, which counts for nothing."""
    from paredown.bundle import ParityError, check_parity, write_bundle
    from paredown.compress.network import compress_model
    from paredown.profilers.size import NOT_COUNTED, measure_ratios, measure_size

    compressed = compress_model(model, configuration)
    try:
        check = check_parity(model, compressed)
    except ParityError as error:
        print(f"paredown: {error}", file=sys.stderr)
        return 1
    folder = write_bundle(model, compressed, options.output, force=options.force)
    if about is not None:
        (folder / NOT_COUNTED).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    size_bytes, ratios = measure_size(folder).size_bytes, measure_ratios(folder, model.inference_parameters)
    if options.json:
        figures = {"bundle": str(folder), "size_bytes": size_bytes, "ratios": asdict(ratios), "parity": check.to_dict()}
        print_json({"trial": about["trial"], **figures} if about else figures)
        return 0
    made = f"trial {about['trial']} ({about['label']}) -> " if about else ""
    ways = {"nominal bits": ratios.nominal_bits, "weight bytes": ratios.weight_bytes, "bundle bytes": ratios.bundle_bytes}
    smaller = ", ".join(f"{ratio:.1f}x by {way}" for way, ratio in ways.items())
    print(f"{made}{folder}: {megabytes(size_bytes)}, smaller than fp32 {smaller}; {check}")
    return 0
