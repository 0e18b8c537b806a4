"""The trainer: joint loss, SpecAugment, AdamW under a warm-up/stable/decay schedule, an average of the weights, resumable to the bit.

Resuming replays nothing: weights, optimizer, average, random state, the stream's position and the seconds used are saved together, written
atomically. The schedule is not saved: a run may be resumed with another end. With frozen parameters only what trains is saved.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from paredown.models.network import Network
from paredown.recover.average import Average
from paredown.recover.batch import Batch, Position
from paredown.recover.checkpoint import restore_run, save_run
from paredown.recover.cpu_layers import speed_up
from paredown.recover.dropout import POOL_VALUES
from paredown.recover.loss import JointLoss, LossWeights, joint_loss
from paredown.recover.masking import Masking, mask_features
from paredown.recover.precision import has_bfloat16
from paredown.recover.run import LossPoint, Run
from paredown.recover.schedule import Schedule, TimedSchedule
from paredown.recover.state import trained_names

BatchSource = Callable[[Position], Iterator[Batch]]
StepHook = Callable[[int], None]


@dataclass(frozen=True)
class TrainSettings:
    """How to train; `weight_decay` acts on matrices only, `masking` None leaves features whole, `average_decay` 0 takes no average.

    `autocast`: products in bfloat16 where the hardware has it. `teacher`: share of the decoder's loss that follows the batches' teacher.
    `freeze_statistics`: batch norms normalise by the statistics they came with, in training too. `announce` prints the log.
    """

    schedule: Schedule | TimedSchedule
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
    teacher: float = 0.0
    freeze_statistics: bool = False
    announce: bool = True


@dataclass(frozen=True)
class Hooks:
    """What may change the network before each step (widths of a supernet) and after it (zeros that stay zeros).

    What they do must hang on the step's number alone, or resumed runs would differ.
    """

    before_step: StepHook | None = None
    after_step: StepHook | None = None


def train(
    network: Network,
    batches: BatchSource,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    before_step: StepHook | None = None,
    after_step: StepHook | None = None,
) -> Run:
    """Trains in place, to the schedule's end, the parameters that require gradients; `batches(position)` continues the stream there.

    Checkpoints lie in `folder`. Raises ValueError if the loss stops being finite. The averaged weights are `run.average.state`.
    """
    torch.manual_seed(settings.seed)
    device = prepare_network(network, settings.seed, settings.dropout_pool_values)
    if settings.freeze_statistics:
        freeze_statistics(network)
    names = trained_names(network)
    run = Run(network, _make_optimizer(network, settings), Average(network, settings.average_decay, names), names=names)
    if resume:
        restore_run(run, folder)
    log, hooks = _Log(folder / "log.jsonl", settings.log_every_steps, settings.announce), Hooks(before_step, after_step)
    started_s = saved_s = time.monotonic() - run.seconds
    saved_s += run.seconds
    stream = iter(()) if settings.schedule.is_over(run.step, run.seconds) else batches(run.position)
    while not settings.schedule.is_over(run.step, time.monotonic() - started_s):
        batch = next(stream, None)
        if batch is None:
            break
        rate = settings.schedule.rate(run.step, time.monotonic() - started_s)
        loss = _train_step(run, batch.to(device), settings, rate, hooks)
        run.seconds = time.monotonic() - started_s
        log.add(run, rate, loss, batch.audio_s)
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


def freeze_statistics(network: torch.nn.Module) -> None:
    """Puts batch norms into evaluation: their weights still train."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def _trained(network: torch.nn.Module) -> list[Tensor]:
    return [p for p in network.parameters() if p.requires_grad]


def _make_optimizer(network: Network, settings: TrainSettings) -> torch.optim.AdamW:
    parameters = _trained(network)
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.schedule.peak_rate, betas=(0.9, 0.98), fused=True)


def _train_step(run: Run, batch: Batch, settings: TrainSettings, rate: float, hooks: Hooks) -> JointLoss:
    """One update; the run's step and position then name the next."""
    network, step = run.network, run.step
    if hooks.before_step is not None:
        hooks.before_step(step)
    with torch.no_grad():
        features = network.normalized(batch.features, batch.frames)
        if settings.masking is not None:
            features = mask_features(features, batch.frames, settings.masking)
    with torch.autocast(features.device.type, torch.bfloat16, enabled=settings.autocast and has_bfloat16(features.device)):
        loss = joint_loss(network, features, batch, settings.weights, settings.sos, settings.teacher)
    if not torch.isfinite(loss.total):
        raise ValueError(f"the loss must be finite, got {float(loss.total.detach())} at step {step}")
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss.total)
    torch.nn.utils.clip_grad_norm_(_trained(network), settings.clip_norm)
    run.optimizer.step()
    if hooks.after_step is not None:
        hooks.after_step(step)
    run.average.update(network, step)
    run.step += 1
    run.position = batch.position
    return loss


class _Log:
    """One JSON line of means each `every` steps, appended to a file and, if announced, printed; and a point of the run's curve."""

    def __init__(self, path: Path, every: int, announce: bool) -> None:
        self.path, self.every, self.announce = path, every, announce
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._start_s = time.monotonic()
        self._reset()

    def _reset(self) -> None:
        self._losses: list[JointLoss] = []
        self._audio_s, self._since_s = 0.0, time.monotonic()

    def add(self, run: Run, rate: float, loss: JointLoss, audio_s: float) -> None:
        self._losses.append(loss)
        self._audio_s += audio_s
        if run.step % self.every == 0:
            point = self._means(run.step)
            run.curve.append(point)
            self._write(point, rate)
            self._reset()

    def _means(self, step: int) -> LossPoint:
        count, losses = len(self._losses), self._losses
        attention, ctc = sum(loss.attention for loss in losses) / count, sum(loss.ctc for loss in losses) / count
        return LossPoint(step, round(attention, 3), round(ctc, 3), round(sum(loss.accuracy for loss in losses) / count, 4))

    def _write(self, point: LossPoint, rate: float) -> None:
        now_s = time.monotonic()
        line = {
            "step": point.step,
            "loss_attention": point.attention,
            "loss_ctc": point.ctc,
            "accuracy": point.accuracy,
            "audio_s_per_s": round(self._audio_s / (now_s - self._since_s), 1),
            "rate": rate,
            "wall_s": round(now_s - self._start_s, 1),
        }
        if self.announce:
            print(json.dumps(line), flush=True)
        with open(self.path, "a") as stream:
            stream.write(json.dumps(line) + "\n")
