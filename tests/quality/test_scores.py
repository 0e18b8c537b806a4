"""Scores against sacrebleu's own command line figures, a hand count, and the mistake of the first paper."""

import numpy as np
import pytest
import sacrebleu

from paredown.quality import paired_difference, score

HYPOTHESES = [
    "Der Hund läuft schnell durch den Park.",
    "Ich bin müde und gehe jetzt nach Hause.",
    "Das ist ein ganz anderes Thema als gestern.",
]
REFERENCES = ["Der Hund rennt schnell durch den Park.", "Ich bin müde und gehe jetzt ins Bett.", "Gestern war es ein ganz anderes Thema."]


def test_references_are_one_stream_not_one_list_per_utterance() -> None:
    """Transposed, sacrebleu scores the first utterance alone (errata, on 000): a perfect first line would hide the others."""
    hypotheses = [REFERENCES[0], "völlig falsch und noch dazu lang", "auch das hier stimmt überhaupt gar nicht"]
    transposed = sacrebleu.corpus_bleu(hypotheses, [[reference] for reference in REFERENCES]).score
    assert transposed == pytest.approx(100)
    assert score("bleu", hypotheses, REFERENCES).value < 60


@pytest.mark.parametrize(("metric", "reference"), [("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)])
def test_values_are_sacrebleus(metric: str, reference: object) -> None:
    expected = reference(HYPOTHESES, [REFERENCES]).score  # type: ignore[operator]
    assert score(metric, HYPOTHESES, REFERENCES).value == expected


def test_chrf_plus_plus_counts_words_too() -> None:
    expected = sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=2).score
    result = score("chrf++", HYPOTHESES, REFERENCES)
    assert result.value == expected
    assert "nw:2" in result.signature


def test_word_error_rate_is_edits_over_reference_words() -> None:
    # 1 substitution in 3 words, 1 deletion in 2 words: 2 of 5
    assert score("wer", ["a b x", "c"], ["a b c", "c d"]).value == pytest.approx(40)


def test_interval_holds_the_value_and_narrows_with_more_utterances() -> None:
    generator = np.random.default_rng(0)
    picks = generator.integers(0, 3, 240)
    few, many = [
        score("chrf", [HYPOTHESES[i] for i in chosen], [REFERENCES[i] for i in chosen], interval=True) for chosen in (picks[:15], picks)
    ]
    assert few.ci95 is not None
    assert many.ci95 is not None
    assert many.ci95[0] <= many.value <= many.ci95[1]
    assert many.ci95[1] - many.ci95[0] < few.ci95[1] - few.ci95[0]


@pytest.mark.parametrize("metric", ["bleu", "chrf", "wer"])
def test_equal_seeds_give_equal_intervals(metric: str) -> None:
    assert score(metric, HYPOTHESES, REFERENCES, interval=True) == score(metric, HYPOTHESES, REFERENCES, interval=True)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one reference for each"):
        score("bleu", ["a"], ["a", "b"])


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_paired_difference_is_the_difference_of_the_scores(metric: str) -> None:
    worse = ["Der Hund", "Ich bin", "Gestern"]
    result = paired_difference(metric, HYPOTHESES, worse, REFERENCES)
    assert result.value == pytest.approx(score(metric, HYPOTHESES, REFERENCES).value - score(metric, worse, REFERENCES).value)
    assert result.ci95[0] <= result.value <= result.ci95[1]


def test_a_system_does_not_differ_from_itself() -> None:
    assert paired_difference("chrf", HYPOTHESES, HYPOTHESES, REFERENCES).ci95 == (0.0, 0.0)


def test_translation_edit_rate_counts_a_shift_as_one_edit() -> None:
    # "d e" moves to the front: one shift over 5 words, where WER counts 4 edits
    assert score("ter", ["d e a b c"], ["a b c d e"]).value == pytest.approx(20)
    assert score("ter", HYPOTHESES, REFERENCES).value == sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score
    assert "tercom" in score("ter", HYPOTHESES, REFERENCES).signature


def test_character_error_rate_is_edits_over_characters_of_the_references() -> None:
    # 1 substitution in 3 characters, 1 deletion in 2
    assert score("cer", ["abx", "c"], ["abc", "cd"]).value == pytest.approx(40)


def test_unspaced_text_is_cut_by_its_tokenizer() -> None:
    hypotheses, references = ["今天天气很好我们去公园", "他说你好"], ["今天天气非常好我们去公园", "他说了你好"]
    as_words, as_characters = (score("bleu", hypotheses, references, tokenizer=name) for name in ("13a", "zh"))
    assert as_characters.value == sacrebleu.corpus_bleu(hypotheses, [references], tokenize="zh").score
    assert as_characters.value > as_words.value + 10
    assert "tok:zh" in as_characters.signature
    assert score("ter", hypotheses, references, tokenizer="zh").value < 40 < score("ter", hypotheses, references).value


def test_a_paired_difference_of_errors_is_above_zero_where_the_candidate_is_worse() -> None:
    result = paired_difference("wer", ["a x c"] * 5, ["a b c"] * 5, ["a b c"] * 5)
    assert result.value == pytest.approx(100 / 3)
    assert result.ci95 == pytest.approx((100 / 3, 100 / 3))


def test_an_empty_reference_counts_what_was_inserted() -> None:
    assert score("wer", ["a b", "c"], ["", "c"]).value == pytest.approx(200)
