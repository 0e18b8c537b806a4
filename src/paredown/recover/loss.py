"""ESPnet's joint loss: label-smoothed cross entropy of the decoder, and CTC on the encoder states; the decoder may follow a teacher too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from espnet.nets.pytorch_backend.nets_utils import th_accuracy
from espnet.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos
from espnet.nets.pytorch_backend.transformer.label_smoothing_loss import LabelSmoothingLoss
from torch import Tensor

from paredown.models.network import Network, read_task
from paredown.recover.batch import PADDING, Batch
from paredown.recover.divergence import teacher_divergence
from paredown.recover.top_k import TopK


@dataclass(frozen=True)
class LossWeights:
    """Shares of the joint loss; `source_ctc` spells the source text (ST), `ctc` the output text (ST: `st_ctc`, ASR: `ctc`)."""

    attention: float
    ctc: float
    source_ctc: float
    smoothing: float

    def __post_init__(self) -> None:
        if min(self.attention, self.ctc, self.source_ctc) < 0 or not 0 <= self.smoothing < 1:
            raise ValueError(f"loss weights must be at least 0 and smoothing lie in [0, 1), got {self}")


@dataclass(frozen=True)
class JointLoss:
    """The weighted sum (what is minimised) and, for the log, its terms and the share of tokens the decoder gets right."""

    total: Tensor
    attention: float
    ctc: float
    accuracy: float


def read_weights(config: Mapping[str, Any]) -> LossWeights:
    """The weights that an ESPnet config's model_conf prescribes (espnet2/st/espnet_model.py, espnet2/asr/espnet_model.py)."""
    conf = config.get("model_conf") or {}
    smoothing = conf.get("lsm_weight", 0.0)
    if read_task(config) == "asr":
        ctc = conf.get("ctc_weight", 0.5)
        return LossWeights(1.0 - ctc, ctc, 0.0, smoothing)
    asr, translation_ctc = conf.get("asr_weight", 0.0), conf.get("st_mtlalpha", 0.0)
    share = 1.0 - asr - conf.get("mt_weight", 0.0)
    return LossWeights(share * (1.0 - translation_ctc), share * translation_ctc, asr * conf.get("mtlalpha", 0.0), smoothing)


def joint_loss(network: Network, features: Tensor, batch: Batch, weights: LossWeights, sos: int, teacher: float = 0.0) -> JointLoss:
    """The loss of normalised features [utterances, frames, mels] and the ids of the batch; sums per utterance, means over utterances.

    `teacher`: the share of the decoder's loss that is the divergence from the batch's teacher, at positions that have one.
    """
    states, steps = network.encode(features, batch.frames)
    ys_in, ys_out = add_sos_eos(batch.tokens, sos, sos, PADDING)
    logits, _ = network.decoder(states, steps, ys_in, batch.token_lengths + 1)
    attention = _attention_loss(logits.float(), ys_out, weights.smoothing, batch.teacher if teacher > 0 else None, teacher)
    total, ctc_terms = weights.attention * attention, []
    for weight, term in _ctc_terms(network, states, steps, batch, weights):
        total = total + weight * term
        ctc_terms.append(term.detach())
    accuracy = th_accuracy(logits.detach().reshape(-1, logits.size(-1)), ys_out, ignore_label=PADDING)
    ctc = float(torch.stack(ctc_terms).sum()) if ctc_terms else 0.0
    return JointLoss(total, float(attention.detach()), ctc, float(accuracy))


def _attention_loss(logits: Tensor, targets: Tensor, smoothing: float, teacher: TopK | None, share: float) -> Tensor:
    """Logits [utterances, positions, tokens], targets [utterances, positions] padded with -1."""
    smoothed = LabelSmoothingLoss(logits.size(-1), PADDING, smoothing)
    if teacher is None:
        loss: Tensor = smoothed(logits, targets)
        return loss
    heard = TopK(teacher.ids[:, : targets.size(1)], teacher.logs[:, : targets.size(1)])
    taught = (heard.ids >= 0).any(-1) & (targets != PADDING)
    divergence = teacher_divergence(logits, heard).masked_fill(~taught, 0.0).sum() / len(targets)
    loss = share * divergence + (1.0 - share) * smoothed(logits, targets.masked_fill(~taught, PADDING))
    untaught = targets.masked_fill(taught, PADDING)
    return loss + smoothed(logits, untaught) if bool((untaught != PADDING).any()) else loss


def _ctc_terms(network: Network, states: Tensor, steps: Tensor, batch: Batch, weights: LossWeights) -> list[tuple[float, Tensor]]:
    """Weight and value of every CTC that takes part; of the source's only utterances that have a source text, as a mean over all."""
    terms = []
    if weights.source_ctc > 0 and network.source_ctc is not None:
        with_text = batch.source_lengths > 0
        count = int(with_text.sum())
        if count == len(with_text):
            terms.append((weights.source_ctc, network.source_ctc(states.float(), steps, batch.source_tokens, batch.source_lengths)))
        elif count:
            rows = (states[with_text].float(), steps[with_text], batch.source_tokens[with_text], batch.source_lengths[with_text])
            terms.append((weights.source_ctc, network.source_ctc(*rows) * (count / len(with_text))))
    if weights.ctc > 0 and network.output_ctc is not None:
        terms.append((weights.ctc, network.output_ctc(states.float(), steps, batch.tokens, batch.token_lengths)))
    return terms
