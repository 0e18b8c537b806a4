"""A training run on disk: one file, written beside the old one and then renamed over it."""

import os
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError

import torch

from paredown.errors import BadInput
from paredown.recover.batch import Position
from paredown.recover.run import LossPoint, Run
from paredown.recover.state import live_state

FILE = "checkpoint.pt"


def save_run(run: Run, folder: Path) -> Path:
    """Writes the run to `folder`/checkpoint.pt; a kill at any moment leaves the old file or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / FILE, folder / f"{FILE}.part"
    state = {
        "network": live_state(run.network, run.names),
        "average": run.average.state,
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "position": asdict(run.position),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "seconds": run.seconds,
        "curve": [tuple(point) for point in run.curve],
    }
    torch.save(state, part)
    os.replace(part, target)
    return target


@torch.no_grad()
def restore_run(run: Run, folder: Path) -> None:
    """Puts a saved run back in place; raises BadInput if `folder` holds none, or a damaged one."""
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"a run to resume must hold {FILE}, got {folder}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise BadInput(f"a run to resume must be as paredown wrote it, {path} is damaged: remove it to begin anew") from error
    if run.names is None:
        run.network.load_state_dict(state["network"])
    else:
        for name, value in live_state(run.network, run.names).items():
            value.copy_(state["network"][name])
    run.optimizer.load_state_dict(state["optimizer"])
    for name, value in state["average"].items():
        run.average.state[name].copy_(value)
    run.step, run.position = state["step"], Position(**state["position"])
    run.seconds = state.get("seconds", 0.0)
    run.curve = [LossPoint(*point) for point in state.get("curve", [])]
    torch.set_rng_state(state["random"])
    if torch.cuda.is_available() and len(state.get("cuda_random", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda_random"])


def load_average(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of the run in `folder`."""
    average: dict[str, torch.Tensor] = torch.load(folder / FILE, map_location="cpu", weights_only=True)["average"]
    return average
