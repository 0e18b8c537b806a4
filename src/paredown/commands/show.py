"""`paredown show`: one trial of a study, and what each of its axes bought."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.fronts import describe, find_trial, read_study
from paredown.commands.printing import add_json, console, megabytes, print_json, table
from paredown.errors import BadInput
from paredown.search.budget import METRICS
from paredown.space.training import ADAPTERS

if TYPE_CHECKING:
    from paredown.profilers.measurement import Measurement
    from paredown.search.trial import Trial
    from paredown.space.configuration import Configuration
    from paredown.space.training import Training
    from paredown.trials.ablation import Ablated


def add(subparsers: Any) -> None:
    show = subparsers.add_parser("show", help="one trial: per-layer bits, blocks, sparsity, measurements")
    show.add_argument("study", type=Path, metavar="STUDY")
    show.add_argument("--trial", type=int, required=True, metavar="N")
    show.add_argument("--ablate", action="store_true", help="measure it again without each of its axes: what each one bought")
    add_json(show)
    show.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one trial: its measurements, then what was done to every layer; or what each of its axes bought."""
    if options.ablate:
        return _ablate(options)
    spec, trials = read_study(options.study)
    trial = find_trial(trials, options.trial)
    if options.json:
        print_json(
            {
                "trial": trial.number,
                "state": trial.state,
                "label": trial.label,
                "reason": trial.reason,
                "seconds": trial.seconds,
                "knobs": dict(trial.candidate.knobs or ()),
                "measurements": {name: value.to_dict() for name, value in (trial.outcome.measurements if trial.outcome else ())},
                "configuration": json.loads(trial.configuration.to_json()),
            }
        )
        return 0
    screen = console()
    screen.print(f"trial {trial.number} of {spec.name}: {describe(trial)}; {trial.state}" + (f", {trial.reason}" if trial.reason else ""))
    if trial.outcome is not None:
        screen.print(table("measurements", ("", "value", "unit", "95 % interval", "more"), map(_figures, trial.outcome.measurements)))
    screen.print(_layer_table(trial))
    return 0


def _figures(named: "tuple[str, Measurement]") -> tuple[str, ...]:
    name, figure = named
    unsure = "" if figure.provenance == "measured" else f" ({figure.provenance})"
    around = f"{figure.ci95[0]:.6g} to {figure.ci95[1]:.6g}" if figure.ci95 else ""
    more = ", ".join(f"{key} {value:.4g}" for key, value in figure.detail if isinstance(value, float) and name != "size_bytes")
    return (name + unsure, f"{figure.value:.6g}", figure.unit, around, more)


def _layer_table(trial: "Trial") -> Any:
    """What was done to blocks and groups, how many layers have each bit-width, then a row for each layer."""
    configuration = trial.configuration
    rows = [(f"{stack} blocks kept", ", ".join(map(str, kept))) for stack, kept in configuration.keep]
    rows += [(f"{group}: zeros", f"{share:.0%}") for group, share in configuration.sparsity]
    heard, decode = configuration.input, configuration.decode
    rows += [("hop length", f"{heard.hop_samples} samples")] if heard.hop_samples is not None else []
    rows += [("sample rate", f"{heard.sample_rate_hz} Hz, {heard.variant}")] if heard.sample_rate_hz is not None else []
    rows += [("decoding", f"beam {decode.beam_size}, CTC weight {decode.ctc_weight:g}, length bonus {decode.length_bonus:g}")]
    rows += [("quantized activations", configuration.scheme.activations)] if configuration.bits else []
    rows += [("weights", f"supernet {configuration.supernet[:12]}")] if configuration.supernet is not None else []
    rows += [("weights", f"as recovery {configuration.inherited[:12]} left them")] if configuration.inherited is not None else []
    rows += _schedule_rows(configuration)
    rows += [(path, f"{units} hidden units") for path, units in configuration.width]
    rows += [(path, f"rank {rank}") for path, rank in configuration.rank]
    rows += [(path, f"heads {', '.join(map(str, heads))}") for path, heads in configuration.heads]
    widths = Counter(bits for _, bits in configuration.bits)
    rows += [("layers at each bit-width", ", ".join(f"{count} at {bits}" for bits, count in sorted(widths.items())) or "none: fp32")]
    rows += [(path, f"{bits} bits") for path, bits in configuration.bits]
    return table(f"configuration {configuration.digest[:12]}", ("part", "what is left of it"), rows)


