"""The calibration of a model on a split, from the cache where it was made before; and what its layers read, for a quick check."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.compress.calibration import Calibration, LayerRows
from paredown.data import Split
from paredown.profilers.machine_lock import machine_share
from paredown.trials.decoding import Decoder, Search
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.supernets import find_supernet
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop
from paredown.user_cache import cache_folder, unwritable

if TYPE_CHECKING:
    from paredown.compress.layer_calls import Utterance
    from paredown.models import Model

# Goes up whenever the same model and data would give another calibration, or when its file changes its form.
SCHEMA = 2
HYPOTHESES = 10
CHECKED_UTTERANCES = 20


def calibrate_model(model: "Model", split: Split, workshop: Workshop, decoder: Decoder, tell: Teller) -> Calibration:
    """The calibration of `model` on all of `split`; kept in the user's cache by the digests of model and data.

    Raises BadInput if the cache cannot be written.
    """
    from paredown.compress.calibrate import calibrate  # torch

    digest = calibration_digest(model.digest, split)
    path = _cached(digest)
    try:
        found = Calibration.load(path)
        tell.line(f"calibration: from the cache ({found.utterances} utterances)")
        return found
    except (FileNotFoundError, ValueError):  # a damaged file counts as absent
        tell.line(f"calibration: on {len(split)} utterances of {split.name}")
    utterances = read_utterances(model, split, workshop, decoder)

    def progress(done: int, total: int) -> None:
        tell.progress("utterances", done, total)

    calibration = calibrate(model.network, utterances, model.sos, digest, progress, unit=machine_share)
    try:
        calibration.save(path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return calibration


def calibrate_workshop(workshop: Workshop, supernet: str | None, split: Split, decoder: Decoder, tell: Teller) -> None:
    """Calibrates the workshop's model, and the supernet of this digest where there is one, each on hypotheses of its own."""
    workshop.calibration = calibrate_model(workshop.model, split, workshop, decoder, tell)
    if supernet is not None:
        with Workshop(find_supernet(workshop.model, supernet)) as other:
            workshop.calibration_of[supernet] = calibrate_model(other.model, split, other, decoder, tell)


def calibration_digest(model_digest: str, split: Split) -> str:
    """SHA-256 of all that a calibration depends on."""
    parts = {"schema": SCHEMA, "model": model_digest, "data": split.digest, "hypotheses": HYPOTHESES}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_layer_rows(model: "Model", split: Split, workshop: Workshop, decoder: Decoder) -> tuple[LayerRows, ...]:
    """What the layers read of a few utterances of `split`, spread over their lengths: enough to find activation outliers."""
    from paredown.compress.calibrate import read_rows  # torch

    utterances = read_utterances(model, spread_by_length(split, CHECKED_UTTERANCES), workshop, decoder)
    return read_rows(model.network, utterances, model.sos, unit=machine_share)


def read_utterances(model: "Model", split: Split, workshop: Workshop, decoder: Decoder) -> tuple["Utterance", ...]:
    """Features, and the best hypotheses of the uncompressed bundle, for teacher forcing."""
    import torch

    from paredown.compress.calibrate import one_thread
    from paredown.compress.layer_calls import Utterance
    from paredown.runtime.audio import read_audio

    found = decoder.decode(workshop.build(uncompressed(model)), split, Search(nbest=HYPOTHESES))
    rate_hz = model.frontend.sample_rate_hz
    waveforms = (torch.from_numpy(read_audio(utterance.audio, rate_hz)) for utterance in split.utterances)
    with one_thread(), machine_share():  # milliseconds an utterance
        features = [model.features(waveform).numpy() for waveform in waveforms]
    return tuple(Utterance(heard, (best.ids, *best.alternatives)) for heard, best in zip(features, found, strict=True))


def _cached(digest: str) -> Path:
    folder = cache_folder() / "calibration"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder / f"{digest}.npz"
