"""The joint loss against ESPnet's own model (ASR) and against its pieces (ST)."""

from typing import Any

import pytest
import torch
from espnet.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos
from espnet.nets.pytorch_backend.transformer.label_smoothing_loss import LabelSmoothingLoss
from espnet2.asr.espnet_model import ESPnetASRModel

from paredown.models.network import Network, build_network
from paredown.recover.loss import JointLoss, LossWeights, joint_loss, read_weights
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
