"""Runs a bundle: speech in, text out, with NumPy, onnxruntime and soundfile alone."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.audio import load_audio
from paredown.runtime.audio_limits import DEFAULT_LIMIT_BYTES, AudioLimits, find_limits
from paredown.runtime.batch import Heard, search_batch
from paredown.runtime.beam import BeamSettings, Hypothesis, beam_search, beam_search_fixed
from paredown.runtime.bundle_files import FRONTEND, TOKENS, WEIGHTS, GraphRecord, TokenType, check_files, read_manifest
from paredown.runtime.ctc import CtcPrefixScorer, decode_greedily
from paredown.runtime.decoder import DecoderSteps
from paredown.runtime.features import FeatureExtractor, read_frontend
from paredown.runtime.numbers import is_whole
from paredown.runtime.session import Graph, SessionSettings, Target, check_target
from paredown.runtime.tokens import BLANK_ID, read_tokens
from paredown.runtime.translation import Timings, Translation, spell
from paredown.runtime.weights import Weights

Floats = NDArray[np.float32]
SearchKind = Literal["beam", "greedy_ctc"]
_MOST_TOGETHER = 256  # searches of a batch


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives: its states [frames, width], the decoder's memory [layers, heads, frames, units], and the CTC's log posteriors
    [frames, tokens], None where the search takes none.
    """

    states: Floats
    memory_keys: Floats
    memory_values: Floats
    log_probs: Floats | None


