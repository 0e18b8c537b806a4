"""Two systems on one split: do they differ, does the first lose less than a margin, how fast is it beside the other, what changed."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paredown.errors import BadInput
from paredown.trials.assessing import tokenizer_for
from paredown.trials.subject import opened

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.profilers.latency import Latency
    from paredown.quality import NonInferiority, Significance
    from paredown.quality.pairs import Pairs
    from paredown.report.compare_table import Change, Comparison

MAIN = {"st": "chrf", "asr": "wer"}


@dataclass(frozen=True)
class Question:
    """What is compared, and how. `a`, `b`: bundles, models, or .txt files with a hypothesis on each line.

    `metric` None: the task's; `margin`: of non-inferiority, in its points, None its own; `task`: of two files; `language` of the
    references; `latency`: whether A is timed beside B, with `threads`; `top`: how many utterances that changed most are told.
    """

    a: str
    b: str
    metric: str | None = None
    margin: float | None = None
    task: Literal["st", "asr"] | None = None
    language: str | None = None
    beam_size: int | None = None
    workers: int | None = None
    latency: bool = True
    threads: int = 1
    top: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Compared:
    """The `comparison`, in what it is counted (`metric`), and how every utterance changed."""

    comparison: "Comparison"
    metric: str
    rows: "tuple[Change, ...]"

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        found = self.comparison
        a, b = found.names
        latency = None
        if found.latency is not None:
            latency = {"a": found.latency[0].to_dict(), "b": found.latency[1].to_dict()}
        return {
            "a": a,
            "b": b,
            "metric": self.metric,
            "values": {"a": found.values[0], "b": found.values[1]},
            "signature": found.signature,
            "utterances": found.dagger.utterances,
            "effect": {"value": found.tests[0].effect, "ci95": found.tests[0].ci95},
            "tests": [asdict(test) | {"significant": test.significant} for test in found.tests],
            "non_inferiority": None if found.judgement is None else asdict(found.judgement),
            "dagger": {"dagger": found.dagger.dagger, "test": found.dagger.test, "p_value": found.dagger.p_value},
            "latency_ms": latency,
            "changed": [asdict(row) for row in found.changed],
        }


@dataclass(frozen=True)
class Said:
    """What two systems make of a split, and what it is scored by; `latency` of both where it was timed."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    references: tuple[str, ...]
    metric: str
    tokenizer: str
    latency: "tuple[Latency, Latency] | None"


@dataclass(frozen=True)
class Judged:
    """Every test; `judgement` None where the metric has no margin of its own and none was given."""

    tests: "tuple[Significance, ...]"
    dagger: "Significance"
    judgement: "NonInferiority | None"


def compare_systems(asked: Question, split: "Split") -> Compared:
    """Decode both, test, time. Raises BadInput where they are of different tasks, a file has another number of lines than the split, or
    the metric cannot be counted.
    """
    from paredown.profilers.machine_lock import machine_share
    from paredown.quality.corpus import CorpusScorer
    from paredown.quality.metrics import unit
    from paredown.quality.pairs import Pairs
    from paredown.report.compare_table import Comparison

    said = _hear(asked, split)
    with machine_share():  # tens of thousands of resamples
        scorer = CorpusScorer(said.metric, said.references, said.tokenizer)
        pairs = Pairs(said.metric, scorer.statistics(said.a), scorer.statistics(said.b))
        judged = _judge(pairs, said, asked.margin, asked.seed)
        rows = _changes(pairs, said, split)
        changed = _most_changed(pairs, rows, asked.top)
    comparison = Comparison(
        (asked.a, asked.b),
        unit(said.metric),
        pairs.values,
        scorer.signature,
        judged.tests,
        judged.dagger,
        judged.judgement,
        said.latency,
        changed,
    )
    return Compared(comparison, said.metric, rows)


