"""What each metric is: its direction, its margin of non-inferiority, and how it reads text of languages that do not space their words."""

from collections.abc import Sequence
from importlib.util import find_spec
from unicodedata import name

from paredown.errors import BadInput

METRICS = ("bleu", "chrf", "chrf++", "ter", "wer", "cer")
LOWER_IS_BETTER = ("ter", "wer", "cer")
MARGINS = {"bleu": 1.0, "chrf": 1.0, "chrf++": 1.0, "wer": 0.3}
"""Points of the metric that may be lost where nothing else is said (errata, "Judging no loss"; WER in percent of reference words)."""

_UNITS = {"bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER", "wer": "% WER", "cer": "% CER"}
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", "th": "char", "lo": "char", "km": "char", "my": "char", "bo": "char"}
_PACKAGES = {"ja-mecab": ("MeCab", "sacrebleu[ja]"), "ko-mecab": ("mecab_ko", "sacrebleu[ko]")}
_SCRIPTS = {"CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "THAI": "th", "LAO": "lo", "KHMER": "km", "MYANMAR": "my", "TIBETAN": "bo"}
SPACED_TOKENIZERS = ("13a", "ko-mecab")


def check_metric(metric: str) -> None:
    """Raises ValueError where the metric is unknown."""
    if metric not in METRICS:
        raise ValueError(f"a metric is one of {', '.join(METRICS)}; got {metric!r}")


def unit(metric: str) -> str:
    """The metric as it is written behind a figure."""
    return _UNITS[metric]


def sign(metric: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if metric in LOWER_IS_BETTER else 1


def margin_of(metric: str, margin: float | None) -> float:
    """The margin asked for, or the default one. Raises ValueError where the metric has no default, or a margin is not above zero."""
    found = MARGINS.get(metric) if margin is None else margin
    if found is None:
        raise ValueError(f"a margin must be given for {metric}; only {', '.join(MARGINS)} have one of their own")
    if not found > 0:
        raise ValueError(f"a margin must be above zero, got {found!r}")
    return found


def tokenizer_of(language: str) -> str:
    """sacrebleu's tokenizer for a language ("zh", "zh-TW", "ja", ...); "13a" for all that space their words."""
    return _TOKENIZERS.get(language.lower().replace("_", "-").partition("-")[0], "13a")


def missing_package(tokenizer: str) -> str | None:
    """What must be installed before the tokenizer can be used; None where nothing is missing."""
    module, package = _PACKAGES.get(tokenizer, ("", ""))
    return package if module and find_spec(module) is None else None


def language_of(references: Sequence[str]) -> str | None:
    """The language whose script most letters of the references have, where that script does not space its words; None otherwise.

    Han characters beside a fifth as many kana or more are Japanese. Korean spaces its words and is never found.
    """
    counts: dict[str, int] = {}
    letters = 0
    for character in "".join(references):
        if character.isalpha():
            letters += 1
            language = _SCRIPTS.get(name(character, "").partition(" ")[0])
            if language:
                counts[language] = counts.get(language, 0) + 1
    if counts.get("ja", 0) * 5 >= counts.get("zh", 0) and "ja" in counts:
        counts["ja"] += counts.pop("zh", 0)
    language, found = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return language if found * 2 > letters else None


def counts_words_of(metric: str, tokenizer: str) -> bool:
    """Whether a metric can count in text for which this is the tokenizer: words are what white space separates in chrF++ and WER.

    TER cuts Chinese and Japanese into characters itself, and no other unspaced script.
    """
    if tokenizer in SPACED_TOKENIZERS:
        return True
    return metric not in ("chrf++", "wer") and (metric != "ter" or tokenizer in ("zh", "ja-mecab"))


def check_words(metrics: Sequence[str], tokenizer: str) -> None:
    """Raises BadInput where a metric counts words and the text has none between white space."""
    for metric in metrics:
        if not counts_words_of(metric, tokenizer):
            raise BadInput(f"{metric} counts words between white space, which the references do not have: use cer or chrf")


def found_tokenizer(references: Sequence[str]) -> str:
    """The tokenizer that the script of the references asks for, characters where its package is not installed."""
    tokenizer = tokenizer_of(language_of(references) or "")
    return "char" if missing_package(tokenizer) else tokenizer