@dataclass(frozen=True)
class Translator:
    """A loaded bundle; make it with `from_bundle`. One translation at a time: the decoder's caches are its own.

    `decoder` and `ctc` are there where the search takes them: decoder scores, CTC scores or both; greedy decoding takes the CTC alone.
    `limits_together`: how long audio may be if so many are searched together.
    `batches_exactly`: no kernel lets one utterance of a batch change another's scores.
    """

    settings: BeamSettings
    tokens: tuple[str, ...]
    token_type: TokenType
    limits: AudioLimits
    limits_together: Callable[[int], AudioLimits]
    features: FeatureExtractor
    encoder: Graph
    decoder: DecoderSteps | None
    ctc: Graph | None
    ctc_window: int | None
    search: SearchKind
    batches_exactly: bool
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
        ctc_weight: float | None = None,
        ctc_window: int | None = None,
        search: SearchKind = "beam",
        target: Target = "cpu",
        arena: bool = True,
        spinning: bool = True,
        rounding: bool = True,
        memory_limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> Self:
        """Check and load a bundle. `beam_size`, `length_bonus` and `ctc_weight` default to those of the bundle's configuration.

        `maxlenratio` and `minlenratio` bound the tokens as shares of the encoder's frames, as ESPnet takes them (0: end detection;
        negative: a number of tokens). `ctc_weight`: share of the CTC's scores beside the decoder's; `ctc_window`: frames that they look
        at (None: all, exact; see `CtcPrefixScorer`). `search` "greedy_ctc" takes the CTC's best token of every frame and nothing else.
        `threads`, `target`, `arena`, `spinning` and `rounding` as in `SessionSettings`. `memory_limit_bytes`: what an utterance may
        take beside the weights, by an upper estimate; longer audio is refused (attention takes memory for every pair of frames).
        Raises BadInput for a folder that is no bundle, a file that was changed, a newer schema, or an impossible setting, among them
        a CTC where the bundle has none.
        """
        began = time.perf_counter()
        session = SessionSettings(threads, target, arena, spinning, rounding)
        bundle = Path(path)
        manifest = read_manifest(bundle)
        check_target(manifest, target)
        check_files(bundle, manifest)
        tokens = read_tokens(bundle / TOKENS)
        size = manifest.beam_size if beam_size is None else beam_size
        bonus = manifest.length_bonus if length_bonus is None else length_bonus
        weight = manifest.ctc_weight if ctc_weight is None else ctc_weight
        ends, lengths = (manifest.sos, manifest.eos), (maxlenratio, minlenratio)
        settings = BeamSettings(size, len(tokens), *ends, *lengths, bonus, normalize_length, weight)
        if ctc_window is not None:
            _check_count("a CTC window", ctc_window)
        with_decoder, with_ctc = _scorers(search, settings, manifest.ctc is not None, bundle)
        features = FeatureExtractor(read_frontend(bundle / FRONTEND))
        nodes_of = count_nodes(settings) if with_decoder else None
        together = partial(find_limits, manifest.memory, features.frontend, manifest.least_frames, nodes_of, memory_limit_bytes)
        limits = together(1)
        weights = Weights(bundle / WEIGHTS, manifest.tensors)
        load = partial(_load_graph, bundle, weights, session)
        encoder = load(manifest.encoder)
        decoder = DecoderSteps(load(manifest.decoder, rest_after_run=False), keep_log_probs=with_ctc) if with_decoder else None
        ctc = load(manifest.ctc) if with_ctc and manifest.ctc is not None else None
        load_ms = 1000.0 * (time.perf_counter() - began)
        kind, exactly = manifest.token_type, "int8" not in manifest.kernels
        return cls(settings, tokens, kind, limits, together, features, encoder, decoder, ctc, ctc_window, search, exactly, load_ms)

    def translate(
        self, audio: str | Path | NDArray[Any], nbest: int = 1, fixed_tokens: int | None = None, sample_rate_hz: int | None = None
    ) -> Translation:
        """Translate a file, or a waveform ([samples] or [samples, channels], float or int16) at `sample_rate_hz` (None: the model's rate).

        Audio of another rate than the model's is resampled; a warning (`ResamplingNote`) says so once for each pair of rates.
        `nbest`: how many hypotheses to give, the best one and its alternatives (fewer if fewer ended; greedily decoded there is one).
        `fixed_tokens`: decode exactly so many tokens with a full beam, for timing only (the text means nothing).
        Raises BadInput for audio that is missing, empty, corrupt, shorter than what the encoder takes, or so long that it would not fit
        into the memory limit, for an `nbest` below 1, and for `fixed_tokens` where nothing is searched.
        """
        _check_count("nbest", nbest)
        if fixed_tokens is not None:
            _check_count("a fixed number of tokens", fixed_tokens)
            if self.search == "greedy_ctc":
                raise BadInput(f"a fixed number of tokens needs a beam search, got {fixed_tokens} with search 'greedy_ctc'")
        waveform = load_audio(audio, self.limits, sample_rate_hz)
        clock = [time.perf_counter()]
        features = self.features.extract(waveform)
        clock.append(time.perf_counter())
        encoded = self._encode(features)
        clock.append(time.perf_counter())
        hypotheses = self._search(encoded, fixed_tokens)
        clock.append(time.perf_counter())
        timings = Timings(*(1000.0 * (end - begin) for begin, end in pairwise(clock)))
        return self._spell(hypotheses[:nbest], len(features), timings)

    def translate_batch(
        self, audios: Iterable[str | Path | NDArray[Any]], batch_size: int = 8, nbest: int = 1, approximate: bool = False
    ) -> tuple[Translation, ...]:
        """Translate many, `batch_size` searches at a time, for throughput; results in the order of `audios`, each as `translate` gives it.

        At fp32 the tokens are those of `translate`. Int8 activations of one call share one scale, so beside others an utterance's
        scores would move: an int8 bundle translates one by one, unless `approximate` allows it; then its results are labelled so.
        With static activations they rarely move: padding changes the order of float sums, which now and then takes an activation across
        half a step (bundled model: the best hypothesis stays in 800 of 800 cases, the ten best in 794).
        Steps are shared, so the search has no time of its own (NaN in `timings`). All searches of a batch share the memory limit, so the
        longest audio is shorter than alone: `limits_together` of the batch size, or of the number of `audios` where that is known and
        smaller. Raises BadInput as `translate` does, for the first audio that is bad (nothing is returned then), and for a batch size
        outside [1, 256].
        """
        if isinstance(audios, str | bytes | Path) or not isinstance(audios, Iterable):
            raise BadInput(f"audios must be a list of files or waveforms, got {type(audios).__name__}")
        _check_count("nbest", nbest)
        _check_count("a batch size", batch_size, _MOST_TOGETHER)
        if batch_size == 1 or self.decoder is None or not (self.batches_exactly or approximate):
            return tuple(self.translate(audio, nbest) for audio in audios)
        about: dict[int, tuple[int, Timings]] = {}
        places = max(1, min(batch_size, len(audios))) if isinstance(audios, Sized) else batch_size
        heard = self._hear(audios, about, self.limits_together(places))
        decoder = DecoderSteps(self.decoder.graph, keep_log_probs=self.ctc is not None)
        searches = search_batch(decoder, heard, self.settings, batch_size)
        found = {number: self._spell(hypotheses[:nbest], *about[number], not self.batches_exactly) for number, hypotheses in searches}
        return tuple(found[number] for number in sorted(found))

    def _hear(
        self, audios: Iterable[str | Path | NDArray[Any]], about: dict[int, tuple[int, Timings]], limits: AudioLimits
    ) -> Iterator[Heard]:
        """Utterances through the encoder, one by one; `about` gets their numbers of frames and their timings."""
        for number, audio in enumerate(audios):
            waveform = load_audio(audio, limits)
            began = time.perf_counter()
            features = self.features.extract(waveform)
            between = time.perf_counter()
            encoded = self._encode(features)
            encoder_ms = 1000.0 * (time.perf_counter() - between)
            about[number] = len(features), Timings(1000.0 * (between - began), encoder_ms, float("nan"))
            yield Heard(number, encoded.memory_keys, encoded.memory_values, self._scorer(encoded))

    def _encode(self, features: Floats) -> Encoded:
        states, memory_keys, memory_values = self.encoder.run(("encoder_out", "memory_keys", "memory_values"), {"features": features})
        return self.hear(states, memory_keys, memory_values)

    def encode(self, audio: str | Path) -> Encoded:
        """The encoder's part of `translate`. Raises BadInput as that does."""
        return self._encode(self.features.extract(load_audio(audio, self.limits, None)))

    def hear(self, states: Floats, memory_keys: Floats, memory_values: Floats) -> Encoded:
        """What was encoded before, or elsewhere, with the CTC's posteriors where the search takes them."""
        log_probs = None if self.ctc is None else self.ctc.run(("log_probs",), {"encoder_out": states})[0]
        return Encoded(states, memory_keys, memory_values, log_probs)

    def translate_encoded(self, encoded: Encoded, nbest: int = 1) -> Translation:
        """The search's part of `translate`; the frames that the encoder read are not known, and told as 0."""
        _check_count("nbest", nbest)
        began = time.perf_counter()
        hypotheses = self._search(encoded, None)
        return self._spell(hypotheses[:nbest], 0, Timings(0.0, 0.0, 1000.0 * (time.perf_counter() - began)))

    def _scorer(self, encoded: Encoded) -> CtcPrefixScorer | None:
        if encoded.log_probs is None:
            return None
        return CtcPrefixScorer(encoded.log_probs, BLANK_ID, self.settings.eos, self.ctc_window)

    def _search(self, encoded: Encoded, fixed_tokens: int | None) -> tuple[Hypothesis, ...]:
        """Hypotheses, best first."""
        settings = self.settings
        if self.search == "greedy_ctc" and encoded.log_probs is not None:
            ids, score = decode_greedily(encoded.log_probs, BLANK_ID)
            return (Hypothesis((settings.sos, *ids, settings.eos), score),)
        if self.decoder is not None:
            self.decoder.listen(encoded.memory_keys, encoded.memory_values)
        if fixed_tokens is not None:
            return beam_search_fixed(self.decoder, fixed_tokens, settings, self._scorer(encoded))
        return beam_search(self.decoder, encoded.memory_keys.shape[2], settings, self._scorer(encoded))

    def _spell(self, hypotheses: Sequence[Hypothesis], frames: int, timings: Timings, approximate: bool = False) -> Translation:
        """The hypotheses, best first, in words."""
        found = [spell(hypothesis, self.tokens, self.token_type, self.settings.eos) for hypothesis in hypotheses]
        if not found:
            return Translation("", (), (), -np.inf, frames, False, (), approximate, timings)
        best, *others = found
        return Translation(best.text, best.tokens, best.ids, best.score, frames, best.hit_cap, tuple(others), approximate, timings)


