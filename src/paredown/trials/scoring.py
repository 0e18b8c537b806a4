"""What a bundle says of a split, scored: the difference to the uncompressed model, and the scores themselves."""

from collections.abc import Sequence

from paredown.profilers.measurement import Measurement
from paredown.quality import paired_difference, score
from paredown.quality.metrics import counts_words_of, found_tokenizer, sign
from paredown.search.budget import METRICS
from paredown.trials.decoding import Hypothesis


def score_found(
    metric: str, task: str, found: Sequence[Hypothesis], baseline: Sequence[Hypothesis], references: Sequence[str], instructions: str
) -> tuple[tuple[str, Measurement], ...]:
    """The difference to `baseline` in the metric, above 0 where `found` is better, with its paired interval; then chrF, BLEU or WER.

    `task`: "st" or "asr"; `instructions`: of the processor that decoded (int8 products saturate on x86 without VNNI).
    """
    texts, tokenizer = [hypothesis.text for hypothesis in found], found_tokenizer(references)
    difference = paired_difference(metric, texts, [hypothesis.text for hypothesis in baseline], references, tokenizer=tokenizer)
    value, (low, high) = difference.value, difference.ci95
    if sign(metric) < 0:  # errors: fewer are better
        value, low, high = 0.0 - value, 0.0 - high, 0.0 - low
    detail = (
        ("tokens", sum(len(hypothesis.ids) for hypothesis in found) / len(found)),
        ("length_ratio", sum(map(len, texts)) / max(1, sum(map(len, references)))),
        ("length_cap_hits", sum(hypothesis.hit_cap for hypothesis in found)),
        ("instructions", instructions),
    )
    rows = [("quality", Measurement(value, METRICS[metric], (low, high), len(found), detail=detail))]
    other = "wer" if task == "asr" else "bleu"
    for each in dict.fromkeys(("chrf", *([other] if counts_words_of(other, tokenizer) else []), metric)):
        result = score(each, texts, references, tokenizer=tokenizer)
        rows.append((each, Measurement(result.value, METRICS[each], samples=len(found), detail=(("signature", result.signature),))))
    return tuple(rows)
