"""`paredown compare`: does A differ from B, does it lose less than a margin, how fast is it beside it, and what changed."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.opening import opened
from paredown.commands.printing import add_csv, add_json, check_outputs, console, natural, positive, positive_real, print_json
from paredown.commands.scoring import METRICS, add_language, tokenizer_for
from paredown.errors import BadInput

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.profilers.latency import Latency
    from paredown.quality import NonInferiority, Significance
    from paredown.quality.pairs import Pairs
    from paredown.report.compare_table import Change

MAIN = {"st": "chrf", "asr": "wer"}
CSV_COLUMNS: tuple[str, ...] = ("id", "reference", "a", "b", "change")


def add(subparsers: Any) -> None:
    compare = subparsers.add_parser(
        "compare", help="is A different from B, and does it lose less than a margin: paired tests, latency, changes"
    )
    compare.add_argument("a", metavar="A", help="bundle, model, or a .txt file with a hypothesis on each line")
    compare.add_argument("b", metavar="B", help="the same; what A is compared with")
    compare.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/SPLIT")
    compare.add_argument("--metric", choices=METRICS, help="default: chrf for translation, wer for recognition")
    compare.add_argument(
        "--margin",
        type=positive_real,
        metavar="POINTS",
        help="of non-inferiority, fixed before looking (default: 1.0 BLEU or chrF, 0.3 %% WER)",
    )
    compare.add_argument("--task", choices=("st", "asr"), help="what two files of hypotheses are: translations (st) or transcripts (asr)")
    add_language(compare)
    compare.add_argument("--first", type=positive, metavar="N", help="only the first N utterances")
    compare.add_argument("--beam-size", type=positive)
    compare.add_argument("--workers", type=positive, help="processes that decode (default: one for each core)")
    compare.add_argument(
        "--latency", action=argparse.BooleanOptionalAction, default=True, help="time A beside B (default: yes, of bundles)"
    )
    compare.add_argument("--threads", type=positive, default=1, help="of the latency")
    compare.add_argument("--top", type=int, default=5, metavar="N", help="utterances that changed most (default 5, 0 for none)")
    compare.add_argument("--seed", type=natural, default=0)
    add_json(compare)
    add_csv(compare, "a row for each utterance: reference, A, B, change")
    compare.add_argument("--figure", type=Path, metavar="FILE", help="draw the effects with their intervals, and the ratio of latency")
    compare.set_defaults(run=run)


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


def run(options: argparse.Namespace) -> int:
    """Decode both, test, time, print."""
    from paredown.data import open_data
    from paredown.profilers.machine_lock import machine_share
    from paredown.quality.corpus import CorpusScorer
    from paredown.quality.metrics import unit
    from paredown.quality.pairs import Pairs
    from paredown.report.compare_figure import draw_comparison
    from paredown.report.compare_table import Comparison, show_comparison
    from paredown.report.csv_file import STDOUT, write_csv
    from paredown.report.figure_file import write_figure

    check_outputs(options)
    split = open_data(options.data)
    split = split.first(options.first) if options.first else split
    said = _hear(options, split)
    with machine_share():  # tens of thousands of resamples
        scorer = CorpusScorer(said.metric, said.references, said.tokenizer)
        pairs = Pairs(said.metric, scorer.statistics(said.a), scorer.statistics(said.b))
        judged = _judge(pairs, said, options.margin, options.seed)
        rows = _changes(pairs, said, split)
        changed = _most_changed(pairs, rows, options.top)
    if options.csv is not None:
        write_csv([asdict(row) for row in rows], options.csv, CSV_COLUMNS)
    found = Comparison(
        (options.a, options.b),
        unit(said.metric),
        pairs.values,
        scorer.signature,
        judged.tests,
        judged.dagger,
        judged.judgement,
        said.latency,
        changed,
    )
    if options.figure is not None:
        write_figure(draw_comparison(found), options.figure)
    if options.json:
        print_json(_figures(found, said.metric))
    elif options.csv != STDOUT:
        show_comparison(console(), found)
    return 0


def _hear(options: argparse.Namespace, split: "Split") -> Said:
    """Hypotheses of both: read from files, or decoded by the bundles themselves. Raises BadInput where they are of different tasks."""
    from paredown.quality.metrics import check_words
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search

    with ExitStack() as stack:
        bundles = [None if _is_file(subject) else stack.enter_context(opened(subject)) for subject in (options.a, options.b)]
        tasks = {read_manifest(bundle).task for bundle in bundles if bundle is not None} or {options.task or _task_of(split)}
        if len(tasks) > 1 or (options.task and options.task not in tasks):
            raise BadInput(f"A and B must be of one task, got {', '.join(sorted({*tasks, *filter(None, [options.task])}))}")
        task = tasks.pop()
        references = split.references(task)
        metric, tokenizer = options.metric or MAIN[task], tokenizer_for(options.language, references)
        check_words((metric,), tokenizer)
        texts: list[tuple[str, ...]] = []
        with Decoder(options.workers) as decoder:
            for subject, bundle in zip((options.a, options.b), bundles, strict=True):
                if bundle is None:
                    texts.append(_read_lines(Path(subject), len(split)))
                else:
                    found = decoder.decode(bundle, split, Search(beam_size=options.beam_size))
                    texts.append(tuple(hypothesis.text for hypothesis in found))
        latency = _time(bundles[0], bundles[1], split, options) if options.latency and bundles[0] and bundles[1] else None
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


def _time(a: Path, b: Path, split: "Split", options: argparse.Namespace) -> "tuple[Latency, Latency]":
    """Latency of both, interleaved, on a few utterances of the split."""
    from paredown.profilers.latency import CHEAP
    from paredown.trials.evaluation import FIXED_TOKENS, TIMED_UTTERANCES, spread_by_length
    from paredown.trials.timing import REFERENCE, Stopwatch, Timed

    candidates = {REFERENCE: Timed(b, options.beam_size), "a": Timed(a, options.beam_size)}
    with Stopwatch(options.threads) as stopwatch:
        timed = stopwatch.time(candidates, spread_by_length(split, TIMED_UTTERANCES), CHEAP, fixed_tokens=FIXED_TOKENS, seed=options.seed)
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


def _figures(found: Any, metric: str) -> dict[str, Any]:
    """Plain JSON values of a `Comparison`."""
    a, b = found.names
    latency = None
    if found.latency is not None:
        latency = {"a": found.latency[0].to_dict(), "b": found.latency[1].to_dict()}
    return {
        "a": a,
        "b": b,
        "metric": metric,
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
