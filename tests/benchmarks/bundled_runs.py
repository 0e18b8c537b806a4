"""The bundled model on utterances of its test split, decoded until it ends by itself."""

from pathlib import Path

import numpy as np

from paredown.data import open_data
from paredown.models import load_model
from paredown.runtime.audio import read_audio
from tests.benchmarks.bars import compare_ids, print_timings
from tests.benchmarks.interleave import ratio, time_interleaved
from tests.benchmarks.shape_runs import CACHED, ESPNET, Shape

NAME = "bundled:tatoeba-en-de"


def run_bundled(folder: Path, threads: int, utterances: int | None, repeats: int, seed: int = 0) -> None:
    """All candidates on the same `utterances`, drawn with a seed (None: all of the split)."""
    model = load_model(NAME)
    shape = Shape.of(model, folder, threads)
    split = open_data(f"{NAME}/test").utterances
    count = len(split) if utterances is None else min(utterances, len(split))
    chosen = np.sort(np.random.default_rng(seed).choice(len(split), count, replace=False)).tolist()
    waveforms = [read_audio(split[index].audio, model.frontend.sample_rate_hz) for index in chosen]
    timed = time_interleaved(shape.candidates(10), waveforms, None, repeats, shape.rng)
    title = f"bundled model, {count} utterances of its test split, beam 10, {threads} threads, {repeats} rounds (medians over utterances)"
    print_timings(title, timed, ESPNET, compare_ids(timed, ESPNET, (0, model.eos)))
    print(f"  {CACHED} / this")
    for name, found in timed.items():
        if name.startswith("bundle"):
            print(f"    {name:26s} {ratio(timed[CACHED].samples['total_ms'], found.samples['total_ms'])}")
