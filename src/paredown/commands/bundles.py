"""`paredown convert` and `paredown export`: write a bundle, from a model or from a trial of a study; or the same in another form."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.configure import add_configuration, configuration_of
from paredown.commands.printing import add_budgets, add_json, megabytes, print_json
from paredown.commands.recovering import (
    add_recovery,
    check_recovery,
    open_training,
    trained_weights,
    trains_adapters,
    with_gap,
    with_recovery,
)
from paredown.errors import BadInput
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.bundle.forms import Form
    from paredown.bundle.parity.gate import ParityReport
    from paredown.commands.calibrated import Prepared
    from paredown.models import Model


FP32_BYTES = 4
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
    from paredown.commands.calibrated import check_data, needs_data, prepare
    from paredown.commands.telling import Telling
    from paredown.data import PREFIX, open_data
    from paredown.models import load_model

    _check_options(options)
    check_recovery(options)
    check_place(options.output, options.form, options.force)
    whole, training = load_model(options.model), open_training(options)
    configuration = with_recovery(configuration_of(whole, options), options, training)
    model = _weights(whole, configuration, options)
    data = options.data or (f"{options.model}/analysis" if options.model.startswith(PREFIX) else None)
    fixed = "the configuration file says what computes each layer" if options.configuration else None
    if options.form == "espnet":
        fixed = "a checkpoint has no kernels"
    if options.data and not needs_data(model, configuration):
        what = "--method gptq and for layers in int8, checked for outliers, and for adapters"
        raise BadInput(f"--data is for {what}; got {options.data} for none of them")
    split = open_data(data) if data else None
    check_data(configuration, split)  # before minutes of training
    with Telling() as tell:
        recovered = trained_weights(model, configuration, training, tell, whole)
    prepared = prepare(model, configuration, split, fixed, recovered)
    return _write(model, with_gap(model, prepared, recovered, split), options)


def _weights(model: "Model", configuration: Configuration, options: argparse.Namespace) -> "Model":
    """The model whose weights the configuration takes; it is said where they are a supernet's."""
    from paredown.trials.supernets import weights_of

    taken = weights_of(model, configuration)
    if taken is not model and not options.json:
        print(f"weights: those of the supernet {taken.path}, which the configuration's schedule names")
    return taken


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
    from paredown.commands.calibrated import prepare
    from paredown.commands.fronts import budgets_of, find_trial, read_study
    from paredown.commands.telling import Telling
    from paredown.search.confirmation import read_confirmation
    from paredown.search.pick import pick_trial
    from paredown.search.study import read_identity
    from paredown.trials.recovering import kept_training
    from paredown.trials.study_run import split_of, studied_model, target_of

    spec, trials = read_study(options.study)
    check_place(options.output, options.form, options.force)
    if options.by is not None and options.pick != "lossless":
        raise BadInput(f"--by says which trial without loss is picked, got --by {options.by} without --pick lossless")
    if options.trial is not None:
        trial = find_trial(trials, options.trial)
    else:
        budgets, record = budgets_of(spec, options.budget), read_confirmation(options.study)
        trial = pick_trial(options.pick, trials, spec.objective_list, budgets, record, options.by)
    identity = read_identity(options.study)
    whole = studied_model(spec, str(identity["model"]))
    model = _weights(whole, trial.configuration, options)
    figures = {name: figure.to_dict() for name, figure in (trial.outcome.measurements if trial.outcome else ())}
    about = {"study": spec.name, "trial": trial.number, "label": trial.label, "target": target_of(identity)}
    heard = trial.configuration.is_calibrated or trains_adapters(trial.configuration)
    split = split_of(spec, "analysis") if heard else None
    training = kept_training(spec, model.task) if trial.configuration.is_recovered else None
    with Telling() as tell:
        recovered = trained_weights(model, trial.configuration, training, tell, whole)
    prepared = prepare(model, trial.configuration, split, "the trial says what computes each layer", recovered)
    prepared = with_gap(model, prepared, recovered, split)
    return _write(model, prepared, options, {**about, "measurements": figures})


def _write(model: "Model", prepared: "Prepared", options: argparse.Namespace, about: dict[str, Any] | None = None) -> int:
    """Check parity with torch, write the bundle, say what it became. `about` goes into `measurements.json`, which counts for nothing."""
    from paredown.bundle import ParityError, check_parity
    from paredown.bundle.forms import write_form
    from paredown.profilers.machine_lock import machine_share

    form: Form = options.form
    compressed = prepared.compressed
    try:
        with machine_share():
            check = None if form == "espnet" else check_parity(model, compressed)  # a checkpoint has no graphs
            folder = write_form(model, compressed, options.output, form, force=options.force, about=about)
    except ParityError as error:
        print(f"paredown: {error}", file=sys.stderr)
        return 1
    if options.json:
        print_json(({"trial": about["trial"]} if about else {}) | _figures(model, folder, form, check) | prepared.figures)
    else:
        made = f"trial {about['trial']} ({about['label']}) -> " if about else ""
        print(made + _sentence(model, folder, form))
        for line in [str(check)] * (check is not None) + prepared.lines:
            print(f"  {line}")
    return 0


def _figures(model: "Model", folder: Path, form: "Form", check: "ParityReport | None") -> dict[str, Any]:
    from paredown.profilers.size import measure_ratios, measure_size

    figures: dict[str, Any] = {"bundle": str(folder), "form": form, "size_bytes": measure_size(folder).size_bytes}
    if form == "bundle":
        figures["ratios"] = asdict(measure_ratios(folder, model.inference_parameters))
    return figures | ({} if check is None else {"parity": check.to_dict()})


def _sentence(model: "Model", folder: Path, form: "Form") -> str:
    """Where it is, how large, how much smaller than the model in fp32."""
    from paredown.profilers.size import measure_ratios, measure_size

    size_bytes = measure_size(folder).size_bytes
    if form == "bundle":
        ratios = measure_ratios(folder, model.inference_parameters)
        ways = {"nominal bits": ratios.nominal_bits, "weight bytes": ratios.weight_bytes, "bundle bytes": ratios.bundle_bytes}
        smaller = ", ".join(f"{ratio:.1f}x by {way}" for way, ratio in ways.items())
        return f"{folder}: {megabytes(size_bytes)}, smaller than fp32 {smaller}"
    what = _TOLD[form].format(folder=folder)
    if form == "espnet":
        return f"{folder}: {megabytes(size_bytes)}, {what}"
    return f"{folder}: {megabytes(size_bytes)}, {FP32_BYTES * model.inference_parameters / size_bytes:.1f}x smaller than fp32, {what}"
