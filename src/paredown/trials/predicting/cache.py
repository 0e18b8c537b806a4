"""Makes a target's latency predictor for a model, and keeps it in the user's cache: it takes about a minute, and every study needs one."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.bundle.graphs.architecture import read_architecture
from paredown.runtime.seal import canonical_json
from paredown.space.configuration import Kernel
from paredown.trials.operations import count_frames, operations_of, read_structure
from paredown.trials.predicting.latency_terms import Terms, list_terms
from paredown.trials.predicting.predictor import LatencyPredictor
from paredown.trials.predicting.probe_plan import ModelSize, ProbePlan, plan_probes
from paredown.trials.predicting.probes import configuration_of, make_random, write_random
from paredown.trials.predicting.stage_times import time_stages
from paredown.user_cache import cache_folder, unwritable

if TYPE_CHECKING:
    from paredown.models import Model

# Goes up whenever the same target and model would give other costs, or when the terms or the file change.
SCHEMA = 2
REPEATS = 10


def profile_target(
    model: "Model",
    kernels: Sequence[Kernel],
    fingerprint: str,
    threads: int = 1,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> LatencyPredictor:
    """Builds the probes, times them and fits their costs. `fingerprint`: digest of this target.

    Takes the machine-wide lock; about a minute on two cores for the bundled model and two kernels.
    """
    plan = plan_for(model, kernels)
    with tempfile.TemporaryDirectory(prefix="paredown-probes-") as folder:
        progress(f"latency predictor: {len(plan.shapes)} probes")
        bundles = {name: write_random(model, shape, seed, Path(folder), name) for name, shape in plan.shapes}
        progress(f"latency predictor: {len(plan.runs)} runs, {repeats} times")
        timed = time_stages(bundles, plan.runs, plan.reference, repeats, seed, threads)
    terms, probes = _terms_of_runs(model, plan, seed), [run.bundle for run in plan.runs]
    return LatencyPredictor.fit(terms, timed.least(), probes, fingerprint, threads, timed.typical_reference_ms)


def plan_for(model: "Model", kernels: Sequence[Kernel]) -> ProbePlan:
    """The probes around a model."""
    size, hop_samples = ModelSize.of(model.inventory()), model.frontend.hop_samples
    return plan_probes(size, read_structure(model), kernels, hop_samples, most_beams=len(model.tokens) - 1)


def _terms_of_runs(model: "Model", plan: ProbePlan, seed: int) -> list[Terms]:
    of_shape = {}
    for name, shape in plan.shapes:
        made = make_random(model, shape, seed)
        structure = read_structure(made)
        of_shape[name] = operations_of(made.inventory(), configuration_of(made, shape), structure), structure
    frames = [count_frames(model.frontend, run.samples) for run in plan.runs]
    return [list_terms(*of_shape[run.bundle], count, run.tokens, run.beam) for run, count in zip(plan.runs, frames, strict=True)]


def load_predictor(
    model: "Model",
    kernels: Sequence[Kernel],
    fingerprint: str,
    threads: int = 1,
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> LatencyPredictor:
    """The predictor of this target for models of this structure: from the cache, or made now and kept there.

    `folder` defaults to the user's cache. Raises BadInput if that cannot be written.
    """
    found = peek_predictor(model, kernels, fingerprint, threads, folder)
    if found is not None:
        return found
    path = _path(model, kernels, fingerprint, threads, folder)
    _prepare(path.parent)
    made = profile_target(model, kernels, fingerprint, threads, progress=progress)
    _write(path, made.to_json())
    return made


def peek_predictor(
    model: "Model", kernels: Sequence[Kernel], fingerprint: str, threads: int = 1, folder: Path | None = None
) -> LatencyPredictor | None:
    """The predictor where the cache has it, None where it is absent or damaged; as `load_predictor`."""
    try:
        found = LatencyPredictor.from_json(_path(model, kernels, fingerprint, threads, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if (found.fingerprint, found.threads) == (fingerprint, threads) else None


def _path(model: "Model", kernels: Sequence[Kernel], fingerprint: str, threads: int, folder: Path | None) -> Path:
    return (cache_folder() if folder is None else folder) / "latency" / f"{predictor_key(model, kernels, fingerprint, threads)}.json"


def predictor_key(model: "Model", kernels: Sequence[Kernel], fingerprint: str, threads: int) -> str:
    """SHA-256 of what determines the costs: target, threads, kernels, the model's structure and features (not its weights)."""
    inventory, frontend = model.inventory(), model.frontend
    parts = {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "threads": threads,
        "kernels": sorted(kernels),
        "architecture": asdict(read_architecture(model.config, frontend.n_mels, len(model.tokens))),
        "repeats": REPEATS,
        "layers": {layer.path: list(layer.shape) for layer in inventory.layers},
        "vectors": dict(inventory.vectors),
        "features": [frontend.sample_rate_hz, frontend.n_fft, frontend.n_mels],
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def _prepare(folder: Path) -> None:
    """Before a minute is spent in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unwritable(folder, PermissionError("no permission"))


def _write(path: Path, text: str) -> None:
    """Beside its place first, then there in one step."""
    draft = None
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        if draft is not None:
            Path(draft).unlink(missing_ok=True)
        raise unwritable(path.parent, error) from error
