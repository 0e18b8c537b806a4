"""Encoder work that configurations share which differ in the decoder alone: states are kept while a study runs.

The first bundle of an encoder leaves its states [frames, width] of every utterance on disk. A later one with the same encoder computes from
them what its own decoder attends to, by the part of its encoder graph behind the states, and searches. Both ways give the same numbers.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paredown.runtime.bundle_files import WEIGHTS, read_manifest
from paredown.runtime.session import Graph, SessionSettings
from paredown.runtime.weights import Weights
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.runtime.translator import Encoded, Translator

STATES = "encoder_out"
MEMORY = ("memory_keys", "memory_values")
_ENCODERS = 6  # whose states are kept: about 16 MB each for 200 utterances of the bundled model
_PATHS = ("bits", "kernels", "width", "heads", "rank")  # settings by layer, of which the encoder's count
_WHOLE = ("input", "scheme", "schedule")


def encoder_digest(configuration: Configuration, weights: str) -> str | None:
    """What two configurations must share for their encoders to compute the same; None where that cannot be told from configurations.

    `weights`: digest of the model whose weights are taken. Training and calibration look at the whole network, so what they change is not
    the encoder's own.
    """
    if configuration.is_recovered or configuration.is_calibrated:
        return None
    value: dict[str, Any] = json.loads(configuration.to_json())
    about = {name: value[name] for name in _WHOLE} | {"weights": weights, "keep": value["keep"].get("encoder")}
    about |= {name: _of_encoder(value[name]) for name in (*_PATHS, "sparsity")}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _of_encoder(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in setting.items() if path.startswith("encoder.")}


class SharedStates:
    """The folders of states of one study, by encoder; those not used for longest go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: dict[str, Path] = {}

    def folder_of(self, digest: str | None) -> Path | None:
        """Where the states of this encoder lie, or will; None where it shares them with nobody."""
        if digest is None:
            return None
        path = self._used.pop(digest, self._folder / digest[:16])
        path.mkdir(parents=True, exist_ok=True)
        self._used[digest] = path
        while len(self._used) > _ENCODERS:
            oldest = next(iter(self._used))
            shutil.rmtree(self._used.pop(oldest), ignore_errors=True)
        return path


class EncoderTail:
    """The part of a bundle's encoder graph behind the states."""

    def __init__(self, bundle: Path) -> None:
        import onnx
        from onnx.utils import Extractor

        manifest = read_manifest(bundle)
        whole = onnx.load(str(bundle / manifest.encoder.file), load_external_data=False)
        tail = Extractor(whole).extract_model([STATES], list(MEMORY))
        path = bundle.with_name(f"{bundle.name}.tail-{os.getpid()}.onnx")
        onnx.save(tail, str(path))
        wanted = {one.name for one in tail.graph.initializer}
        records = tuple(one for one in manifest.encoder.initializers if one.name in wanted)
        try:
            self._graph = Graph(path, Weights(bundle / WEIGHTS, manifest.tensors).initializers(records), SessionSettings())
        finally:
            path.unlink()

    def encode(self, translator: "Translator", states: "np.ndarray[Any, np.dtype[np.float32]]") -> "Encoded":
        """As the whole encoder would for the utterance of these states."""
        keys, values = self._graph.run(MEMORY, {STATES: states})
        return translator.hear(states, keys, values)


def states_file(folder: Path, audio: Path) -> Path:
    """Where the states of an audio file lie."""
    return folder / f"{hashlib.sha256(str(audio).encode()).hexdigest()[:24]}.npy"


def keep_states(path: Path, encoded: "Encoded") -> None:
    """Whole or not at all; another process may do the same."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.npy")
    np.save(draft, encoded.states)
    os.replace(draft, path)
