"""`paredown convert` and `paredown export`: write a bundle, from a model or from a trial of a study; or the same in another form."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.configure import add_configuration, configuration_of
from paredown.commands.printing import add_budgets, add_json, megabytes, print_json
from paredown.commands.recovering import add_recovery, check_recovery, open_training, with_recovery
from paredown.errors import BadInput
from paredown.trials.conversion import own_data

if TYPE_CHECKING:
    from paredown.search.trial import Trial
    from paredown.trials.exporting import Written

_TOLD: dict[str, str] = {
    "self-contained": "ONNX files that plain onnxruntime loads ({folder}/README.txt says how)",
    "espnet": "an ESPnet checkpoint for more training (--config {folder}/config.yaml --init_param {folder}/model.pth)",
}


def add(subparsers: Any) -> None:
    convert = subparsers.add_parser("convert", help="one bundle, no search")
    convert.add_argument("model", metavar="MODEL")
    add_configuration(convert)
    add_recovery(convert)
    convert.add_argument(
        "--data",
        metavar="DATA",
        help="what the model hears for --method gptq, --activations static, the outlier check and what merging adapters costs "
        "(bundled model: its analysis split)",
    )
    _add_output(convert)
    convert.set_defaults(run=run_convert)

    export = subparsers.add_parser("export", help="write the bundle of a trial")
    export.add_argument("study", type=Path, metavar="STUDY")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", type=int, metavar="N")
    which.add_argument("--pick", metavar="RULE", help="knee, smallest, fastest, frugal, best or lossless, within the budgets")
    export.add_argument(
        "--by", choices=("size", "latency", "energy"), help="of --pick lossless: the smallest (default: as confirmed), fastest or frugalest"
    )
    add_budgets(export)
    _add_output(export)
    export.set_defaults(run=run_export)


def _add_output(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--self-contained", action="store_const", dest="form", const="self-contained", help="ONNX files with packed weights inside"
    )
    form.add_argument("--as", dest="form", choices=("bundle", "espnet"), help="espnet: a checkpoint folder for more training")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--force", action="store_true", help="replace what paredown wrote there in this form")
    add_json(parser)
    parser.set_defaults(form="bundle")


def run_convert(options: argparse.Namespace) -> int:
    """Load the model, compress it as asked and write the bundle, after the parity check."""
    from paredown.bundle.forms import check_place
    from paredown.commands.telling import Telling
    from paredown.data import open_data
    from paredown.models import load_model
    from paredown.trials.exporting import convert_model
    from paredown.trials.preparing import check_use

    _check_options(options)
    check_recovery(options)
    check_place(options.output, options.form, options.force)
    model, training = load_model(options.model), open_training(options)
    configuration = with_recovery(configuration_of(model, options), options, training)
    if options.data:
        check_use(model, configuration, options.data)
    data = options.data or own_data(options.model)
    split = open_data(data) if data else None
    fixed = "the configuration file says what computes each layer" if options.configuration else None
    with Telling() as tell:
        write = partial(convert_model, model, configuration, options.output, options.form, split=split, fixed=fixed)
        return _tell(partial(write, training=training, force=options.force, tell=tell), options)


def _check_options(options: argparse.Namespace) -> None:
    """Raises BadInput for flags that the form has no place for."""
    flags = {
        "--kernel": options.kernel,
        "--activations": options.activations,
        "--beam-size": options.beam_size,
        "--ctc-weight": options.ctc_weight,
    }
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    if options.form == "espnet" and given:
        raise BadInput(f"--as espnet writes no kernels and no decoding, got {', '.join(given)}")


def run_export(options: argparse.Namespace) -> int:
    """Write the bundle of one trial, chosen by number or by a rule within the budgets."""
    from paredown.bundle.forms import check_place
    from paredown.commands.telling import Telling
    from paredown.search.confirmation import read_confirmation
    from paredown.search.pick import pick_trial
    from paredown.search.study_folder import budgets_of, find_trial, read_study
    from paredown.trials.exporting import export_trial

    spec, trials = read_study(options.study)
    check_place(options.output, options.form, options.force)
    if options.by is not None and options.pick != "lossless":
        raise BadInput(f"--by says which trial without loss is picked, got --by {options.by} without --pick lossless")
    if options.trial is not None:
        trial = find_trial(trials, options.trial)
    else:
        budgets, record = budgets_of(spec, options.budget), read_confirmation(options.study)
        trial = pick_trial(options.pick, trials, spec.objective_list, budgets, record, options.by)
    with Telling() as tell:
        write = partial(export_trial, options.study, trial, options.output, options.form, force=options.force, tell=tell)
        return _tell(write, options, trial)


def _tell(write: "Callable[[], Written]", options: argparse.Namespace, trial: "Trial | None" = None) -> int:
    """Write it, then say what it became."""
    from paredown.bundle import ParityError

    try:
        written = write()
    except ParityError as error:
        print(f"paredown: {error}", file=sys.stderr)
        return 1
    if options.json:
        print_json(({} if trial is None else {"trial": trial.number}) | written.to_dict())
        return 0
    if written.supernet is not None:
        print(f"weights: those of the supernet {written.supernet}, which the configuration's schedule names")
    made = "" if trial is None else f"trial {trial.number} ({trial.label}) -> "
    print(made + _sentence(written))
    for line in [str(written.parity)] * (written.parity is not None) + written.prepared.lines:
        print(f"  {line}")
    return 0


def _sentence(written: "Written") -> str:
    """Where it is, how large, how much smaller than the model in fp32."""
    where = f"{written.folder}: {megabytes(written.size_bytes)}"
    if written.ratios is not None:
        found = written.ratios
        ways = {"nominal bits": found.nominal_bits, "weight bytes": found.weight_bytes, "bundle bytes": found.bundle_bytes}
        return f"{where}, smaller than fp32 " + ", ".join(f"{ratio:.1f}x by {way}" for way, ratio in ways.items())
    what = _TOLD[written.form].format(folder=written.folder)
    return f"{where}, {what}" if written.form == "espnet" else f"{where}, {written.times_smaller:.1f}x smaller than fp32, {what}"
