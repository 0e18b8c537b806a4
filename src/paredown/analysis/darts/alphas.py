"""Architecture weights: one alpha for every candidate of every layer, learnt by gradient while the network's own weights stay as they are.

    lambda = softmax((log alpha + G) / T)        G = -log(-log U), a sample for every utterance        Eq. 3 as corrected
    loss   = divergence + eta * sum over layers and candidates of lambda C                             Eq. 4 as corrected

C in millions of parameters, the divergence in nats a position (see `lessons.py`): eta is the price, in nats, of a million parameters.
T falls geometrically. "plain" is lambda = softmax(log alpha), for comparison (systems 10 to 12 of Table 1).
Source: lossless 4-bit Conformer, 3.1 and 3.2, the second stage of its pipeline.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from paredown.analysis.darts.candidates import Choice
from paredown.analysis.darts.lessons import Lesson, divergence_of
from paredown.analysis.darts.soft import SoftLayer
from paredown.models.network import Network

Softmax = Literal["gumbel", "plain"]


@dataclass(frozen=True)
class SearchSettings:
    """How alphas are learnt: `steps` of at most `batch_frames` frames, Adam's `rate` on log alpha, temperature from `hot` to `cold`."""

    softmax: Softmax = "gumbel"
    steps: int = 96
    rate: float = 0.1
    hot: float = 1.0
    cold: float = 0.1
    batch_frames: int = 3_000
    autocast: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.softmax not in ("gumbel", "plain"):
            raise ValueError(f"softmax must be gumbel or plain, got {self.softmax!r}")
        if self.steps < 1 or not self.rate > 0 or self.batch_frames < 1:
            raise ValueError(f"steps, rate and batch frames must be above 0, got {self}")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"the temperature must fall and stay above 0, got {self.hot} to {self.cold}")


def learn_alphas(
    network: Network,
    layers: Sequence[SoftLayer],
    lessons: Sequence[Lesson],
    eta: float,
    settings: SearchSettings,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[Tensor, ...]:
    """log alpha [candidates] of every layer in the end; in the beginning all candidates are alike. Each step is inside a `unit()`."""
    logs = [torch.zeros(len(layer.choice.candidates), requires_grad=True) for layer in layers]
    prices = [torch.tensor(layer.choice.millions) for layer in layers]
    optimizer = torch.optim.Adam(logs, lr=settings.rate)
    random = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        if step % len(lessons) == 0:
            order = torch.randperm(len(lessons), generator=random).tolist()
        lesson = lessons[order[step % len(lessons)]]
        with unit():
            temperature = settings.hot * (settings.cold / settings.hot) ** (step / max(1, settings.steps - 1))
            weights = [relax(values, settings.softmax, temperature, len(lesson.frames), random) for values in logs]
            for layer, mixed in zip(layers, weights, strict=True):
                layer.weigh(mixed)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.autocast):
                divergence = divergence_of(network, lesson)
            penalty = torch.stack([(mixed @ price).mean() for mixed, price in zip(weights, prices, strict=True)]).sum()
            optimizer.zero_grad()
            torch.autograd.backward(divergence + eta * penalty, inputs=logs)
            optimizer.step()
    return tuple(values.detach() for values in logs)


def relax(logs: Tensor, softmax: Softmax, temperature: float, utterances: int, random: torch.Generator) -> Tensor:
    """lambda [utterances, candidates] for log alpha [candidates]: a sample each, or the plain softmax for all."""
    if softmax == "plain":
        return torch.softmax(logs, dim=-1).expand(utterances, -1)
    uniform = torch.rand(utterances, len(logs), generator=random).clamp_(1e-20, 1.0 - 1e-7)
    return torch.softmax((logs - torch.log(-torch.log(uniform))) / temperature, dim=-1)


def pick_sizes(choices: Sequence[Choice], logs: Sequence[Tensor]) -> tuple[int, ...]:
    """The candidate of the largest alpha in every layer; of equal ones the smaller."""
    return tuple(choice.candidates[int(np.argmax(values.numpy()))] for choice, values in zip(choices, logs, strict=True))
