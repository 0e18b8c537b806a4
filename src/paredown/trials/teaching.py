"""What the uncompressed model says of a training split: hypotheses of its beam search, for sequence-level distillation.

The uncompressed bundle decodes the split with the runtime, as it decodes everywhere else. Some hundred utterances at a time are kept in the
user's cache, so that a decoding that was killed goes on where it was.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.data.split import Split
from paredown.recover.items import Hypotheses
from paredown.recover.training_data import find_facts
from paredown.trials.decoding import Decoder, Hypothesis, Search
from paredown.trials.evaluation import uncompressed
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop
from paredown.user_cache import cache_folder, unwritable

if TYPE_CHECKING:
    from paredown.models import Model

SCHEMA = 1
CHUNK = 512
_Chunk = list[list[list[int]]]


@dataclass(frozen=True)
class TeachSettings:
    """`beam_size` of the teacher's search (its configuration may take another), and how many hypotheses of it to keep."""

    beam_size: int = 5
    nbest: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.nbest <= self.beam_size:
            raise ValueError(f"nbest must lie in [1, beam size], got {self.nbest} of {self.beam_size}")


def teach(
    model: "Model",
    split: Split,
    tell: Teller,
    settings: TeachSettings | None = None,
    workers: int | None = None,
    folder: Path | None = None,
) -> Hypotheses:
    """Of every utterance, by its id, token ids of its hypotheses, best first; none where the best was empty or was cut off.

    From `folder` (default: the user's cache) where they were decoded before. Raises BadInput if an audio file cannot be read or the
    cache cannot be written.
    """
    settings = settings or TeachSettings()
    kept = (cache_folder() if folder is None else folder) / "hypotheses" / hypotheses_key(model.digest, find_facts(split).digest, settings)
    chunks = [Split(split.name, split.utterances[start : start + CHUNK]) for start in range(0, len(split), CHUNK)]
    found = [_load(kept / f"{number:05d}.json", len(chunk)) for number, chunk in enumerate(chunks)]
    missing = [number for number, known in enumerate(found) if known is None]
    if missing:
        tell.line(f"teacher: decoding {sum(len(chunks[number]) for number in missing)} utterances of {split.name}")
        done = sum(len(known) for known in found if known is not None)
        with Workshop(model) as workshop, Decoder(workers) as decoder:
            bundle = workshop.build(uncompressed(model))
            for number in missing:
                decoded = decoder.decode(bundle, chunks[number], Search(settings.beam_size, nbest=settings.nbest))
                found[number] = [_usable(hypothesis) for hypothesis in decoded]
                _store(kept / f"{number:05d}.json", found[number])
                done += len(decoded)
                tell.progress("utterances the teacher decodes", done, len(split))
    hypotheses = [each for known in found if known is not None for each in known]
    return {utterance.id: each for utterance, each in zip(split.utterances, hypotheses, strict=True)}


def hypotheses_key(model_digest: str, data_digest: str, settings: TeachSettings) -> str:
    """SHA-256 of everything that determines the hypotheses: model, data, search."""
    parts = [SCHEMA, CHUNK, model_digest, data_digest, settings.beam_size, settings.nbest]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _usable(hypothesis: Hypothesis) -> list[list[int]]:
    """The ids of a hypothesis and its alternatives; a search that the length limit cut off teaches nothing."""
    if hypothesis.hit_cap or not hypothesis.ids:
        return []
    return [list(ids) for ids in (hypothesis.ids, *hypothesis.alternatives) if ids]


def _load(path: Path, utterances: int) -> _Chunk | None:
    """What was kept of a chunk, None if there is nothing or it is damaged."""
    try:
        found: _Chunk = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and len(found) == utterances else None


def _store(path: Path, chunk: _Chunk | None) -> None:
    """Writes a chunk in one step."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(chunk, file, separators=(",", ":"))
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path.parent, error) from error
