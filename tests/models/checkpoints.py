"""Tiny random ESPnet checkpoint folders, for the tests of loading and of training."""

from pathlib import Path
from typing import Any

import sentencepiece
import torch
import yaml

from paredown.models.network import build_network

TOKENS = ["<blank>", "<unk>", "▁a", "▁b", "c", "d", "e", "<sos/eos>"]
SOURCE_TOKENS = ["<blank>", "<unk>", "▁x", "y", "<sos/eos>"]
ENCODERS: dict[str, dict[str, Any]] = {
    "conformer-latest": {
        "encoder": "conformer",
        "encoder_conf": {"input_layer": "conv2d6", "macaron_style": True, "rel_pos_type": "latest", "cnn_module_kernel": 5},
    },
    "conformer-legacy": {
        "encoder": "conformer",
        "encoder_conf": {"input_layer": "conv2d", "rel_pos_type": "legacy", "cnn_module_kernel": 5},
    },
    "conformer-concat": {"encoder": "conformer", "encoder_conf": {"input_layer": "conv2d1", "concat_after": True, "cnn_module_kernel": 5}},
    "transformer": {"encoder": "transformer", "encoder_conf": {"input_layer": "conv2d2"}},
    "e_branchformer": {
        "encoder": "e_branchformer",
        "encoder_conf": {
            "input_layer": "conv2d8",
            "cgmlp_linear_units": 32,
            "cgmlp_conv_kernel": 5,
            "use_linear_after_conv": True,
            "use_ffn": True,
            "macaron_ffn": True,
        },
    },
}


def st_config(encoder: str = "conformer-latest", **changes: Any) -> dict[str, Any]:
    """The config of a tiny ST model with a source CTC: two encoder and two decoder blocks of width 16."""
    part = ENCODERS[encoder]
    config = {
        "token_list": list(TOKENS),
        "src_token_list": list(SOURCE_TOKENS),
        "token_type": "bpe",
        "bpemodel": "/exp/gone/bpe.model",
        "frontend": "default",
        "frontend_conf": {"fs": "16k", "n_fft": 256, "win_length": 200, "hop_length": 100, "n_mels": 20},
        "specaug": "specaug",
        "normalize": "global_mvn",
        "normalize_conf": {"stats_file": "/exp/gone/feats_stats.npz"},
        "encoder": part["encoder"],
        "encoder_conf": {"output_size": 16, "attention_heads": 2, "linear_units": 24, "num_blocks": 2, **part["encoder_conf"]},
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": 2, "linear_units": 24, "num_blocks": 2},
        "ctc_conf": {"ctc_type": "builtin"},
        "model_conf": {"asr_weight": 0.3, "mtlalpha": 1.0, "lsm_weight": 0.1},
    }
    return {**config, **changes}


def asr_config(**changes: Any) -> dict[str, Any]:
    """The same network as an ASR model with characters and a CTC on the text."""
    config = st_config(token_type="char", model_conf={"ctc_weight": 0.3, "lsm_weight": 0.1}, normalize="utterance_mvn", normalize_conf={})
    del config["src_token_list"]
    return {**config, **changes}


def random_state(config: dict[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of the config's network; the normalisation's buffers and batch-norm statistics are drawn too, or they would test nothing."""
    torch.manual_seed(seed)
    state = build_network(config).state_dict()
    for name, value in state.items():
        if name == "normalize.mean" or name.endswith("running_mean"):
            value.uniform_(-1.0, 1.0)
        elif name == "normalize.std" or name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return state


def write_checkpoint(folder: Path, config: dict[str, Any], state: dict[str, torch.Tensor] | None = None, name: str = "model.pth") -> Path:
    """A checkpoint folder with config, weights and, for BPE, a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    torch.save(random_state(config) if state is None else state, folder / name)
    if config.get("token_type") == "bpe":
        train_tokenizer(folder / "bpe.model")
    return folder


def train_tokenizer(target: Path) -> None:
    """A sentencepiece file; which pieces it has does not matter to loading."""
    lines = ["ab cd ab", "abc d e", "e d c b a"] * 5
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(target.with_suffix("")), vocab_size=10, model_type="char", minloglevel=2
    )
    target.with_suffix(".vocab").unlink()
