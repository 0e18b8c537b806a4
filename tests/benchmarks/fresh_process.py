"""Load time and peak memory of a runtime in torch in a process of its own, beside bundles, which the product measures itself.

`python -m tests.benchmarks.fresh_process KIND PATH THREADS SECONDS TOKENS` prints JSON. KIND is espnet, qint8, float16 or cached, PATH a
checkpoint. Memory is everything of the process, its libraries too.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from paredown.profilers.footprint import FreshRun, run_fresh
from paredown.profilers.size import measure_size
from paredown.trials.footprint import measure_footprint as measure_bundle
from paredown.trials.fresh_process import read_peak_bytes

KINDS = ("espnet", "qint8", "float16", "cached", "bundle")
BUNDLE_PROCESSES = 3


@dataclass(frozen=True)
class Footprint:
    """`load_ms` without imports; `imported_mb` behind them, `peak_mb` at most while loading and decoding; bytes of the files or weights."""

    load_ms: float
    imported_mb: float
    peak_mb: float
    size_bytes: int

    @classmethod
    def of(cls, load_ms: float, imported_bytes: int | None, peak_bytes: int | None, size_bytes: int) -> Self:
        if imported_bytes is None or peak_bytes is None:
            raise RuntimeError("memory is read from /proc/self/status, which this system does not have")
        return cls(load_ms, imported_bytes / 1e6, peak_bytes / 1e6, size_bytes)


def measure_footprint(kind: str, path: Path, threads: int, seconds: float, tokens: int) -> Footprint:
    """Start a process, load, decode once, and read what it took; of a bundle the median load of a few processes.

    Raises RuntimeError, or BadInput for a bundle that is refused, with what the process said last.
    """
    if kind == "bundle":
        found = measure_bundle(path, threads, audio=seconds, fixed_tokens=tokens, repeats=BUNDLE_PROCESSES)
        return Footprint.of(found.load_median_ms, found.imported_bytes, found.peak_rss_bytes, measure_size(path).size_bytes)
    command = [sys.executable, "-m", "tests.benchmarks.fresh_process", kind, str(path), str(threads), str(seconds), str(tokens)]
    told = run_fresh(command, os.environ)
    run = FreshRun.of(told)
    return Footprint.of(run.load_ms, run.imported_bytes, run.peak_rss_bytes, told["size_bytes"])


def _load_checkpoint(kind: str, path: Path, threads: int) -> tuple[Any, int]:
    import io

    import torch

    from paredown.models import load_model
    from tests.benchmarks.candidates import Cached, Espnet
    from tests.benchmarks.espnet_search import quantize_linear
    from tests.benchmarks.torch_cached import CachedTranslator

    torch.set_num_threads(threads)
    model = load_model(path)
    if kind == "cached":
        return Cached(CachedTranslator.of(model)).decode, _folder_bytes(path)
    if kind == "espnet":
        return Espnet.of(model, 10).decode, _folder_bytes(path)
    model = quantize_linear(model, getattr(torch, kind))
    weights = io.BytesIO()
    torch.save(model.network.state_dict(), weights)
    return Espnet.of(model, 10).decode, len(weights.getvalue())


def _folder_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def main() -> None:
    """Load, decode, print."""
    kind, path, threads, seconds, tokens = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    import numpy as np

    import tests.benchmarks.candidates  # noqa: F401  # everything that loading would import, so that it is not counted as loading

    waveform = np.random.default_rng(0).normal(0.0, 0.1, round(seconds * 16_000)).astype(np.float32)
    imported_bytes = read_peak_bytes()
    began = time.perf_counter()
    decode, size_bytes = _load_checkpoint(kind, path, threads)
    load_ms = 1000.0 * (time.perf_counter() - began)
    decode(waveform, tokens)
    print(json.dumps({"load_ms": load_ms, "imported_bytes": imported_bytes, "peak_rss_bytes": read_peak_bytes(), "size_bytes": size_bytes}))


if __name__ == "__main__":
    main()
