"""The voices of the recipe: who speaks (engine and speaker), how fast, how high, how lively; which speakers train never hears."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Engine = Literal["espeak", "flite", "piper"]

# Shares of the train segments by engine, set by measured cost of a sentence: 1.5 ms espeak-ng, 22 ms flite, 60 ms piper.
ENGINE_SHARES: dict[Engine, float] = {"espeak": 0.69, "flite": 0.16, "piper": 0.15}
NEUTRAL_WPM = 165.0

_ACCENTS = {
    "en-us": 0.40, "en": 0.20, "en-gb-x-rp": 0.12, "en-gb-scotland": 0.07, "en-029": 0.06,
    "en-us-nyc": 0.06, "en-gb-x-gbclan": 0.05, "en-gb-x-gbcwmd": 0.04,
}  # fmt: skip
_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "adam", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "Denis", "Diogo", "edward", "Gene", "Henrique",
    "Hugo", "Jacky", "john", "Lee", "linda", "marcelo", "Marco", "Mario", "max", "Michael", "michel", "miguel", "Mike", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac", "klatt", "klatt2", "klatt4",
)  # fmt: skip
_HELD_OUT_VARIANTS = ("m5", "f4", "Alicia", "benjamin", "Michael", "steph")
_FLITE_SPEAKERS = {"awb": 0.4, "slt": 0.4, "kal16": 0.2}
_HELD_OUT_FLITE = "rms"
_HELD_OUT_FLITE_SHARE = 0.3
_PIPER_SPEAKERS = {"joe": 1.0}


@dataclass(frozen=True)
class Voice:
    """A speaker with a manner: `rate` 1 is 165 words a minute, `pitch` 50 the speaker's own (100 = an octave up), `liveliness` 0 to 1."""

    engine: Engine
    name: str
    rate: float
    pitch: float
    liveliness: float

    @property
    def held_out(self) -> bool:
        """Whether train never hears this speaker."""
        return self.name == _HELD_OUT_FLITE if self.engine == "flite" else self.name.partition("+")[2] in _HELD_OUT_VARIANTS

    def __str__(self) -> str:
        return f"{self.engine}:{self.name}:rate={self.rate:.2f}:pitch={self.pitch:.0f}:liveliness={self.liveliness:.2f}"


def parse_voice(label: str) -> Voice:
    """The inverse of `str(voice)` (up to the digits that it prints)."""
    engine, name, *settings = label.split(":")
    if engine not in ENGINE_SHARES:
        raise ValueError(f"voice engine must be one of {sorted(ENGINE_SHARES)}, got {engine!r}")
    rate, pitch, liveliness = (float(setting.partition("=")[2]) for setting in settings)
    return Voice(engine, name, rate, pitch, liveliness)


def list_espeak_speakers(held_out: bool) -> tuple[str, ...]:
    """All accent+variant names, either those of train or those kept for search and test."""
    variants = [variant for variant in _VARIANTS if (variant in _HELD_OUT_VARIANTS) == held_out]
    return tuple(f"{accent}+{variant}" for accent in _ACCENTS for variant in variants)


def _choose(shares: dict[str, float], rng: np.random.Generator) -> str:
    return list(shares)[int(rng.choice(len(shares), p=np.array(list(shares.values()))))]


def _with_manner(engine: Engine, name: str, rng: np.random.Generator) -> Voice:
    """Speed 130 to 200 words a minute, pitch 30 to 70; rounded so that the printed voice is the voice."""
    rate = round(float(rng.uniform(130.0, 200.0)) / NEUTRAL_WPM, 2)
    return Voice(engine, name, rate, float(round(rng.uniform(30.0, 70.0))), round(float(rng.uniform(0.2, 0.8)), 2))


def draw_seen_voice(rng: np.random.Generator) -> Voice:
    """A voice that train hears, engines by `ENGINE_SHARES`."""
    engine: Engine = list(ENGINE_SHARES)[int(rng.choice(len(ENGINE_SHARES), p=np.array(list(ENGINE_SHARES.values()))))]
    if engine == "flite":
        return _with_manner(engine, _choose(_FLITE_SPEAKERS, rng), rng)
    if engine == "piper":
        return _with_manner(engine, _choose(_PIPER_SPEAKERS, rng), rng)
    variants = [variant for variant in _VARIANTS if variant not in _HELD_OUT_VARIANTS]
    return _with_manner(engine, f"{_choose(_ACCENTS, rng)}+{variants[int(rng.integers(len(variants)))]}", rng)


def draw_held_out_voice(rng: np.random.Generator) -> Voice:
    """A voice that only analysis, search and test hear."""
    if rng.random() < _HELD_OUT_FLITE_SHARE:
        return _with_manner("flite", _HELD_OUT_FLITE, rng)
    return _with_manner("espeak", f"{_choose(_ACCENTS, rng)}+{_HELD_OUT_VARIANTS[int(rng.integers(len(_HELD_OUT_VARIANTS)))]}", rng)


def draw_distinct_voices(count: int, rng: np.random.Generator) -> tuple[Voice, ...]:
    """`count` seen voices of different speakers; piper has one speaker, so at most one of them is piper."""
    drawn: dict[tuple[str, str], Voice] = {}
    while len(drawn) < count:
        voice = draw_seen_voice(rng)
        drawn.setdefault((voice.engine, voice.name), voice)
    return tuple(drawn.values())
