"""`paredown evaluate`: quality of a bundle, or of a model as it is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.opening import opened
from paredown.commands.printing import add_json, console, positive, print_json, table
from paredown.commands.scoring import METRICS, OF_TASK, add_language, tokenizer_for
from paredown.errors import BadInput
from paredown.report.output_file import check_output_file

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.quality import Score


def add(subparsers: Any) -> None:
    evaluate = subparsers.add_parser("evaluate", help="BLEU, chrF, chrF++, TER, WER and CER of a bundle or model, with intervals")
    evaluate.add_argument("subject", metavar="BUNDLE|MODEL")
    evaluate.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/SPLIT")
    evaluate.add_argument("--first", type=positive, metavar="N", help="only the first N utterances")
    evaluate.add_argument("--beam-size", type=positive)
    evaluate.add_argument("--workers", type=positive, help="processes that decode (default: one for each core)")
    evaluate.add_argument(
        "--metric",
        action="append",
        choices=(*METRICS, "all"),
        help="what the table shows; may be given again (default: by the model's task)",
    )
    add_language(evaluate)
    evaluate.add_argument("--comet", action="store_true", help="score with wmt20-comet-da too; needs the extra [comet] and its model")
    evaluate.add_argument("--hypotheses", type=Path, metavar="FILE", help="write the hypotheses, one line each")
    add_json(evaluate)
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Decode the split with the bundle itself and score the hypotheses. JSON has every metric, None for those the text has no words for."""
    from paredown.data import open_data
    from paredown.profilers.machine_lock import machine_share
    from paredown.quality import score
    from paredown.quality.metrics import check_words, counts_words_of
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search

    split = open_data(options.data)
    split = split.first(options.first) if options.first else split
    if options.hypotheses:
        check_output_file(options.hypotheses, "--hypotheses")
    if options.comet:
        _check_comet(split)
    with opened(options.subject) as bundle, Decoder(options.workers) as decoder:
        task = read_manifest(bundle).task
        if options.comet and task != "st":
            raise BadInput(f"--comet scores translations, got a model of task {task!r}")
        references = split.references(task)
        tokenizer = tokenizer_for(options.language, references)
        check_words(_wanted(options.metric, ()), tokenizer)
        found = decoder.decode(bundle, split, Search(beam_size=options.beam_size))
    hypotheses = [hypothesis.text for hypothesis in found]
    if options.hypotheses:
        options.hypotheses.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8")
    shown = [metric for metric in _wanted(options.metric, OF_TASK[task]) if counts_words_of(metric, tokenizer)]
    taken = [metric for metric in METRICS if counts_words_of(metric, tokenizer)] if options.json else shown
    with machine_share():  # thousands of resamples
        scores = {metric: score(metric, hypotheses, references, interval=True, tokenizer=tokenizer) for metric in taken}
        if options.comet:
            scores["comet"] = _comet(split, hypotheses, references)
    capped = sum(hypothesis.hit_cap for hypothesis in found)
    if options.json:
        figures = {name: None if (s := scores.get(name)) is None else _figure(s) for name in (*METRICS, *(["comet"] * options.comet))}
        print_json({**figures, "utterances": len(split), "length_cap_hits": capped})
        return 0
    rows = ((s.metric, f"{s.value:.2f}", f"{s.ci95[0]:.2f} to {s.ci95[1]:.2f}" if s.ci95 else "", s.signature) for s in scores.values())
    caption = f"{len(split)} utterances of {split.name}; {capped} hit the length cap"
    console().print(table(options.subject, ("metric", "value", "95 % interval", "signature"), rows, caption))
    return 0


def _wanted(asked: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """Metrics that the user names, in the usual order; "all" names none in particular, so that what cannot be counted is left out."""
    if asked is None:
        return tuple(default)
    return tuple(metric for metric in METRICS if metric in asked or ("all" in asked and default))


def _figure(score: "Score") -> dict[str, Any]:
    return {"value": score.value, "ci95": score.ci95, "utterances": score.utterances, "signature": score.signature}


def _check_comet(split: "Split") -> None:
    """Refuses before anything is decoded."""
    from paredown.quality.comet import load_comet

    without = [utterance.id for utterance in split.utterances if utterance.text is None]
    if without:
        raise BadInput(f"--comet needs the text of what is said for every utterance; {without[0]} has none")
    load_comet()


def _comet(split: "Split", hypotheses: Sequence[str], references: Sequence[str]) -> "Score":
    from paredown.quality.comet import comet_score

    return comet_score([utterance.text or "" for utterance in split.utterances], hypotheses, references)
