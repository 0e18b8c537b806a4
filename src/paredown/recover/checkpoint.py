"""A training run on disk: one file, written beside the old one and then renamed over it."""

import os
from dataclasses import asdict
from pathlib import Path

import torch

from paredown.errors import BadInput
from paredown.recover.batch import Position
from paredown.recover.run import Run

FILE = "checkpoint.pt"


def save_run(run: Run, folder: Path) -> Path:
    """Writes the run to `folder`/checkpoint.pt; a kill at any moment leaves the old file or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / FILE, folder / f"{FILE}.part"
    state = {
        "network": run.network.state_dict(),
        "average": run.average.state,
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "position": asdict(run.position),
        "random": torch.get_rng_state(),
    }
    torch.save(state, part)
    os.replace(part, target)
    return target


def restore_run(run: Run, folder: Path) -> None:
    """Puts a saved run back in place; raises BadInput if `folder` holds none."""
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"a run to resume must hold {FILE}, got {folder}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    run.network.load_state_dict(state["network"])
    run.optimizer.load_state_dict(state["optimizer"])
    for name, value in state["average"].items():
        run.average.state[name].copy_(value)
    run.step, run.position = state["step"], Position(**state["position"])
    torch.set_rng_state(state["random"])


def load_average(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of the run in `folder`."""
    average: dict[str, torch.Tensor] = torch.load(folder / FILE, map_location="cpu", weights_only=True)["average"]
    return average