def _hear(asked: Question, split: "Split") -> Said:
    """Hypotheses of both: read from files, or decoded by the bundles themselves. Raises BadInput where they are of different tasks."""
    from paredown.quality.metrics import check_words
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search

    with ExitStack() as stack:
        bundles = [None if _is_file(subject) else stack.enter_context(opened(subject)) for subject in (asked.a, asked.b)]
        tasks = {read_manifest(bundle).task for bundle in bundles if bundle is not None} or {asked.task or _task_of(split)}
        if len(tasks) > 1 or (asked.task and asked.task not in tasks):
            raise BadInput(f"A and B must be of one task, got {', '.join(sorted({*tasks, *filter(None, [asked.task])}))}")
        task = tasks.pop()
        references = split.references(task)
        metric, tokenizer = asked.metric or MAIN[task], tokenizer_for(asked.language, references)
        check_words((metric,), tokenizer)
        texts: list[tuple[str, ...]] = []
        with Decoder(asked.workers) as decoder:
            for subject, bundle in zip((asked.a, asked.b), bundles, strict=True):
                if bundle is None:
                    texts.append(_read_lines(Path(subject), len(split)))
                else:
                    found = decoder.decode(bundle, split, Search(beam_size=asked.beam_size))
                    texts.append(tuple(hypothesis.text for hypothesis in found))
        latency = _time(bundles[0], bundles[1], split, asked) if asked.latency and bundles[0] and bundles[1] else None
    return Said(texts[0], texts[1], references, metric, tokenizer, latency)


def _is_file(subject: str) -> bool:
    return subject.endswith(".txt") and Path(subject).is_file()


def _task_of(split: "Split") -> str:
    """Of files alone: what all utterances have a reference for; BadInput where that is both."""
    translated = all(utterance.translation is not None for utterance in split.utterances)
    if translated and any(utterance.text is not None for utterance in split.utterances):
        raise BadInput("utterances have a text and a translation: say with --task st or --task asr which of them the files are")
    return "st" if translated else "asr"


def _read_lines(path: Path, count: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise BadInput(f"{path} must be UTF-8 text") from None
    if len(lines) != count:
        raise BadInput(f"a file of hypotheses must have a line for each of {count} utterances, {path} has {len(lines)}")
    return tuple(lines)


def _time(a: Path, b: Path, split: "Split", asked: Question) -> "tuple[Latency, Latency]":
    """Latency of both, interleaved, on a few utterances of the split."""
    from paredown.profilers.latency import CHEAP
    from paredown.trials.evaluation import FIXED_TOKENS, TIMED_UTTERANCES, spread_by_length
    from paredown.trials.timing import REFERENCE, Stopwatch, Timed

    candidates = {REFERENCE: Timed(b, asked.beam_size), "a": Timed(a, asked.beam_size)}
    with Stopwatch(asked.threads) as stopwatch:
        timed = stopwatch.time(candidates, spread_by_length(split, TIMED_UTTERANCES), CHEAP, fixed_tokens=FIXED_TOKENS, seed=asked.seed)
    return timed["a"], timed[REFERENCE]


def _judge(pairs: "Pairs", said: Said, margin: float | None, seed: int) -> Judged:
    from paredown.quality.judgement import judge
    from paredown.quality.metrics import MARGINS
    from paredown.quality.significance import bootstrap_pairs, mapsswe, randomize_pairs

    tests: tuple[Significance, ...] = (bootstrap_pairs(pairs, seed), randomize_pairs(pairs, seed))
    if pairs.metric == "wer":
        tests = (*tests, mapsswe(said.a, said.b, said.references))
    judgement = judge(pairs, margin, seed) if margin is not None or pairs.metric in MARGINS else None
    return Judged(tests, tests[-1] if pairs.metric == "wer" else tests[0], judgement)


def _changes(pairs: "Pairs", said: Said, split: "Split") -> "tuple[Change, ...]":
    from paredown.quality.changes import changes
    from paredown.report.compare_table import Change

    rows = zip(split.utterances, said.references, said.a, said.b, changes(pairs).tolist(), strict=True)
    return tuple(Change(utterance.id, reference, a, b, change) for utterance, reference, a, b, change in rows)


def _most_changed(pairs: "Pairs", rows: "Sequence[Change]", count: int) -> "tuple[Change, ...]":
    from paredown.quality.changes import most_changed

    return tuple(rows[place] for place in most_changed(pairs, max(count, 0)))
