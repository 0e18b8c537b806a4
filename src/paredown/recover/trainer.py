"""The trainer: joint loss, SpecAugment, AdamW under a warm-up/stable/decay schedule, an average of the weights, resumable to the bit.

Resuming replays nothing: weights, optimizer, average, random state and the stream's position are saved together, written atomically.
The schedule is not saved: a run may be resumed with another end.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from paredown.models.network import Network
from paredown.recover.average import Average
from paredown.recover.batch import Batch, Position
from paredown.recover.checkpoint import restore_run, save_run
from paredown.recover.cpu_layers import speed_up
from paredown.recover.dropout import POOL_VALUES
from paredown.recover.loss import JointLoss, LossWeights, joint_loss
from paredown.recover.masking import Masking, mask_features
from paredown.recover.run import Run
from paredown.recover.schedule import Schedule

BatchSource = Callable[[Position], Iterator[Batch]]
BeforeStep = Callable[[int], None]


@dataclass(frozen=True)
class TrainSettings:
    """How to train; `weight_decay` acts on matrices only, `autocast` computes in bfloat16, `masking` None leaves features whole."""

    schedule: Schedule
    weights: LossWeights
    sos: int
    masking: Masking | None = field(default_factory=Masking)
    weight_decay: float = 0.01
    clip_norm: float = 5.0
    average_decay: float = 0.999
    autocast: bool = True
    seed: int = 0
    log_every_steps: int = 50
    save_every_s: float = 180.0
    dropout_pool_values: int = POOL_VALUES


def train(
    network: Network,
    batches: BatchSource,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    before_step: BeforeStep | None = None,
) -> Run:
    """Trains the network in place to the schedule's end, checkpoints in `folder`; `batches(position)` continues the stream there.

    `before_step(step)` may change the network before each step (widths of a supernet); what it does must hang on the step alone.
    Raises ValueError if the loss stops being finite. The averaged weights are `run.average.state`.
    """
    torch.manual_seed(settings.seed)
    device = prepare_network(network, settings.seed, settings.dropout_pool_values)
    run = Run(network, _make_optimizer(network, settings), Average(network, settings.average_decay))
    if resume:
        restore_run(run, folder)
    log, saved_s = _Log(folder / "log.jsonl", settings.log_every_steps), time.monotonic()
    for batch in batches(run.position):
        if run.step >= settings.schedule.total_steps:
            break
        if before_step is not None:
            before_step(run.step)
        loss = _train_step(run, batch.to(device), settings)
        log.add(run.step, settings.schedule.rate(run.step - 1), loss, batch.audio_s)
        if time.monotonic() - saved_s >= settings.save_every_s:
            save_run(run, folder)
            saved_s = time.monotonic()
    save_run(run, folder)
    return run


def prepare_network(network: Network, seed: int, pool_values: int = POOL_VALUES) -> torch.device:
    """Training mode and, on a CPU, the faster forms of the layers; gives the device."""
    network.train()
    device = next(network.parameters()).device
    if device.type == "cpu":
        speed_up(network, seed, pool_values)
    return device


def _make_optimizer(network: Network, settings: TrainSettings) -> torch.optim.AdamW:
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.schedule.peak_rate, betas=(0.9, 0.98), fused=True)


def _train_step(run: Run, batch: Batch, settings: TrainSettings) -> JointLoss:
    """One update; the run's step and position then name the next."""
    network = run.network
    with torch.no_grad():
        features = network.normalized(batch.features, batch.frames)
        if settings.masking is not None:
            features = mask_features(features, batch.frames, settings.masking)
    with torch.autocast(features.device.type, torch.bfloat16, enabled=settings.autocast):
        loss = joint_loss(network, features, batch, settings.weights, settings.sos)
    if not torch.isfinite(loss.total):
        raise ValueError(f"the loss must be finite, got {float(loss.total.detach())} at step {run.step}")
    for group in run.optimizer.param_groups:
        group["lr"] = settings.schedule.rate(run.step)
    run.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss.total)
    torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    run.optimizer.step()
    run.average.update(network, run.step)
    run.step += 1
    run.position = batch.position
    return loss


class _Log:
    """One JSON line of means each `every` steps, appended to a file and printed."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._start_s = time.monotonic()
        self._reset()

    def _reset(self) -> None:
        self._losses: list[JointLoss] = []
        self._audio_s, self._since_s = 0.0, time.monotonic()

    def add(self, step: int, rate: float, loss: JointLoss, audio_s: float) -> None:
        self._losses.append(loss)
        self._audio_s += audio_s
        if step % self.every == 0:
            self._write(step, rate)
            self._reset()

    def _write(self, step: int, rate: float) -> None:
        now_s, count = time.monotonic(), len(self._losses)
        line = {
            "step": step,
            "loss_attention": round(sum(loss.attention for loss in self._losses) / count, 3),
            "loss_ctc": round(sum(loss.ctc for loss in self._losses) / count, 3),
            "accuracy": round(sum(loss.accuracy for loss in self._losses) / count, 4),
            "audio_s_per_s": round(self._audio_s / (now_s - self._since_s), 1),
            "rate": rate,
            "wall_s": round(now_s - self._start_s, 1),
        }
        print(json.dumps(line), flush=True)
        with open(self.path, "a") as stream:
            stream.write(json.dumps(line) + "\n")
