"""SpecAugment: what may be masked, how much, and that padding and shape stay."""

import torch

from paredown.recover.masking import Masking, mask_features


def test_masks_are_bands_and_spans_within_the_limits() -> None:
    torch.manual_seed(0)
    frames = torch.tensor([100, 60, 20])
    for _ in range(50):
        masked = mask_features(torch.ones(3, 100, 40), frames, Masking(bands=1, band_mels=8, spans=1, span_share=0.1)) == 0
        for row, count in enumerate(frames.tolist()):
            bands, spans = masked[row].all(0), masked[row].all(1)
            assert torch.equal(masked[row], bands[None, :] | spans[:, None])
            assert int(bands.sum()) <= 8
            assert int(spans.sum()) <= count * 0.1
            assert not spans[count:].any()


def test_utterances_are_masked_independently_and_reach_every_channel() -> None:
    torch.manual_seed(0)
    frames = torch.full((400,), 100)
    masked = mask_features(torch.ones(400, 100, 40), frames, Masking()) == 0
    assert len({tuple(row.flatten().tolist()) for row in masked[:20]}) > 15
    assert masked.any(0).all()
    # 2 bands of 0..8 of 40 channels and 5 spans of 0..5 of 100 frames: about 29 % hidden
    assert 0.2 < float(masked.float().mean()) < 0.35


def test_nothing_to_mask_leaves_features_alone() -> None:
    features = torch.randn(2, 30, 40)
    assert torch.equal(mask_features(features, torch.tensor([30, 10]), Masking(bands=0, spans=0)), features)
