"""A training stage of a schedule, run on a network: fine-tuning, distillation, quantization-aware training or adapters.

What all kinds share is the trainer; a kind only says what stands around it. Batch norms keep the statistics they came with (their weights
train), so that a bundle made of the trained parameters needs nothing else. Zeros of pruning stay zeros.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from paredown.models.network import Network
from paredown.recover.borrowed import borrowed, without_dropout
from paredown.recover.checkpoint import FILE
from paredown.recover.dropout import POOL_VALUES
from paredown.recover.loss import LossWeights
from paredown.recover.masking import Masking
from paredown.recover.qat import Granularity, LearnedSteps, quantized
from paredown.recover.run import LossPoint, Run
from paredown.recover.schedule import Schedule, TimedSchedule
from paredown.recover.semi_orthogonal import SemiOrthogonal, constrained_factors
from paredown.recover.trainer import BatchSource, StepHook, TrainSettings, train
from paredown.recover.zeros import Zeros
from paredown.space.training import ADAPTERS, Training

if TYPE_CHECKING:
    from paredown.recover.adapters import AdapterReport

ABOUT = "stage.json"


@dataclass(frozen=True)
class StageOptions:
    """What does not belong to a stage's value. `average_decay` above 0 hands over the average of the weights instead of the last ones."""

    average_decay: float = 0.0
    save_every_s: float = 60.0
    log_every_steps: int = 10
    dropout_pool_values: int = POOL_VALUES
    announce: bool = False


@dataclass(frozen=True, eq=False)
class StageResult:
    """What a stage leaves beside the weights. `steps`: learned step sizes, float32 [channels] or [1], by module path (kind "qat" alone).

    `seconds` counts the time before an interruption too; `curve` the loss on the way; `adapters` is the report of "lora" and "qlora".
    """

    kind: str
    steps_done: int
    seconds: float
    curve: tuple[LossPoint, ...] = ()
    steps: Mapping[str, Tensor] = field(default_factory=dict)
    adapters: "AdapterReport | None" = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; the step sizes are left out."""
        told = {"kind": self.kind, "steps_done": self.steps_done, "seconds": round(self.seconds, 1)}
        told["curve"] = [point._asdict() for point in self.curve]
        return told if self.adapters is None else {**told, "adapters": self.adapters.to_dict()}


def train_stage(
    network: Network,
    stage: Training,
    batches: BatchSource,
    weights: LossWeights,
    sos: int,
    folder: Path,
    *,
    bits: Mapping[str, int] | None = None,
    granularity: Granularity = "channel",
    masks: Mapping[str, Tensor] | None = None,
    steps: Mapping[str, Tensor] | None = None,
    resume: bool = True,
    options: StageOptions | None = None,
) -> StageResult:
    """Trains the network in place; it has its own modules and plain float32 weights again afterwards.

    `bits` (for "qat") and `steps` (to begin with, else those of least squared error) go by module path, `masks` by parameter name, True
    where a weight survives. `folder` holds the checkpoint: with `resume` a run that is there goes on, with the same weights in the end
    as if it had never stopped; a finished one is only read. Raises ValueError for what does not fit the network, for a folder of
    another stage, and if the loss stops being finite; BadInput where adapters lack their libraries.
    """
    settings = _settings(stage, weights, sos, options or StageOptions())
    coded = {"bits": dict(bits or {}), "granularity": granularity} if stage.kind == "qat" else {"bits": {}, "granularity": "channel"}
    about = {"stage": stage.to_dict(), **coded}
    resume = _claim(folder, about, resume)
    zeros = Zeros(network, masks or {})
    with ExitStack() as around:
        if not stage.dropout:
            around.enter_context(without_dropout(network))
        if stage.kind in ADAPTERS:
            return _train_adapters(network, stage, partial(_train_borrowed, batches, settings, folder, resume), masks)
        around.enter_context(borrowed(network))
        network.requires_grad_(True)
        around.enter_context(zeros.in_gradients())
        before = _constraint(network, stage.semi_orthogonal, zeros)
        learned = around.enter_context(quantized(network, bits or {}, granularity, steps)) if stage.kind == "qat" else {}
        run = train(network, batches, settings, folder, resume=resume, before_step=before, after_step=zeros.apply)
        run.average.hand_over(network)
        return _result(stage, run, learned)


def _settings(stage: Training, weights: LossWeights, sos: int, options: StageOptions) -> TrainSettings:
    schedule: Schedule | TimedSchedule
    if stage.steps is not None:
        schedule = Schedule(stage.steps, round(stage.cooldown * stage.steps), stage.warmup_steps, stage.rate)
    else:
        assert stage.minutes is not None
        schedule = TimedSchedule(60.0 * stage.minutes, stage.cooldown, stage.warmup_steps, stage.rate)
    return TrainSettings(
        schedule,
        weights,
        sos,
        masking=Masking() if stage.masking else None,
        weight_decay=stage.weight_decay,
        average_decay=options.average_decay,
        seed=stage.seed,
        log_every_steps=options.log_every_steps,
        save_every_s=options.save_every_s,
        dropout_pool_values=options.dropout_pool_values,
        teacher=stage.teacher,
        freeze_statistics=True,
        announce=options.announce,
    )


def _claim(folder: Path, about: Mapping[str, Any], resume: bool) -> bool:
    """Says in the folder what trains there; whether there is a run to go on with."""
    folder.mkdir(parents=True, exist_ok=True)
    text, path = json.dumps(about, indent=1, sort_keys=True) + "\n", folder / ABOUT
    if resume and path.exists() and (folder / FILE).exists():
        if path.read_text(encoding="utf-8") != text:
            raise ValueError(f"a folder must hold runs of one training stage, got another one's in {folder}")
        return True
    for name in (FILE, "log.jsonl"):
        (folder / name).unlink(missing_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return False


def _constraint(network: Network, pattern: str | None, zeros: Zeros) -> StepHook | None:
    """What keeps factors semi-orthogonal, pruned weights excepted."""
    if pattern is None:
        return None
    factors = constrained_factors(network, pattern)
    if not factors:
        raise ValueError(f"semi-orthogonal updates ({pattern}) need factorized feed-forwards, the network has none that they constrain")
    constrain = SemiOrthogonal(factors)

    def before_step(step: int) -> None:
        constrain(step)
        zeros.apply(step)

    return before_step


def _train_borrowed(batches: BatchSource, settings: TrainSettings, folder: Path, resume: bool, network: Network) -> Run:
    """What requires gradients trains; the network has its own modules again afterwards."""
    with borrowed(network):
        run = train(network, batches, settings, folder, resume=resume)
        run.average.hand_over(network)
        return run


def _train_adapters(
    network: Network, stage: Training, train_borrowed: Callable[[Network], Run], masks: Mapping[str, Tensor] | None
) -> StageResult:
    """Adapters beside the frozen weights, merged into them at the end."""
    from paredown.recover.adapters import train_adapters

    runs: list[Run] = []
    report = train_adapters(network, stage, lambda adapted: runs.append(train_borrowed(adapted)), masks=masks)
    network.train(network.training)  # merged layers are new ones
    return _result(stage, runs[0], {}, report)


def _result(stage: Training, run: Run, learned: Mapping[str, LearnedSteps], adapters: "AdapterReport | None" = None) -> StageResult:
    steps = {path: layer.steps().cpu() for path, layer in learned.items()}
    return StageResult(stage.kind, run.step, run.seconds, tuple(run.curve), steps, adapters)
