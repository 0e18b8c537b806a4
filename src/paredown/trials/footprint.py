"""Footprint of a bundle: peak memory, load time and parameters, in fresh processes that import nothing but the runtime."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paredown.errors import BadInput
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.footprint import Footprint, FreshRun, run_fresh
from paredown.profilers.machine_lock import machine_lock
from paredown.profilers.size import measure_breakdown
from paredown.trials.workers import ONE_BLAS_THREAD

if TYPE_CHECKING:
    from paredown.runtime.session import Target

PROCESSES = 9
SECONDS, TOKENS = 5.0, 16


def measure_footprint(
    bundle: Path,
    threads: int = 1,
    target: "Target" = "cpu",
    audio: Path | float = SECONDS,
    fixed_tokens: int = TOKENS,
    repeats: int = PROCESSES,
    *,
    beam_size: int | None = None,
    seed: int = 0,
) -> Footprint:
    """`repeats` processes one after another, each loading `bundle` and decoding `fixed_tokens` tokens of `audio` once.

    `audio`: a file, or seconds of noise. `beam_size` None takes the bundle's. One process goes before, so that all find the files in the
    system's cache. The machine is held meanwhile. On "cuda" the memory is that of the process, not of the GPU.
    Raises BadInput for a bundle, a target or audio that is refused, and for fewer than one process.
    """
    if repeats < 1:
        raise BadInput(f"a footprint needs at least 1 process, got {repeats}")
    sound = audio if isinstance(audio, int | float) else str(audio)
    settings = {"bundle": str(bundle), "threads": threads, "target": target}
    settings |= {"audio": sound, "fixed_tokens": fixed_tokens, "beam_size": beam_size}
    sizes = measure_breakdown(bundle)
    # -P: the folder that this was started in takes no part in the imports.
    command, env = [sys.executable, "-P", "-m", "paredown.trials.fresh_process", json.dumps(settings)], os.environ | ONE_BLAS_THREAD
    with machine_lock():
        runs = [FreshRun.of(run_fresh(command, env)) for _ in range(1 + repeats)]
    parameters = {"stored": sizes.stored_parameters, "model": sizes.model_parameters}
    return Footprint.of(runs[1:], parameters, read_fingerprint(threads, target).digest, np.random.default_rng(seed))
