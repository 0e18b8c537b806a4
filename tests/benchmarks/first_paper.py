"""A checkpoint of the shape of the first paper's models, with seeded random weights: what benchmarks decode where only the shape matters.

Conformer 12x256/2048 behind conv2d with latest relative attention, decoder 6x256/2048, 4000 tokens, 80 mels, and a CTC over the tokens.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.checkpoints import random_state, write_checkpoint

WIDTH, HEADS, UNITS, DECODER_BLOCKS, TOKENS, RATE_HZ = 256, 4, 2048, 6, 4_000, 16_000


def first_paper_config() -> dict[str, Any]:
    """An ASR model, whose CTC serves joint decoding; tokens are words, so that no tokenizer is needed."""
    return {
        "token_list": ["<blank>", "<unk>", *(f"word{index}" for index in range(TOKENS - 3)), "<sos/eos>"],
        "token_type": "word",
        "frontend": "default",
        "frontend_conf": {"fs": "16k", "n_fft": 512, "hop_length": 160, "n_mels": 80},
        "normalize": "utterance_mvn",
        "normalize_conf": {},
        "encoder": "conformer",
        "encoder_conf": {
            "output_size": WIDTH,
            "attention_heads": HEADS,
            "linear_units": UNITS,
            "num_blocks": 12,
            "input_layer": "conv2d",
            "macaron_style": True,
            "rel_pos_type": "latest",
            "pos_enc_layer_type": "rel_pos",
            "selfattention_layer_type": "rel_selfattn",
            "activation_type": "swish",
            "use_cnn_module": True,
            "cnn_module_kernel": 31,
        },
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": HEADS, "linear_units": UNITS, "num_blocks": DECODER_BLOCKS},
        "model_conf": {"ctc_weight": 0.3},
    }


def write_first_paper_model(folder: Path, seed: int = 0) -> Path:
    """The checkpoint, equal for equal seeds."""
    config = first_paper_config()
    return write_checkpoint(folder, config, random_state(config, seed))


def make_waveform(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness changes five times a second, as that of speech does."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE_HZ)
    loudness = np.interp(np.arange(samples) / RATE_HZ * 5, np.arange(int(seconds * 5) + 2), rng.uniform(0.01, 0.2, int(seconds * 5) + 2))
    return (loudness * rng.standard_normal(samples)).astype(np.float32)
