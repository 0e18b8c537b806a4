"""Quality of a bundle, or of a model as it is, on a split: decoded by the bundle itself, scored with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paredown.errors import BadInput
from paredown.whole_file import whole_file

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.quality import Score

METRICS = ("bleu", "chrf", "chrf++", "ter", "wer", "cer")
OF_TASK = {"st": ("bleu", "chrf", "chrf++", "ter"), "asr": ("wer", "cer", "chrf")}


@dataclass(frozen=True)
class Assessed:
    """What a bundle says of a split, and what that is worth.

    `scores`: by metric, those that can be counted of the references; `utterances`: of the split; `length_cap_hits`: hypotheses that
    were cut off at the greatest length; `task`: "st" or "asr".
    """

    hypotheses: tuple[str, ...]
    scores: "dict[str, Score]"
    utterances: int
    length_cap_hits: int
    task: str

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form: every metric, None for those the references have no words for."""
        extra = [name for name in self.scores if name not in METRICS]
        figures = {name: None if (found := self.scores.get(name)) is None else _figure(found) for name in (*METRICS, *extra)}
        return {**figures, "utterances": self.utterances, "length_cap_hits": self.length_cap_hits}


def assess(
    subject: str,
    split: "Split",
    metrics: Sequence[str] | Literal["all", "task"] = "all",
    *,
    required: Sequence[str] = (),
    language: str | None = None,
    beam_size: int | None = None,
    workers: int | None = None,
    comet: bool = False,
) -> Assessed:
    """Decode the split with the bundle (of a model: the uncompressed one) and score what it says.

    `metrics`: those to count, all or those usual for the task, without those that the references have no words for; `required`: those that
    references must have words for.
    `beam_size` None: the bundle's own; `workers` None: a process for each core. `comet`: score with wmt20-comet-da too.
    Raises BadInput for a subject that is neither, references that are missing, and metrics that cannot be counted.
    """
    from paredown.profilers.machine_lock import machine_share
    from paredown.quality import score
    from paredown.quality.metrics import check_words, counts_words_of
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search
    from paredown.trials.subject import opened

    if comet:
        _check_comet(split)
    with opened(subject) as bundle, Decoder(workers) as decoder:
        task = read_manifest(bundle).task
        if comet and task != "st":
            raise BadInput(f"--comet scores translations, got a model of task {task!r}")
        references = split.references(task)
        tokenizer = tokenizer_for(language, references)
        check_words(tuple(required), tokenizer)
        found = decoder.decode(bundle, split, Search(beam_size=beam_size))
    hypotheses = tuple(hypothesis.text for hypothesis in found)
    named = {"all": METRICS, "task": OF_TASK[task]}[metrics] if isinstance(metrics, str) else metrics
    wanted = [metric for metric in named if counts_words_of(metric, tokenizer)]
    with machine_share():  # thousands of resamples
        scores = {metric: score(metric, hypotheses, references, interval=True, tokenizer=tokenizer) for metric in wanted}
        if comet:
            scores["comet"] = _comet(split, hypotheses, references)
    return Assessed(hypotheses, scores, len(split), sum(hypothesis.hit_cap for hypothesis in found), task)


def tokenizer_for(language: str | None, references: Sequence[str]) -> str:
    """sacrebleu's tokenizer. Raises BadInput where the language that the user names needs a package that is not installed."""
    from paredown.quality.metrics import found_tokenizer, missing_package, tokenizer_of

    if language is None:
        return found_tokenizer(references)
    tokenizer = tokenizer_of(language)
    package = missing_package(tokenizer)
    if package:
        raise BadInput(
            f"--language {language} is cut into words by {tokenizer}: pip install '{package}', or leave --language out for characters"
        )
    return tokenizer


def write_hypotheses(path: Path, hypotheses: Sequence[str]) -> None:
    """One line each."""
    with whole_file(path) as fresh:
        fresh.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8")


def _figure(found: "Score") -> dict[str, Any]:
    return {"value": found.value, "ci95": found.ci95, "utterances": found.utterances, "signature": found.signature}


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
