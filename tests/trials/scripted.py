"""A study of the tiny model without decoding and clocks: what bundles say and how fast they are stands in a script."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from paredown.data import Split, load_split
from paredown.models import Model
from paredown.profilers.fingerprint import Fingerprint
from paredown.profilers.latency import Effort, Latency, Timing
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Hypothesis
from paredown.trials.evaluation import Evaluator, Known
from paredown.trials.space import uniform_bits
from paredown.trials.timing import REFERENCE, Timed
from paredown.trials.workshop import Workshop

MACHINE = Fingerprint("cpu", "a processor", "x86_64", "a system", ("avx2",), 2, 2, None, None, None, None, (("onnxruntime", "1"),))
REFERENCE_MS = 80.0
_WORDS = ("Haus", "Baum", "gehen", "morgen", "schnell", "Wasser", "und", "der", "kleine", "Hund", "nicht", "immer")
_RATE_HZ = 16_000


def write_texts(folder: Path, utterances: int) -> Split:
    """Noise of different lengths with references of random words."""
    folder.mkdir(parents=True, exist_ok=True)
    generator, rows = np.random.default_rng(0), []
    for number in range(utterances):
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.1, _RATE_HZ // 2 + 200 * number), _RATE_HZ)
        text = " ".join(generator.choice(_WORDS, size=int(generator.integers(4, 12))))
        rows.append({"id": f"u{number}", "audio": f"{number}.wav", "text": "x", "translation": text})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_split(folder)


def bits_of(model: Model, bits: int) -> Configuration:
    """All layers at this width."""
    return uniform_bits(model.inventory(), bits)


@dataclass
class Script:
    """`damage`: of a configuration the share of words that it gets wrong; `ratio`: its latency over the uncompressed model's.

    `decoded` counts utterances by digest, `timed` how often a bundle was measured.
    """

    damage: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)
    decoded: dict[str, Counter[str]] = field(default_factory=dict)
    timed: Counter[str] = field(default_factory=Counter)
    workers: int = 1

    def set(self, configuration: Configuration, damage: float, ratio: float = 0.5) -> Configuration:
        """The same configuration."""
        self.damage[_name(configuration)], self.ratio[_name(configuration)] = damage, ratio
        return configuration

    def decoded_by(self, configuration: Configuration) -> Counter[str]:
        """How often it decoded which utterance."""
        return self.decoded.get(_name(configuration), Counter())

    def timed_of(self, configuration: Configuration) -> int:
        return self.timed[_name(configuration)]

    def decode(self, bundle: Path, split: Split, search: Any = None) -> tuple[Hypothesis, ...]:
        share = self.damage.get(bundle.name, 0.05)
        found = []
        for utterance in split.utterances:
            self.decoded.setdefault(bundle.name, Counter())[utterance.id] += 1
            rng = np.random.default_rng([int(bundle.name[:8], 16), int(utterance.id[1:])])
            text = " ".join("xx" if rng.random() < share else word for word in (utterance.translation or "").split())
            found.append(Hypothesis(text, (1,) * len(text.split()), False))
        return tuple(found)

    def time(self, candidates: Mapping[str, Timed], split: Split, effort: Effort, *, fixed_tokens: int, seed: int) -> dict[str, Latency]:
        """Exact to one percent."""
        found = {}
        base = self.ratio.get(candidates[REFERENCE].bundle.name, 1.0)
        for name, timed in candidates.items():
            if name != REFERENCE or len(candidates) == 1:
                self.timed[timed.bundle.name] += 1
            ratio = self.ratio.get(timed.bundle.name, 1.0) / base
            around = (1.0, 1.0) if name == REFERENCE else (0.99 * ratio, 1.01 * ratio)
            milliseconds = REFERENCE_MS * base * ratio
            timing = Timing(milliseconds, None, (0.99 * milliseconds, 1.01 * milliseconds), ratio, around, 24, 7.0)
            found[name] = Latency(timing, timing)
        return found


def evaluator(workshop: Workshop, script: Script, split: Split, known: Known | None = None, machine: Fingerprint = MACHINE) -> Evaluator:
    """A real one, but for what decodes and measures."""
    tools: Any = script
    return Evaluator(workshop, tools, tools, split, "chrf", 0, machine, known=known or Known())


def _name(configuration: Configuration) -> str:
    """Of its bundle."""
    return configuration.digest[:16]
