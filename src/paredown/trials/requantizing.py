"""What it costs to quantize recovered weights by the configuration's own bits: the gap between base + adapter and what is shipped.

An adapter that was trained beside NF4 weights fits those weights. Merged into their dequantized values and rounded again it is another
model (errata, IWSLT 2025: either ship base + adapter, or requantize and report the gap).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from paredown.analysis.block_loss import BlockLoss
from paredown.analysis.stages import Sample
from paredown.compress.compress import CompressedModel
from paredown.compress.network import compress_model, dense_network
from paredown.data import Split
from paredown.models.frontend import LogMelFrontend
from paredown.models.input_size import resize_input
from paredown.profilers.machine_lock import machine_share
from paredown.recover.hearing import hear
from paredown.recover.spelling import output_speller
from paredown.space.configuration import Input
from paredown.trials.evaluation import spread_by_length

if TYPE_CHECKING:
    from paredown.compress.recovered import Recovered
    from paredown.models import Model

UTTERANCES = 40


@dataclass(frozen=True)
class Gap:
    """Teacher-forced loss of the decoder on references, nats an utterance, lower is better: before weights were quantized, and after."""

    before: float
    after: float
    utterances: int

    def __str__(self) -> str:
        change = self.after - self.before
        figures = f"{self.before:.2f} nats an utterance before, {self.after:.2f} after ({change:+.2f}), {self.utterances} utterances"
        return f"merged weights, quantized by the configuration: {figures}"


def requantization_gap(model: "Model", compressed: CompressedModel, recovered: "Recovered", split: Split) -> Gap:
    """The gap on some utterances of `split`, which must have references, heard as the configuration's input wants it.

    Dropped blocks and the like are the same on both sides. Raises BadInput where a reference or an audio file is missing.
    """
    heard = spread_by_length(split, UTTERANCES)
    samples = read_samples(model, compressed.configuration.input, heard)
    plain = replace(compressed.configuration, bits=(), kernels=())
    losses = []
    for each in (compress_model(model, plain, recovered=recovered), compressed):
        with machine_share():
            network = dense_network(model, each)
            loss = BlockLoss(network, "decoder", samples, model.sos)
            losses.append(loss(tuple(range(len(network.decoder.decoders)))))
    return Gap(losses[0], losses[1], len(heard))


def read_samples(model: "Model", heard: Input, split: Split) -> list[Sample]:
    """Features as `heard` has them, and the references as training spells them."""
    frontend, spell = LogMelFrontend(resize_input(model.frontend, heard)), output_speller(model)
    samples = []
    for utterance, line in zip(split.utterances, split.references(model.task), strict=True):
        with machine_share():  # milliseconds an utterance
            features, frames, _ = hear(frontend, [utterance.audio])
            samples.append(Sample(model.network.normalized(features, frames)[0].numpy(), spell(line)))
    return samples
