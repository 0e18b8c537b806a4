"""Everything that is timed on a checkpoint of the first paper's shape: the candidates, and the runs they take part in."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paredown.bundle import write_bundle
from paredown.compress.network import compress_model
from paredown.models import Model
from paredown.runtime.beam import beam_search_fixed
from paredown.trials.conversion import configured
from tests.benchmarks.bars import Bar, compare_ids, print_bars, print_timings
from tests.benchmarks.candidates import Bundle, Cached, Candidate, Espnet
from tests.benchmarks.espnet_search import quantize_linear
from tests.benchmarks.first_paper import make_waveform
from tests.benchmarks.floor import Floor
from tests.benchmarks.interleave import Ratio, Timed, ratio, settle, time_alone, time_interleaved
from tests.benchmarks.torch_cached import CachedTranslator, join_packed

WIDTHS = (32, 8, 4, 3, 2)
ESPNET, QINT8, FLOAT16, CACHED, PACKED = "ESPnet fp32", "ESPnet qint8", "ESPnet float16", "torch cached", "torch cached, packed"
FLOORS = {"floor fp32": 32, "floor int8": 8}


def bundle_name(bits: int) -> str:
    return "bundle fp32" if bits == 32 else f"bundle {bits} bits"


@dataclass(frozen=True)
class Length:
    """An utterance of the shape's runs, and the bars for its length: how many times as fast bundles must be, at fp32 and int8."""

    seconds: int
    tokens: int
    fp32_to_espnet: float
    int8_to_espnet: float
    fp32_to_cached: float
    int8_to_cached: float


LENGTHS = (Length(6, 40, 7, 14, 2.5, 4.5), Length(15, 80, 12, 20, 2.5, 4))


@dataclass(frozen=True)
class Shape:
    """A checkpoint, the bundles that were made of it, and how many threads everything has."""

    model: Model
    bundles: Mapping[int, Path]
    threads: int
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @classmethod
    def of(cls, model: Model, folder: Path, threads: int, widths: Sequence[int] = WIDTHS) -> "Shape":
        bundles = {bits: write_bundle(model, compress_model(model, configured(model, bits)), folder / f"{bits}") for bits in widths}
        return cls(model, bundles, threads)

    @cached_property
    def models(self) -> dict[str, Model]:
        """The checkpoint in torch, plain and dynamically quantized; what cannot be made is said and left out."""
        models = {ESPNET: self.model}
        for name, dtype in ((QINT8, torch.qint8), (FLOAT16, torch.float16)):
            try:
                models[name] = quantize_linear(self.model, dtype)
            except (RuntimeError, AttributeError, NotImplementedError) as error:
                print(f"{name}: not run ({str(error).splitlines()[0]})")
        return models

    @cached_property
    def opened(self) -> dict[int, Bundle]:
        """The bundles, for decoding with the decoder alone."""
        return {bits: Bundle.of(path, self.threads) for bits, path in self.bundles.items()}

    def candidates(self, beam_size: int) -> dict[str, Candidate]:
        """All baselines and all bundles."""
        found: dict[str, Candidate] = {name: Espnet.of(model, beam_size) for name, model in self.models.items()}
        found[CACHED] = Cached(CachedTranslator.of(self.model, beam_size))
        if packing_works():
            found[PACKED] = Cached(CachedTranslator.of(self.model, beam_size, join_packed))
        return found | {bundle_name(bits): bundle.with_beam(beam_size) for bits, bundle in self.opened.items()}

    def frames(self, waveform: Any) -> int:
        """Frames of the encoder's output."""
        return len(self.model.encode(self.model.features(waveform)))


def packing_works() -> bool:
    """Whether this torch has the private operators of `join_packed`."""
    try:
        join_packed([torch.nn.Linear(4, 4)])(torch.ones(1, 4))
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    return True


def run_length(shape: Shape, length: Length, repeats: int, alone: int) -> list[Bar]:
    """Beam 10 beside the floor: bars against ESPnet, against the cached decoder, between bit-widths and to the floor."""
    waveform = make_waveform(length.seconds)
    candidates = shape.candidates(10)
    for name, bits in FLOORS.items():
        candidates[name] = Floor(length.tokens, 10, shape.frames(waveform), shape.threads, int8=bits == 8)
    timed = time_interleaved(candidates, [waveform], length.tokens, repeats, shape.rng)
    decoders = {name: found for name, found in timed.items() if name not in FLOORS}
    same = compare_ids(decoders, ESPNET, (0, shape.model.eos))
    title = f"{length.seconds} s of audio, {length.tokens} tokens, beam 10, {shape.threads} threads, {repeats} rounds (medians)"
    print_timings(title, timed, ESPNET, same)
    if alone:
        _print_alone(candidates, timed, waveform, length.tokens, alone)
    bars = _length_bars(length, timed, same)
    print_bars(f"bars at {length.seconds} s", bars)
    return bars


