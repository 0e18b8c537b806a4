"""A process that loads a bundle, decodes once and prints what that took: `python -m paredown.trials.fresh_process SETTINGS`.

It imports nothing but the runtime, as a program that only translates does. `paredown.trials.footprint` starts it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from paredown.errors import BadInput
from paredown.runtime import Translator


def read_peak_bytes() -> int | None:
    """The largest resident memory of this process so far, None where /proc does not tell.

    Not ru_maxrss: that counts what the parent had up to exec.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if kilobytes is None else 1024 * int(kilobytes)


def measure(bundle: str, threads: int, target: Any, audio: str | float, fixed_tokens: int, beam_size: int | None) -> dict[str, Any]:
    """Load, decode, and say what it took. `audio`: a file, or seconds of noise."""
    imported_bytes = read_peak_bytes()
    began = time.perf_counter()
    translator = Translator.from_bundle(bundle, threads=threads, target=target, beam_size=beam_size)
    load_ms = 1000.0 * (time.perf_counter() - began)
    sound = audio if isinstance(audio, str) else _noise(audio, translator.features.frontend.sample_rate_hz)
    translator.translate(sound, fixed_tokens=fixed_tokens)
    return {"load_ms": load_ms, "imported_bytes": imported_bytes, "peak_rss_bytes": read_peak_bytes()}


def _noise(seconds: float, rate_hz: int) -> Any:
    return np.random.default_rng(0).standard_normal(round(seconds * rate_hz), dtype=np.float32) * np.float32(0.1)


def main() -> int:
    """0; or 2, with one line, for a bundle or audio that is refused."""
    try:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
