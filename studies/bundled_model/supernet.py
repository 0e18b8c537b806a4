"""Trains the supernet of the bundled model: `python -m studies.bundled_model.supernet --total-steps N [--resume] [--export]`.

The bundled model, its hidden units in the order of their importance on *analysis*, trained on *train* at random widths. The run lies in
`cache/supernet/`; at its end (or with `--export` alone, from what a run has saved so far) the averaged weights go into the package as
`bundled:tatoeba-en-de-supernet`. A model folder with `supernet.json` in it is a supernet.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from paredown.analysis.darts.candidates import width_candidates
from paredown.analysis.darts.importance import HeardUnits, order_units
from paredown.data.bundled import bundled_folder, open_data
from paredown.models.model import SUPERNET, Model, load_model
from paredown.recover.batch import Batch, Position
from paredown.recover.checkpoint import load_average
from paredown.recover.loss import read_weights
from paredown.recover.schedule import Schedule
from paredown.recover.supernet import SampledWidths, open_widths
from paredown.recover.trainer import TrainSettings, train
from paredown.runtime.audio import read_audio
from studies.bundled_model.batches import CURRICULUM_BATCHES, BatchSettings, Tokenizer, stream_batches
from studies.bundled_model.export_checkpoint import halve
from studies.bundled_model.train import CACHE

BASE = "bundled:tatoeba-en-de"
RUN = CACHE / "supernet"
TARGET = bundled_folder(BASE).with_name("tatoeba-en-de-supernet") / "model"
_SEED = 1


@torch.no_grad()
def order_by_importance(model: Model) -> None:
    """Puts the model's hidden units in the order of what they add on *analysis*, the decoder reading the references."""
    tokenizer, split = Tokenizer(CACHE / "de.model"), open_data(f"{BASE}/analysis")
    with HeardUnits(model.network, model.inventory()) as heard:
        for utterance, reference in zip(split.utterances, split.references(model.task), strict=True):
            waveform = read_audio(utterance.audio, model.frontend.sample_rate_hz)
            states = model.encode(model.features(waveform))[None]
            tokens = torch.tensor([[model.sos, *tokenizer.encode(reference)]])
            model.network.decoder(states, torch.tensor([states.shape[1]]), tokens, torch.tensor([tokens.shape[1]]))
    order_units(model.network, heard.importance())


def train_supernet(model: Model, schedule: Schedule, run: Path, resume: bool) -> None:
    """Trains to the schedule's end; utterances are of the lengths that the bundled model saw last."""
    data = BatchSettings(CACHE, model.frontend, seed=_SEED)

    def batches(position: Position) -> Iterator[Batch]:
        return stream_batches(data, replace(position, batches_before=max(position.batches_before, CURRICULUM_BATCHES)))

    layers = open_widths(model.network)
    widths = SampledWidths(layers, {path: width_candidates(layer.units) for path, layer in layers.items()}, _SEED)
    settings = TrainSettings(schedule, read_weights(model.config), sos=model.sos, seed=_SEED)
    train(model.network, batches, settings, run, resume=resume, before_step=widths)


def export(model: Model, run: Path, target: Path) -> None:
    """Writes the folder: the base model's files, the run's averaged weights, and what makes it a supernet; atomic."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(model.path, part)
    torch.save(halve(load_average(run)), part / "model.pth")
    steps = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)["step"]
    candidates = {path: width_candidates(units) for path, units in model.inventory().feed_forwards.items()}
    described = {"base": model.digest, "steps": steps, "candidates": candidates}
    (part / SUPERNET).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total-steps", type=int, help="needed unless --export")
    parser.add_argument("--cooldown-steps", type=int, help="default: three quarters of the steps")
    parser.add_argument("--warmup-steps", type=int, default=100)
    parser.add_argument("--peak-rate", type=float, default=5.0e-4)
    parser.add_argument("--threads", type=int, default=2, help="with more than one, set OMP_WAIT_POLICY=passive on a busy machine")
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export", action="store_true", help="export what the run has saved, and do not train")
    arguments = parser.parse_args()
    if arguments.total_steps is None and not arguments.export:
        parser.error("training needs --total-steps; --export alone writes what a run has saved")
    return arguments


def main() -> None:
    """Trains to the end given on the command line, then exports."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    model = load_model(BASE)
    if not arguments.export:
        steps = arguments.total_steps
        cooldown = steps * 3 // 4 if arguments.cooldown_steps is None else arguments.cooldown_steps
        order_by_importance(model)
        train_supernet(model, Schedule(steps, cooldown, arguments.warmup_steps, arguments.peak_rate), arguments.run, arguments.resume)
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    export(load_model(BASE), arguments.run, arguments.target)


if __name__ == "__main__":
    main()
