"""Runs a bundle: speech in, text out, with NumPy, onnxruntime and soundfile alone."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.audio import check_waveform, read_audio
from paredown.runtime.beam import BeamSettings, Hypothesis, beam_search, beam_search_fixed
from paredown.runtime.bundle_files import FRONTEND, TOKENS, WEIGHTS, TokenType, check_files, read_manifest
from paredown.runtime.features import FeatureExtractor, read_frontend
from paredown.runtime.session import DecoderSteps, Graph
from paredown.runtime.tokens import BLANK_ID, detokenize, read_tokens
from paredown.runtime.weights import Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Translation:
    """The best hypothesis. `ids` and `tokens` are without sos, eos and blank; `score` is its log-probability with length bonus.

    `frames`: feature frames that the encoder read. `hit_cap`: the length limit cut it off. If no hypothesis reached the smallest
    length the text is empty and the score -inf.
    """

    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    score: float
    frames: int
    hit_cap: bool


@dataclass(frozen=True)
class Translator:
    """A loaded bundle; make it with `from_bundle`. One translation at a time: the decoder's caches are its own."""

    settings: BeamSettings
    tokens: tuple[str, ...]
    token_type: TokenType
    least_frames: int
    features: FeatureExtractor
    encoder: Graph
    decoder: DecoderSteps
    load_ms: float

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        threads: int = 1,
        beam_size: int | None = None,
        maxlenratio: float = 0.0,
        minlenratio: float = 0.0,
        length_bonus: float | None = None,
        normalize_length: bool = False,
    ) -> Self:
        """Check and load a bundle. `beam_size` and `length_bonus` default to those of the bundle's configuration.

        `maxlenratio` and `minlenratio` bound the tokens as shares of the encoder's frames, as ESPnet takes them (0: end detection;
        negative: a number of tokens). Raises BadInput for a folder that is no bundle, a file that was changed, a newer schema, or
        an impossible setting.
        """
        began = time.perf_counter()
        if threads < 1:
            raise BadInput(f"threads must be at least 1, got {threads}")
        bundle = Path(path)
        manifest = read_manifest(bundle)
        check_files(bundle, manifest)
        tokens = read_tokens(bundle / TOKENS)
        settings = BeamSettings(
            beam_size=manifest.beam_size if beam_size is None else beam_size,
            vocabulary=len(tokens),
            sos=manifest.sos,
            eos=manifest.eos,
            maxlenratio=maxlenratio,
            minlenratio=minlenratio,
            length_bonus=manifest.length_bonus if length_bonus is None else length_bonus,
            normalize_length=normalize_length,
        )
        features = FeatureExtractor(read_frontend(bundle / FRONTEND))
        weights = Weights(bundle / WEIGHTS, manifest.tensors)
        encoder, decoder = (
            Graph(bundle / record.file, weights.initializers(record.initializers), threads, rest_after_run=record is manifest.encoder)
            for record in (manifest.encoder, manifest.decoder)
        )
        load_ms = 1000.0 * (time.perf_counter() - began)
        return cls(settings, tokens, manifest.token_type, manifest.least_frames, features, encoder, DecoderSteps(decoder), load_ms)

    def translate(self, audio: str | Path | NDArray[Any], fixed_tokens: int | None = None) -> Translation:
        """Translate a file, or a waveform at the model's sample rate ([samples] or [samples, channels], float or int16).

        `fixed_tokens`: decode exactly so many tokens with a full beam, for timing only (the text means nothing).
        Raises BadInput for audio that is missing, empty, corrupt, or shorter than what the encoder takes.
        """
        features = self.features.extract(self._read(audio))
        memory_frames = self._encode(features)
        if fixed_tokens is None:
            hypotheses = beam_search(self.decoder, memory_frames, self.settings)
        else:
            hypotheses = beam_search_fixed(self.decoder, fixed_tokens, self.settings)
        return self._spell(hypotheses[0] if hypotheses else None, len(features))

    def _read(self, audio: str | Path | NDArray[Any]) -> Floats:
        frontend = self.features.frontend
        name = "waveform" if isinstance(audio, np.ndarray) else str(audio)
        waveform = check_waveform(audio, name) if isinstance(audio, np.ndarray) else read_audio(Path(audio), frontend.sample_rate_hz)
        least = frontend.least_samples(self.least_frames)
        if len(waveform) < least:
            raise BadInput(f"audio must have at least {least} samples at {frontend.sample_rate_hz} Hz, got {len(waveform)}: {name}")
        return waveform

    def _encode(self, features: Floats) -> int:
        """Run the encoder, hand its memory to the decoder, and say how many frames that has."""
        memory_keys, memory_values = self.encoder.run(("memory_keys", "memory_values"), {"features": features})
        self.decoder.listen(memory_keys, memory_values)
        return int(memory_keys.shape[2])

    def _spell(self, best: Hypothesis | None, frames: int) -> Translation:
        if best is None:
            return Translation("", (), (), -np.inf, frames, hit_cap=False)
        dropped = (BLANK_ID, self.settings.eos)  # ESPnet leaves an eos in the text where the model took it at the last position
        ids = tuple(token for token in best.ids[1:] if token not in dropped)
        tokens = tuple(self.tokens[token] for token in ids)
        return Translation(detokenize(tokens, self.token_type), tokens, ids, float(best.score), frames, best.hit_cap)
