"""What was done to the model in a trial, part by part: the rows of `paredown show`."""

from collections import Counter

from paredown.search.units import format_duration
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.training import ADAPTERS, Training

Part = tuple[str, str]  # its name, and what is left of it


def parts_of(configuration: Configuration) -> list[Part]:
    """What was done to blocks, groups, input and decoding, the schedule, then every width, rank and head; bits only as counts."""
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
    rows += [(path, f"computed by the {kernel} kernel") for path, kernel in configuration.kernels]
    widths = Counter(bits for _, bits in configuration.bits)
    return [*rows, ("layers at each bit-width", ", ".join(f"{count} at {bits}" for bits, count in sorted(widths.items())) or "none: fp32")]


def differing(one: Configuration, other: Configuration) -> list[tuple[str, str, str]]:
    """The parts in which two configurations differ, with what each has; "" where it has no such row, which leaves the part as it is."""
    mine, theirs = dict(parts_of(one)), dict(parts_of(other))
    names = dict.fromkeys([*mine, *theirs])
    return [(name, mine.get(name, ""), theirs.get(name, "")) for name in names if mine.get(name) != theirs.get(name)]


def _schedule_rows(configuration: Configuration) -> list[Part]:
    """The order of what was done, and a row for each training stage; nothing where nothing was trained and the order is the usual one."""
    if configuration.schedule == TRANSFORMATIONS:
        return []
    stages = [stage.partition(":")[0] if isinstance(stage, str) else stage.kind for stage in configuration.schedule]
    rows = [("schedule", " -> ".join(stages))]
    return rows + [(f"training {number}", _stage_words(stage)) for number, stage in enumerate(configuration.trainings, 1)]


def _stage_words(stage: Training) -> str:
    """What a training stage was told, in one line; of shares and switches only those that are not as usual."""
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