def _schedule_rows(configuration: "Configuration") -> list[tuple[str, str]]:
    """The order of what was done, and a row for each training stage; nothing where nothing was trained and the order is the usual one."""
    from paredown.space.configuration import TRANSFORMATIONS

    if configuration.schedule == TRANSFORMATIONS:
        return []
    stages = [stage.partition(":")[0] if isinstance(stage, str) else stage.kind for stage in configuration.schedule]
    rows = [("schedule", " -> ".join(stages))]
    return rows + [(f"training {number}", _stage_words(stage)) for number, stage in enumerate(configuration.trainings, 1)]


def _stage_words(stage: "Training") -> str:
    """What a training stage was told, in one line; of shares and switches only those that are not as usual."""
    from paredown.search.units import format_duration

    mixture = stage.mixture
    bound = f"{stage.steps} steps" if stage.steps is not None else format_duration(60.0 * (stage.minutes or 0.0))
    shares = {"references": mixture.references, "distilled": mixture.distilled, "out of domain": mixture.out_of_domain}
    heard = ", ".join(f"{share} x {name}" for name, share in shares.items() if share)
    parts = [stage.kind, bound, f"rate {stage.rate:g}", f"batches of {stage.batch_s:g} s", f"data {stage.data[:12]} ({heard})"]
    parts += [f"teacher {stage.teacher:g}"] if stage.teacher else []
    parts += [f"rank {stage.rank}, alpha {stage.alpha:g}"] if stage.kind in ADAPTERS else []
    parts += [f"semi-orthogonal {stage.semi_orthogonal}"] if stage.semi_orthogonal is not None else []
    parts += [f"no {name}" for name in ("masking", "dropout") if not getattr(stage, name)]
    return "; ".join([*parts, f"seed {stage.seed}"])


def _ablate(options: argparse.Namespace) -> int:
    """Measure the trial and itself without each axis, side by side."""
    from paredown.commands.telling import Telling
    from paredown.search.study import read_identity
    from paredown.trials.ablation import ablate
    from paredown.trials.study_run import studied_model

    spec, trials = read_study(options.study)
    trial = find_trial(trials, options.trial)
    if trial.outcome is None:
        raise BadInput(f"what axes bought is measured of a complete trial, trial {trial.number} is {trial.state}")
    model = studied_model(spec, str(read_identity(options.study)["model"]))
    with Telling() as telling:
        found = ablate(spec, model, trial.configuration, telling)
    if options.json:
        print_json({"trial": trial.number, "ablation": [each.to_dict() for each in found]})
        return 0
    metric = METRICS[spec.objectives.quality]
    columns = ("", f"quality {metric}", "latency ms", "size MB", "bought: quality", "latency", "size")
    caption = (
        f"{found[0].outcome.measurement_of['quality'].samples} utterances of search. "
        "Quality is the difference to the uncompressed model, above 0 where better.\n"
        "Bought: what the axis changed, its row against the first; latency and size as share of what they would be without it."
    )
    console().print(
        table(f"trial {trial.number} of {spec.name}: {describe(trial)}", columns, (_bought(each, found[0]) for each in found), caption)
    )
    return 0


def _bought(each: "Ablated", whole: "Ablated") -> tuple[str, ...]:
    here, base = each.outcome, whole.outcome
    names = ("quality", "latency_ms@cpu", "size_bytes")
    quality, latency, size = (here.value(name) for name in names)
    figures = (f"{quality:+.2f}", f"{latency:.1f}", megabytes(size).removesuffix(" MB"))
    if not each.axis:
        return ("as it is", *figures, "", "", "")
    bought = (f"{base.value('quality') - quality:+.2f}", *(f"x {base.value(name) / here.value(name):.3f}" for name in names[1:]))
    return (f"without {each.axis}", *figures, *bought)
