"""Languages, tokenizers, margins."""

import pytest

from paredown.quality.metrics import METRICS, check_metric, found_tokenizer, language_of, margin_of, missing_package, tokenizer_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天天气很好，我们去公园散步。", "zh"),
        ("今日は天気がいいので公園を散歩します。", "ja"),
        ("コンピュータ", "ja"),
        ("วันนี้อากาศดีมาก", "th"),
        ("오늘은 날씨가 좋습니다.", None),  # Korean spaces its words
        ("Der Hund läuft.", None),
        ("Он идёт домой, 你好", None),
        ("", None),
        ("123 !?", None),
    ],
)
def test_unspaced_languages_are_found_by_their_script(text: str, language: str | None) -> None:
    assert language_of([text, ""]) == language


def test_a_region_does_not_change_the_tokenizer() -> None:
    assert tokenizer_of("zh-TW") == tokenizer_of("ZH") == tokenizer_of("zh_CN") == "zh"
    assert tokenizer_of("de") == "13a"
    assert tokenizer_of("th") == "char"


def test_a_tokenizer_without_its_package_becomes_characters_where_nobody_asked_for_it() -> None:
    expected = "char" if missing_package("ja-mecab") else "ja-mecab"
    assert found_tokenizer(["今日は天気がいいです"]) == expected
    assert found_tokenizer(["今天天气很好"]) == "zh"
    assert found_tokenizer(["Guten Tag"]) == "13a"


def test_margins_are_the_stated_ones() -> None:
    assert (margin_of("chrf", None), margin_of("bleu", None), margin_of("wer", None)) == (1.0, 1.0, 0.3)
    assert margin_of("cer", 0.2) == 0.2
    with pytest.raises(ValueError, match="must be given for ter"):
        margin_of("ter", None)
    with pytest.raises(ValueError, match=r"above zero, got 0\.0"):
        margin_of("chrf", 0.0)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'meteor'"):
        check_metric("meteor")
    assert len(set(METRICS)) == 6