def count_nodes(settings: BeamSettings) -> Callable[[int], int]:
    """Most hypotheses of all steps together, of a search over so many encoder states."""
    return lambda states: settings.beam_size * settings.max_length(states)


def _load_graph(bundle: Path, weights: Weights, session: SessionSettings, record: GraphRecord, rest_after_run: bool = True) -> Graph:
    """A graph with its weights. Raises BadInput, naming the file, where weights or graph are not what the manifest says."""
    try:
        arrays = weights.initializers(record.initializers)
    except (ArithmeticError, AssertionError, LookupError, MemoryError, OSError, TypeError, ValueError) as error:
        raise BadInput(f"{bundle / WEIGHTS} must hold the weights of {record.file} as the manifest says, got: {_line(error)}") from error
    try:
        return Graph(bundle / record.file, arrays, session, rest_after_run)
    except BadInput:
        raise
    except Exception as error:  # onnxruntime's own have no base class of theirs
        raise BadInput(f"{bundle / record.file} must be a graph that onnxruntime can load, got: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_count(name: str, count: int, most: int = 2**31 - 1) -> None:
    if not is_whole(count) or not 1 <= count <= most:
        bounds = f"in [1, {most}]" if most < 2**31 - 1 else "of at least 1"
        raise BadInput(f"{name} must be a whole number {bounds}, got {count!r}")


def _scorers(search: SearchKind, settings: BeamSettings, has_ctc: bool, bundle: Path) -> tuple[bool, bool]:
    """Whether a search takes the decoder, and whether it takes the CTC. Raises BadInput for one that the bundle has not."""
    if search not in get_args(SearchKind):
        raise BadInput(f"a search must be one of {', '.join(get_args(SearchKind))}, got {search!r}")
    greedy = search == "greedy_ctc"
    if not has_ctc and (greedy or settings.ctc_weight > 0):
        asked = search if greedy else f"a CTC weight of {settings.ctc_weight:g}"
        raise BadInput(f"{asked} needs a bundle with a CTC over its output text, got {bundle}, which has none")
    return not greedy and settings.ctc_weight < 1, greedy or settings.ctc_weight > 0
