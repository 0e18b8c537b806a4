"""The joint loss against ESPnet's own model (ASR) and against its pieces (ST)."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from espnet.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos
from espnet.nets.pytorch_backend.transformer.label_smoothing_loss import LabelSmoothingLoss
from espnet2.asr.espnet_model import ESPnetASRModel

from paredown.models.network import Network, build_network
from paredown.recover.divergence import teacher_divergence
from paredown.recover.loss import JointLoss, LossWeights, joint_loss, read_weights
from paredown.recover.top_k import TopK
from tests.models.checkpoints import TOKENS, asr_config, st_config
from tests.recover.streams import make_batch

SOS = len(TOKENS) - 1
TOLERANCE = {"rel": 1e-5}  # float32, two orders of the same sums


def _evaluate(network: Network, config: dict[str, Any]) -> JointLoss:
    return joint_loss(network, make_batch(1).features, make_batch(1), read_weights(config), SOS)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_asr_loss_equals_espnets_model(ctc_weight: float) -> None:
    torch.manual_seed(0)
    config = asr_config(model_conf={"ctc_weight": ctc_weight, "lsm_weight": 0.1}, normalize=None)
    network, batch = build_network(config).eval(), make_batch(1)
    theirs = ESPnetASRModel(
        vocab_size=len(TOKENS),
        token_list=TOKENS,
        frontend=None,
        specaug=None,
        normalize=None,
        preencoder=None,
        encoder=network.encoder,
        postencoder=None,
        decoder=network.decoder,
        ctc=network.ctc or build_network(asr_config()).ctc,
        joint_network=None,
        ctc_weight=ctc_weight,
        lsm_weight=0.1,
        report_cer=False,
        report_wer=False,
    ).eval()
    expected, stats, _ = theirs(batch.features, batch.frames, batch.tokens.clone(), batch.token_lengths)
    found = _evaluate(network, config)
    assert found.total.item() == pytest.approx(expected.item(), **TOLERANCE)
    assert found.attention == pytest.approx(float(stats["loss_att"]), **TOLERANCE)
    assert found.accuracy == pytest.approx(float(stats["acc"]), **TOLERANCE)
    if ctc_weight:
        assert found.ctc == pytest.approx(float(stats["loss_ctc"]), **TOLERANCE)


def test_st_loss_equals_its_pieces() -> None:
    torch.manual_seed(0)
    config = st_config()
    network, batch = build_network(config).eval(), make_batch(1)
    states, steps, _ = network.encoder(batch.features, batch.frames)
    ys_in, ys_out = add_sos_eos(batch.tokens, SOS, SOS, -1)
    logits, _ = network.decoder(states, steps, ys_in, batch.token_lengths + 1)
    attention = LabelSmoothingLoss(len(TOKENS), -1, 0.1)(logits, ys_out)
    ctc = network.ctc(states, steps, batch.source_tokens, batch.source_lengths)
    found = _evaluate(network, config)
    assert found.total.item() == pytest.approx((0.7 * attention + 0.3 * ctc).item(), **TOLERANCE)
    assert (found.attention, found.ctc) == (pytest.approx(attention.item(), **TOLERANCE), pytest.approx(ctc.item(), **TOLERANCE))


def test_weights_of_an_st_config_with_both_ctcs() -> None:
    conf = {"asr_weight": 0.3, "mt_weight": 0.1, "mtlalpha": 0.5, "st_mtlalpha": 0.25, "lsm_weight": 0.2}
    found = read_weights(st_config(model_conf=conf))
    expected = LossWeights(attention=0.6 * 0.75, ctc=0.6 * 0.25, source_ctc=0.15, smoothing=0.2)
    assert (found.attention, found.ctc, found.source_ctc, found.smoothing) == pytest.approx(
        (expected.attention, expected.ctc, expected.source_ctc, expected.smoothing)
    )


def test_impossible_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="loss weights must be at least 0"):
        LossWeights(-0.1, 0.5, 0.0, 0.1)


def _teacher_of(rows: int, positions: int) -> TopK:
    logits = torch.randn(rows, positions, len(TOKENS), generator=torch.Generator().manual_seed(3))
    logs, ids = logits.log_softmax(-1).topk(3)
    return TopK(ids, logs)


def _pieces(network: Network) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, TopK]:
    """States, their lengths, the decoder's logits, its targets, and a teacher that knows nothing of the second utterance."""
    batch = make_batch(1)
    states, steps, _ = network.encoder(batch.features, batch.frames)
    ys_in, ys_out = add_sos_eos(batch.tokens, SOS, SOS, -1)
    logits, _ = network.decoder(states, steps, ys_in, batch.token_lengths + 1)
    teacher = _teacher_of(*ys_out.shape)
    teacher.ids[1] = -1
    teacher.ids[ys_out == -1] = -1
    return states, steps, logits, ys_out, teacher


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_decoders_loss_follows_the_teacher_where_there_is_one(share: float) -> None:
    torch.manual_seed(0)
    network, batch = build_network(st_config()).eval(), make_batch(1)
    _, _, logits, ys_out, teacher = _pieces(network)
    expected, smoothing = 0.0, LabelSmoothingLoss(len(TOKENS), -1, 0.1)
    for row in range(len(ys_out)):
        for position in range(ys_out.size(1)):
            if ys_out[row, position] == -1:
                continue
            at = (slice(row, row + 1), slice(position, position + 1))
            reference = float(smoothing(logits[at].contiguous(), ys_out[at].contiguous()).detach())
            divergence = float(teacher_divergence(logits[at], TopK(teacher.ids[at], teacher.logs[at])).detach())
            expected += reference if row == 1 else share * divergence + (1 - share) * reference
    weights = LossWeights(1.0, 0.0, 0.0, 0.1)
    found = joint_loss(network, batch.features, replace(batch, teacher=teacher), weights, SOS, share)
    assert found.attention == pytest.approx(expected / len(ys_out), rel=1e-4)
    plain = joint_loss(network, batch.features, batch, weights, SOS, share)
    assert plain.attention == joint_loss(network, batch.features, replace(batch, teacher=teacher), weights, SOS).attention


def test_utterances_without_source_text_leave_the_source_ctc() -> None:
    torch.manual_seed(0)
    network, batch = build_network(st_config()).eval(), make_batch(1)
    states, steps, _, _, _ = _pieces(network)
    lengths, weights = batch.source_lengths.clone(), LossWeights(0.0, 0.0, 1.0, 0.0)
    lengths[1] = 0
    logs = network.ctc.ctc_lo(states).log_softmax(-1).transpose(0, 1)
    each = torch.nn.functional.ctc_loss(logs, batch.source_tokens.clamp(min=0), steps, batch.source_lengths, reduction="none")
    found = joint_loss(network, batch.features, replace(batch, source_lengths=lengths), weights, SOS)
    assert (found.ctc, float(found.total.detach())) == pytest.approx([float((each[0] + each[2]).detach()) / 3] * 2, **TOLERANCE)
    nothing = joint_loss(network, batch.features, replace(batch, source_lengths=torch.zeros_like(lengths)), weights, SOS)
    assert nothing.ctc == 0.0
