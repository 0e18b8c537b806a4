"""A trial in a few words."""

from paredown.search.trial import Trial
from paredown.search.units import format_duration

_KNOB_WORDS = {
    "width.eta": "widths at eta",
    "rank.eta": "ranks at eta",
    "input.hop_samples": "hop",
    "decode.beam_size": "beam",
    "decode.ctc_weight": "CTC weight",
    "decode.length_bonus": "length bonus",
}


def describe(trial: Trial) -> str:
    """What a trial's configuration is, in a few words: its label if it was given, else its knobs."""
    knobs = trial.candidate.knobs
    trained = [_trained(trial)] if trial.configuration.trainings else []
    if not knobs or trial.label.startswith(("uniform", "uncompressed")):
        return "; ".join([trial.label, *trained])
    kept = dict(knobs)
    parts = [f"{kept.pop('bits.average'):.2f} bits"] if "bits.average" in kept else []
    parts += [f"{int(value)} {name.removeprefix('layers.')} blocks" for name, value in kept.items() if name.startswith("layers.")]
    zeros = [f"{_part(name)} {value:.0%}" for name, value in kept.items() if name.startswith("sparsity.") and value]
    parts += [f"{kept['heads.share']:.0%} of the heads gone"] if kept.get("heads.share") else []
    parts += [f"{words} {kept[name]:g}" for name, words in _KNOB_WORDS.items() if name in kept]
    heard = trial.configuration.input
    parts += [f"{heard.sample_rate_hz} Hz {heard.variant}"] if heard.sample_rate_hz is not None else []
    return "; ".join([*parts, *(["zeros: " + ", ".join(zeros)] if zeros else []), *trained])


def _trained(trial: Trial) -> str:
    """Kind and length of its training, all stages together; the weights it started from may have been trained before."""
    stages = trial.configuration.trainings
    kinds = " and ".join(dict.fromkeys(stage.kind for stage in stages))
    minutes, steps = sum(stage.minutes or 0.0 for stage in stages), sum(stage.steps or 0 for stage in stages)
    lengths = ([format_duration(60.0 * minutes)] if minutes else []) + ([f"{steps} steps"] if steps else [])
    return f"{kinds} {' and '.join(lengths)}"


def _part(knob: str) -> str:
    """What a share of zeros is of: a module group, or all that the study names, ranked together."""
    name = knob.removeprefix("sparsity.")
    return "all groups" if name == "share" else name
