"""Configurations of the bundled model, decoded once on the whole search split, each utterance timed: what races are replayed on.

Recordings are kept one file a configuration, so that a run that was killed goes on and a second one only replays.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from paredown.data import Split
from paredown.models import load_model
from paredown.profilers.size import measure_size
from paredown.runtime import Translator
from paredown.search.spec import StudySpec
from paredown.search.study_file import make_spec
from paredown.space.axes.base import SearchSpace
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import FIXED_TOKENS, MACS_AUDIO_S
from paredown.trials.findings import find
from paredown.trials.forced_loss import Items, Losses, force, read_items
from paredown.trials.operations import macs_of_bundle
from paredown.trials.space import first_candidates, make_space
from paredown.trials.study_run import split_of
from paredown.trials.workers import Workers
from paredown.trials.workshop import Workshop

STUDY: dict[str, Any] = {
    "name": "race",
    "model": {"path": "bundled:tatoeba-en-de"},
    "space": {
        "bits": {"average": [3.0, 8.0], "choices": [2, 3, 4, 5, 6, 7, 8]},
        "layers": {"decoder": [3, 6]},
        "sparsity": {"groups": ["encoder.feed_forward", "encoder.self_attn", "decoder.feed_forward"], "max": 0.5},
        "input": {"hop_samples": [160, 200, 250]},
        "decode": {"beam_size": [1, 10]},
    },
}
GENTLEST = {"layers": 1.0, "decode": 1.0}  # where in a knob's range nothing is lost, 0 but for these axes
WORKERS, PARTS = 2, 8
SPREAD = 0.25  # of a knob's range: how far configurations lie from the gentlest one


class Quiet:
    """Tells nobody how the analysis goes."""

    def line(self, text: str) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@dataclass(frozen=True)
class Recording:
    """One configuration on all utterances: texts and seconds on one core, [utterances]; `given`: a study starts from it.

    `losses`: teacher-forced, of a few utterances of *analysis*, which took `loss_seconds` on one core.
    """

    configuration: str
    given: bool
    size_bytes: float
    macs: float
    texts: tuple[str, ...]
    seconds: tuple[float, ...]
    losses: Losses
    loss_seconds: float


def draw(space: SearchSpace, count: int, seed: int, known: Sequence[Configuration], near_half: bool) -> list[Configuration]:
    """`count` configurations that differ, also from those known, uniform over the knobs; with `near_half` every other one lies around what
    changes least at an average of bits, where a search ends up looking.
    """
    rng = np.random.default_rng(seed)
    found: list[Configuration] = []
    while len(found) < count:
        around = near_half and len(found) % 2 == 1
        values: dict[str, float] = {}
        for knob in space.knobs:
            gentle = GENTLEST.get(knob.name.partition(".")[0], 0.0)
            near = around and knob.name != "bits.average"
            place = float(np.clip(gentle - np.sign(gentle - 0.5) * abs(rng.normal(0, SPREAD)), 0, 1)) if near else float(rng.random())
            value = knob.low + place * (knob.high - knob.low + (1 if knob.integer else 0))
            values[knob.name] = min(int(value), knob.high) if knob.integer else value
        made = space.resolve(space.checked(values))
        if made not in found and made not in known:
            found.append(made)
    return found


class Recorder:
    """Draws configurations and decodes what of them was not decoded yet. `folder`: where recordings are kept."""

    def __init__(self, folder: Path) -> None:
        self.spec: StudySpec = make_spec(STUDY)
        self.folder = folder
        self.split: Split = split_of(self.spec, "search")
        self._model = load_model(self.spec.model.path)

    @property
    def references(self) -> tuple[str, ...]:
        return self.split.references(self._model.task)

    def record(self, count: int, seed: int, near_half: bool, limit: int | None = None) -> list[Recording]:
        """The first candidates of a study and what is drawn with this seed, `count` together; decodes at most `limit` of them now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        listing = self.folder / f"drawn-{seed}-{count}{'' if near_half else '-uniform'}.json"
        if not listing.exists():
            listing.write_text(json.dumps(self._draw(count, seed, near_half)), encoding="utf-8")
        rows = [(Configuration.from_json(text), given) for text, given in json.loads(listing.read_text(encoding="utf-8"))]
        missing = [configuration for configuration, _ in rows if not self._path(configuration).exists()]
        for done, configuration in zip(self._decode(missing[:limit]), missing[:limit], strict=True):
            draft = self._path(configuration).with_suffix(".draft")
            draft.write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
            draft.replace(self._path(configuration))
        return [self._load(configuration, given) for configuration, given in rows if self._path(configuration).exists()]

    def _draw(self, count: int, seed: int, near_half: bool) -> list[tuple[str, bool]]:
        section, analysis = self.spec.space, split_of(self.spec, "analysis")
        with Workshop(self._model) as workshop, Decoder() as decoder:
            findings = find(section, self._model, analysis, workshop, decoder, Quiet())
            space = make_space(section, self._model, findings, workshop.count_survivors)
            given = [each.configuration for each in first_candidates(space, self._model)]
            drawn = draw(space, count - len(given), seed, given, near_half)
        return [(each.to_json(), True) for each in given] + [(each.to_json(), False) for each in drawn]

    def _decode(self, configurations: Sequence[Configuration]) -> Iterator[dict[str, Any]]:
        if not configurations:
            return
        files = [utterance.audio for utterance in self.split.utterances]
        items = read_items(self._model, split_of(self.spec, "analysis"))
        order = sorted(range(len(files)), key=lambda index: -files[index].stat().st_size)
        with Workshop(self._model) as workshop, Workers(WORKERS) as workers:
            for configuration in configurations:
                bundle = workshop.build(configuration)
                parts = [order[start::PARTS] for start in range(PARTS)]
                decoded = workers.map(_decode_timed, [(bundle, [files[index] for index in part]) for part in parts])
                found = {index: row for part, rows in zip(parts, decoded, strict=True) for index, row in zip(part, rows, strict=True)}
                texts, seconds = zip(*(found[index] for index in range(len(files))), strict=True)
                forced = workers.map(_force_timed, jobs_of(bundle, items))
                losses, loss_seconds = zip(*(row for part in forced for row in part), strict=True)
                size, macs = measure_size(bundle).to_measurement().value, macs_of_bundle(bundle, MACS_AUDIO_S, FIXED_TOKENS)
                workshop.discard(configuration)
                heard = {"texts": texts, "seconds": seconds, "losses": losses, "loss_seconds": sum(loss_seconds)}
                yield {"size_bytes": size, "macs": macs} | heard

    def _path(self, configuration: Configuration) -> Path:
        return self.folder / f"{configuration.digest[:20]}.json"

    def _load(self, configuration: Configuration, given: bool) -> Recording:
        row = json.loads(self._path(configuration).read_text(encoding="utf-8"))
        losses = tuple((nats, tokens) for nats, tokens in row["losses"])
        texts, seconds = tuple(row["texts"]), tuple(row["seconds"])
        return Recording(configuration.to_json(), given, row["size_bytes"], row["macs"], texts, seconds, losses, row["loss_seconds"])


def jobs_of(bundle: Path, items: Items) -> list[tuple[Path, Items]]:
    """In the order of the items, a part for each worker."""
    size = -(-len(items) // WORKERS)
    return [(bundle, items[start : start + size]) for start in range(0, len(items), size)]


@lru_cache(maxsize=1)
def _translator(bundle: Path) -> Translator:
    return Translator.from_bundle(bundle, threads=1)


def _decode_timed(bundle: Path, files: Sequence[Path]) -> list[tuple[str, float]]:
    """Text and seconds of every file, in a worker of one thread; loading the bundle is not counted, as every subset shares it."""
    translator = _translator(bundle)
    found = []
    for file in files:
        began = time.perf_counter()
        text = translator.translate(file).text
        found.append((text, time.perf_counter() - began))
    return found


def _force_timed(bundle: Path, items: Items) -> list[tuple[tuple[float, int], float]]:
    """Loss and seconds of every item, hearing it included."""
    translator = _translator(bundle)
    found = []
    for audio, ids in items:
        began = time.perf_counter()
        loss = force(translator, translator.encode(audio), ids)
        found.append((loss, time.perf_counter() - began))
    return found