def _length_bars(length: Length, timed: Mapping[str, Timed], same: Mapping[str, str]) -> list[Bar]:
    def faster(than: str, name: str) -> Ratio:
        return ratio(timed[than].samples["total_ms"], timed[name].samples["total_ms"])

    at = f"{length.seconds} s"
    fp32, int8 = bundle_name(32), bundle_name(8)
    bars = [
        Bar(f"{at}: fp32 bundle against ESPnet ({same[fp32]} tokens)", faster(ESPNET, fp32), length.fp32_to_espnet),
        Bar(f"{at}: int8 bundle against ESPnet", faster(ESPNET, int8), length.int8_to_espnet),
        Bar(f"{at}: fp32 bundle against the cached torch decoder", faster(CACHED, fp32), length.fp32_to_cached),
        Bar(f"{at}: int8 bundle against the cached torch decoder", faster(CACHED, int8), length.int8_to_cached),
        Bar(f"{at}: fp32 tokens identical to ESPnet's (1 = yes)", float(same[fp32] == "identical"), 1.0, unit=""),
    ]
    for name, bits in FLOORS.items():
        times = ratio(timed[bundle_name(bits)].samples["search_ms"], timed[name].samples["search_ms"])
        bars.append(Bar(f"{at}: beam search to its {name}", times, 2.5, at_least=False))
    for bits in (4, 3, 2):
        slower = ratio(timed[bundle_name(bits)].samples["total_ms"], timed[int8].samples["total_ms"])
        bars.append(Bar(f"{at}: time at {bits} bits to that at 8 bits", slower, 1.05, at_least=False))
    return bars


def _print_alone(candidates: Mapping[str, Candidate], timed: Mapping[str, Timed], waveform: Any, tokens: int, repeats: int) -> None:
    """Whether taking turns cost anyone anything, and what decoding one utterance right behind the other does."""
    print(f"  {'times as long, totals':28s} {'in turns / alone':>18s} {'back to back / alone':>22s}")
    for name, candidate in candidates.items():
        alone, behind = (time_alone(candidate, waveform, tokens, repeats, rested).median_ms() for rested in (True, False))
        print(f"  {name:28s} {timed[name].median_ms() / alone:18.2f} {behind / alone:22.2f}")


def run_greedy(shape: Shape, length: Length, repeats: int) -> None:
    """Beam 1, for which there is no bar."""
    timed = time_interleaved(shape.candidates(1), [make_waveform(length.seconds)], length.tokens, repeats, shape.rng)
    title = f"{length.seconds} s of audio, {length.tokens} tokens, beam 1, {shape.threads} threads, {repeats} rounds (medians)"
    print_timings(title, timed, ESPNET, compare_ids(timed, ESPNET, (0, shape.model.eos)))


def run_joint(shape: Shape, length: Length, repeats: int, weight: float = 0.3) -> list[Bar]:
    """Joint CTC and attention, beam 10."""
    candidates: dict[str, Candidate] = {ESPNET: Espnet.of(shape.model, 10, weight)}
    candidates |= {bundle_name(bits): Bundle.of(shape.bundles[bits], shape.threads, weight) for bits in (32, 8)}
    timed = time_interleaved(candidates, [make_waveform(length.seconds)], length.tokens, repeats, shape.rng)
    same = compare_ids(timed, ESPNET, (0, shape.model.eos))
    title = f"joint CTC (weight {weight}), {length.seconds} s, {length.tokens} tokens, beam 10, {shape.threads} threads, {repeats} rounds"
    print_timings(title, timed, ESPNET, same)
    fp32 = bundle_name(32)
    faster = ratio(timed[ESPNET].samples["total_ms"], timed[fp32].samples["total_ms"])
    bars = [
        Bar(f"joint CTC, {length.seconds} s: fp32 bundle against ESPnet ({same[fp32]} tokens)", faster, 5),
        Bar("joint CTC: fp32 tokens identical to ESPnet's (1 = yes)", float(same[fp32] == "identical"), 1.0, unit=""),
    ]
    print_bars("bars of joint decoding", bars)
    return bars


class _TimedSteps:
    """A decoder that notes when its steps begin."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.began: list[float] = []

    def start(self) -> None:
        self._decoder.start()

    def step(self, *arguments: Any) -> Any:
        self.began.append(time.perf_counter())
        return self._decoder.step(*arguments)

    def log_probs_of(self, token: int) -> Any:
        return self._decoder.log_probs_of(token)


def time_steps(bundle: Bundle, waveform: Any, tokens: int) -> NDArray[np.float64]:
    """Milliseconds [tokens] of every step of one search, all of it from one step's beginning to the next one's."""
    translator = bundle.translator
    assert translator.decoder is not None
    translator.translate(waveform, fixed_tokens=2)  # the memory stays with the decoder
    steps = _TimedSteps(translator.decoder)
    beam_search_fixed(steps, tokens, translator.settings)
    return 1000.0 * np.diff([*steps.began, time.perf_counter()])


def run_steps(shape: Shape, length: Length, repeats: int) -> list[Bar]:
    """The last step against the first (one hypothesis) and the second (a full beam)."""
    waveform, bars = make_waveform(length.seconds), []
    print(f"\none step of {length.seconds} s of audio, beam 10, {repeats} searches (medians)")
    found: dict[int, list[NDArray[np.float64]]] = {bits: [] for bits in (32, 8)}
    for _ in range(repeats):
        for bits, samples in found.items():
            settle()
            samples.append(time_steps(shape.opened[bits].with_beam(10), waveform, length.tokens))
    for bits, samples in found.items():
        steps = np.stack(samples)
        first, second, last = (steps[None, :, place] for place in (0, 1, -1))
        places = zip((1, 2, length.tokens), (first, second, last), strict=True)
        print(f"  {bundle_name(bits):16s} " + ", ".join(f"token {place} {np.median(samples):.2f} ms" for place, samples in places))
        what = f"{bundle_name(bits)}: step at token {length.tokens} to token"
        bars.append(Bar(f"{what} 1 (one hypothesis)", ratio(last, first), 2.0, at_least=False))
        bars.append(Bar(f"{what} 2 (the first full beam)", ratio(last, second), 2.0, at_least=False))
    print_bars("bars of steps", bars)
    return bars
