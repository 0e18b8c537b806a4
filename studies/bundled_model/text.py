"""The sentence pairs of the recipe: read, normalise, and the template that makes near-duplicates recognisable.

A *pair* is one line of `tatoeba-en-de.tsv.xz`; its id is its line number below the header, so ids survive any filtering.
A *sentence* is one distinct English line with all of its German lines.
"""

import lzma
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "tatoeba-en-de.tsv.xz"

_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "…": "...", "–": "-", "—": "-"}
)
_SPEAKABLE = re.compile(r"[A-Za-zÀ-ÿ0-9 .,!?'\"$%:;&/-]+")
_PRINTABLE_GERMAN = re.compile(r"[A-Za-zÀ-ÿ0-9ẞ .,!?'\"$%:;&/€()-]+")
_PRONOUNS = frozenset(
    [
        *("i", "you", "he", "she", "we", "they", "it", "me", "him", "her", "us", "them", "this", "that", "these", "those", "who"),
        *("my", "your", "his", "its", "our", "their", "mine", "yours", "hers", "ours", "theirs"),
        *("myself", "yourself", "yourselves", "himself", "herself", "itself", "ourselves", "themselves"),
    ]
)
_FORMS = {
    "am": "BE", "is": "BE", "are": "BE", "'m": "BE", "'re": "BE", "'s": "BE", "was": "WAS", "were": "WAS",
    "does": "do", "has": "have", "'ve": "have", "'ll": "will", "'d": "would", "an": "a", "not": "n't",
}  # fmt: skip
_TOKEN = re.compile(r"n't|'(?:m|re|s|ve|ll|d)\b|[^\W_]+")
_CLITIC = re.compile(r"n't\b|'(?:m|re|s|ve|ll|d)\b")


@dataclass(frozen=True)
class Pair:
    """One English line with one German line; `pair_id` is its line number in the source, from 0."""

    pair_id: int
    english: str
    german: str


def normalise(line: str) -> str:
    """NFC, plain quotes and dashes, single spaces, no quotation marks around the whole line."""
    line = " ".join(unicodedata.normalize("NFC", line).translate(_QUOTES).split())
    return line[1:-1].strip() if len(line) > 2 and line[0] == line[-1] == '"' and line.count('"') == 2 else line


def read_pairs(source: Path = SOURCE) -> tuple[Pair, ...]:
    """All pairs whose English can be spoken and whose German is plain text, in the order of the source."""
    with lzma.open(source, "rt", encoding="utf-8") as stream:
        lines = stream.read().splitlines()[1:]
    pairs: list[Pair] = []
    for pair_id, line in enumerate(lines):
        english, german = (normalise(part) for part in line.split("\t"))
        if _SPEAKABLE.fullmatch(english) and _PRINTABLE_GERMAN.fullmatch(german) and re.search("[A-Za-z]", english):
            pairs.append(Pair(pair_id, english, german))
    return tuple(pairs)


def bare(line: str) -> str:
    """The line without case and punctuation: what two lines share that a listener could not tell apart."""
    return " ".join(re.findall(r"[^\W_]+", line.lower().replace("'", "")))


def find_names(lines: Iterable[str]) -> frozenset[str]:
    """Words (lower-cased) that stand capitalised inside a sentence and never in lower case: people, places, days, languages."""
    inside: Counter[str] = Counter()
    lower: set[str] = set()
    for line in lines:
        words = re.findall(r"[^\W\d_]+", _CLITIC.sub("", line))
        lower.update(word for word in words if word[0].islower())
        inside.update(word for word in words[1:] if word[0].isupper() and len(word) > 1)
    return frozenset(word.lower() for word in inside if word.lower() not in lower)


def _singular(verb: str) -> str:
    """The verb without the -s of the third person ("likes" and "like" then agree)."""
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if re.search(r"(o|ch|sh|ss|x|z)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") and len(verb) > 2 else verb


def template(english: str, names: frozenset[str]) -> str:
    """The sentence with every name as NAME and every pronoun as PRON, verbs in one form; near-duplicates share it."""
    words: list[str] = []
    for token in _TOKEN.findall(english.lower().replace("can't", "can n't").replace("won't", "will n't")):
        if token in names:
            words.append("NAME")
        elif token in _PRONOUNS:
            words.append("PRON")
        elif token in _FORMS:
            words.append(_FORMS[token])
        else:
            words.append(_singular(token) if words and words[-1] in {"NAME", "PRON"} else token)
    return " ".join(words)


def loose_template(english: str, names: frozenset[str]) -> str:
    """As `template`, with names as pronouns and negations in one form ("Tom doesn't go." and "I do not go." share it)."""
    spelled = re.sub(r"(n't|not)\b", r" \1", english.lower().replace("can't", "cannot").replace("won't", "will not"))
    return template(spelled, names).replace("NAME", "PRON")
