"""Load time and peak memory of one runtime in a process of its own.

`python -m tests.benchmarks.fresh_process KIND PATH THREADS SECONDS TOKENS` prints JSON. KIND is espnet, qint8, float16, cached (PATH: a
checkpoint) or bundle. Memory is everything of the process, its libraries too.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("espnet", "qint8", "float16", "cached", "bundle")


@dataclass(frozen=True)
class Footprint:
    """`load_ms` without imports; `imported_mb` behind them, `peak_mb` at most while loading and decoding; bytes of the files or weights."""

    load_ms: float
    imported_mb: float
    peak_mb: float
    size_bytes: int


def measure_footprint(kind: str, path: Path, threads: int, seconds: float, tokens: int) -> Footprint:
    """Start a process, load, decode once, and read what it took. Raises RuntimeError, with what the process said last, if it fails."""
    command = [sys.executable, "-m", "tests.benchmarks.fresh_process", kind, str(path), str(threads), str(seconds), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "no output").splitlines()[-1])
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def read_peak_mb() -> float:
    """The largest resident memory of this process so far. Not ru_maxrss: that counts the parent's memory up to exec."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


def _load_bundle(path: Path, threads: int) -> tuple[Any, int]:
    from paredown.runtime import Translator

    translator = Translator.from_bundle(path, threads=threads, beam_size=10, ctc_weight=0.0)
    return (lambda waveform, tokens: translator.translate(waveform, fixed_tokens=tokens)), _folder_bytes(path)


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


def _import_all(kind: str) -> None:
    """Everything that loading would import, so that it is not counted as loading."""
    if kind == "bundle":
        pass
    else:
        import tests.benchmarks.candidates  # noqa: F401


def main() -> None:
    """Load, decode, print."""
    kind, path, threads, seconds, tokens = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    import numpy as np

    _import_all(kind)
    waveform = np.random.default_rng(0).normal(0.0, 0.1, round(seconds * 16_000)).astype(np.float32)
    imported_mb = read_peak_mb()
    began = time.perf_counter()
    decode, size_bytes = _load_bundle(path, threads) if kind == "bundle" else _load_checkpoint(kind, path, threads)
    load_ms = 1000.0 * (time.perf_counter() - began)
    decode(waveform, tokens)
    print(json.dumps({"load_ms": load_ms, "imported_mb": imported_mb, "peak_mb": read_peak_mb(), "size_bytes": size_bytes}))


if __name__ == "__main__":
    main()
