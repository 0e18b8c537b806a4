"""Tiny random models for the tests of bundles, with weights that make every part matter."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from paredown.models import Model, load_model
from tests.models.checkpoints import random_state, st_config, write_checkpoint

ENCODER = {"output_size": 16, "attention_heads": 2, "linear_units": 24, "num_blocks": 2}
FRONTEND = {"fs": "16k", "n_fft": 256, "hop_length": 160, "n_mels": 40}
CONFORMER = {"input_layer": "conv2d6", "macaron_style": True, "rel_pos_type": "latest", "cnn_module_kernel": 5}


def make_model(encoder: str = "conformer", decoder_conf: dict[str, Any] | None = None, **encoder_conf: Any) -> Model:
    """Two blocks of width 16 unless told otherwise; every vector (biases, norms) is drawn, or its place would test nothing."""
    conf = ENCODER | (CONFORMER if encoder == "conformer" else {}) | encoder_conf
    config = st_config()
    config |= {"encoder": encoder, "encoder_conf": conf, "frontend_conf": FRONTEND}
    config["decoder_conf"] = config["decoder_conf"] | {"num_blocks": 3} | (decoder_conf or {})
    state = random_state(config)
    for name, value in state.items():
        if value.ndim == 1 and "running" not in name and not name.startswith("normalize"):
            value.add_(torch.randn(value.shape), alpha=0.2)
    with TemporaryDirectory() as folder:
        return load_model(write_checkpoint(Path(folder), config, state))


@cache
def shared_model() -> Model:
    """The plain conformer, loaded once; not to be changed."""
    return make_model()
