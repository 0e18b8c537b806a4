"""`paredown.evaluate`, `compare` and `profile`: what a bundle, or a model as it is, is worth and costs."""

from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Literal

from paredown.api.unguarded import script_hidden
from paredown.api.wording import names_arguments

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.runtime.session import Target
    from paredown.trials.assessing import Assessed
    from paredown.trials.comparing import Compared
    from paredown.trials.profile import Profile
    from paredown.trials.profile_request import ProtocolName, Source

Subject = str | PathLike[str]


@names_arguments
def evaluate(
    subject: Subject,
    data: Subject,
    *,
    metrics: Sequence[str] | Literal["all", "task"] = "task",
    first: int | None = None,
    language: str | None = None,
    beam_size: int | None = None,
    workers: int | None = None,
    comet: bool = False,
) -> "Assessed":
    """Decode a split with the bundle itself, or with the uncompressed bundle of a model, and score what it says, with 95 % intervals.

    `data`: a manifest, a folder or "bundled:NAME/SPLIT"; `first`: only so many of its utterances. `metrics`: of bleu, chrf, chrf++, ter,
    wer and cer, by default those usual for the task; `language` of the references picks the tokenizer. `workers`: processes, one for each
    core by default. `comet`: score with wmt20-comet-da too. `.scores["chrf"].value` and `.ci95`; `.hypotheses`.
    Raises BadInput for a subject that is neither, data without references, and metrics that cannot be counted.
    """
    from paredown.data import open_data
    from paredown.errors import BadInput
    from paredown.trials.assessing import METRICS, assess

    if isinstance(metrics, str) and metrics not in ("all", "task"):
        raise BadInput(f"metrics are a sequence of names, 'all' or 'task'; got {metrics!r}")
    required: tuple[str, ...] = () if isinstance(metrics, str) else tuple(metrics)
    for metric in required:
        _check_metric(metric, METRICS)
    split = _first(open_data(fspath(data)), first)
    with script_hidden():
        return assess(
            fspath(subject), split, metrics, required=required, language=language, beam_size=beam_size, workers=workers, comet=comet
        )


@names_arguments
def compare(
    a: Subject,
    b: Subject,
    data: Subject,
    *,
    metric: str | None = None,
    margin: float | None = None,
    first: int | None = None,
    task: Literal["st", "asr"] | None = None,
    language: str | None = None,
    beam_size: int | None = None,
    workers: int | None = None,
    latency: bool = True,
    threads: int = 1,
    top: int = 5,
    seed: int = 0,
) -> "Compared":
    """Whether A differs from B, whether it loses less than a margin, and how fast it is beside it.

    `a`, `b`: bundles, models, or .txt files with a hypothesis on each line; `task` says what two files are. `metric`: chrf of
    translations, wer of transcripts by default; `margin`: the loss allowed, in its points, fixed before looking. `latency`: time A beside
    B, with `threads`; `top`: how many utterances that changed most are kept. `.comparison` has effect, tests and judgement; `.rows` every
    utterance. Raises BadInput where A and B are of different tasks, and as `evaluate`.
    """
    from paredown.data import open_data
    from paredown.trials.assessing import METRICS
    from paredown.trials.comparing import Question, compare_systems

    if metric is not None:
        _check_metric(metric, METRICS)
    split = _first(open_data(fspath(data)), first)
    pair = (fspath(a), fspath(b))
    asked = Question(*pair, metric, margin, task, language, beam_size, workers, latency, threads, top, seed)
    with script_hidden():
        return compare_systems(asked, split)


def _check_metric(metric: str, known: Sequence[str]) -> None:
    """Raises BadInput for a metric that there is none of, before anything is decoded."""
    from paredown.errors import BadInput

    if metric not in known:
        raise BadInput(f"a metric is one of {', '.join(known)}; got {metric!r}")


def _first(split: "Split", count: int | None) -> "Split":
    """The first `count` utterances of a split, or all. Raises BadInput for less than one."""
    from paredown.errors import BadInput

    if count is not None and count < 1:
        raise BadInput(f"first is a count of utterances, at least 1; got {count}")
    return split if count is None else split.first(count)


@names_arguments
def profile(
    subject: Subject,
    *,
    against: Subject | None = None,
    target: "Target" = "cpu",
    data: Subject = "bundled:tatoeba-en-de/search",
    first: int = 32,
    quick: bool = False,
    time: str | float = "2 min",
    threads: int = 1,
    fixed_tokens: int = 16,
    beam_size: int | None = None,
    energy: "Source" = "auto",
    protocol: "ProtocolName | None" = None,
    tdp_w: float | None = None,
    tdp_cores: int | None = None,
    seed: int = 0,
) -> "Profile":
    """Latency in ms, energy in mJ, memory and size in bytes of a bundle, or of a model as it is, on this machine.

    `against`: a reference, measured in turns with it. `data`, `first`: the utterances. `quick`: few repeats, where otherwise it repeats
    until the interval is at most 4 % wide or `time` is spent. `energy`: what counts joules, "auto" what this machine has, "none", or a
    source that must be there. `tdp_w`, `tdp_cores`: of a processor package, for energy "estimate". While it measures, nothing else of
    paredown runs on this machine. Raises BadInput for what cannot be measured here, with what enables it.
    """
    from paredown.data import open_data
    from paredown.trials.profile_request import make_request, profile_subject

    request = make_request(
        target=target,
        threads=threads,
        first=first,
        quick=quick,
        time=time,
        fixed_tokens=fixed_tokens,
        beam_size=beam_size,
        energy=energy,
        protocol=protocol,
        tdp_w=tdp_w,
        tdp_cores=tdp_cores,
        seed=seed,
    )
    other = None if against is None else fspath(against)
    with script_hidden():
        return profile_subject(fspath(subject), other, open_data(fspath(data)), first, request, protocol is not None)
