"""Bundles against ESPnet's own encoder and beam search: one utterance at a time, beam 10, interleaved in random order.

ESPnet caches layer outputs and projects the memory anew at every step, so it is what users have today, not the best that torch could do.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from paredown.bundle import write_bundle
from paredown.commands.bundles import configured
from paredown.compress.network import compress_model
from paredown.data import open_data
from paredown.models import load_model
from paredown.profilers.latency import Effort, Latency, measure_latency
from paredown.runtime import Translator
from paredown.runtime.audio import read_audio
from tests.benchmarks.espnet_search import EspnetTranslator

MODEL = "bundled:tatoeba-en-de"


def measure(utterances: int, repeats: int, threads: int) -> dict[str, Latency]:
    """Latency of ESPnet (fp32, torch) and of the fp32 and int8 bundles on utterances of the search split."""
    torch.set_num_threads(threads)
    model = load_model(MODEL)
    rate_hz = model.frontend.sample_rate_hz
    waveforms = [read_audio(utterance.audio, rate_hz) for utterance in open_data(f"{MODEL}/search").first(utterances).utterances]
    espnet = EspnetTranslator.of(model)
    with tempfile.TemporaryDirectory() as folder:
        runs = {"espnet": lambda item: len(espnet.ids(waveforms[item]))}
        for name, bits in (("fp32 bundle", 32), ("int8 bundle", 8)):
            bundle = write_bundle(model, compress_model(model, configured(model, bits)), Path(folder) / str(bits))
            translator = Translator.from_bundle(bundle, threads=threads)
            runs[name] = lambda item, translator=translator: len(translator.translate(waveforms[item]).ids)  # type: ignore[misc]
        return measure_latency(runs, "espnet", len(waveforms), Effort(repeats, warmup=2), np.random.default_rng(0))


def main() -> None:
    """Print the medians, and the ratio of each to ESPnet with its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options, _ = parser.parse_known_args()
    for name, latency in measure(options.utterances, options.repeats, options.threads).items():
        timing = latency.free
        low, high = timing.ratio_ci95
        print(f"{name:12s} {timing.median_ms:8.1f} ms   {timing.ratio:.3f} of espnet [{low:.3f}, {high:.3f}]   {timing.tokens:.1f} tokens")


if __name__ == "__main__":
    main()
