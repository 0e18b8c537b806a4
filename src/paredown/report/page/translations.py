"""Utterances to listen to, with what models say of them: words that differ marked, audio inside the page."""

import base64
import io
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile

if TYPE_CHECKING:
    from paredown.trials.listening import Heard

_TYPES = {".opus": "audio/ogg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".mp3": "audio/mpeg"}
KEPT_BYTES = 60_000  # a file of at most so many goes in as it is
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
Spans = list[list[Any]]


def show_heard(heard: "Sequence[Heard]", budget_bytes: int) -> list[dict[str, Any]]:
    """Plain JSON values. `budget_bytes`: most that all audio may take in the page; what does not fit goes without."""
    shown, left = [], budget_bytes
    for one in heard:
        audio = audio_uri(one.audio)
        if audio is not None and len(audio) > left:
            audio = None
        left -= len(audio or "")
        beside = one.baseline if one.baseline is not None else one.reference or ""
        shown.append(
            {
                "id": one.id,
                "said": one.source,
                "reference": one.reference,
                "baseline": one.baseline,
                "texts": [[number, mark_words(beside, text)] for number, text in one.texts],
                "differs": one.differs,
                "audio": audio,
            }
        )
    return shown


def mark_words(before: str, after: str) -> Spans:
    """`after` in pieces, each with whether it differs from `before`: [["Tom", 0], ["was in der Nähe", 1]]; an empty piece, marked, where
    words are missing.
    """
    one, other = before.split(), after.split()
    spans: Spans = []
    for kind, first, last, start, end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "delete" or last > first:
            spans.append([" ".join(other[start:end]), int(kind != "equal")])
    return spans


def audio_uri(path: Path) -> str | None:
    """The file as a data URI: its own bytes where they are few and a browser plays them, else Opus; None where it cannot be read."""
    try:
        kind = _TYPES.get(path.suffix.lower())
        if kind is not None and path.stat().st_size <= KEPT_BYTES:
            return _uri(kind, path.read_bytes())
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        file = io.BytesIO()
        codec = "OPUS" if rate_hz in OPUS_RATES_HZ else "VORBIS"
        soundfile.write(file, samples.mean(axis=1), rate_hz, format="OGG", subtype=codec)
        return _uri("audio/ogg", file.getvalue())
    except (OSError, RuntimeError):  # soundfile's own error is a RuntimeError
        return None


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
