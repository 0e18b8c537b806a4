"""The network of an ESPnet config, built from ESPnet's own classes; its state dict has exactly the keys of an ESPnet checkpoint.

In ST models `ctc` spells the *source* text (asr_weight and mtlalpha above 0) and `st_ctc` the translation; in ASR models `ctc` spells
the text.
Training-only decoders (extra ASR and MT) are not built: see `dropped_parts` for their names.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from paredown.models.errors import ModelError
from paredown.models.espnet import (
    CTC,
    ConformerEncoder,
    EBranchformerEncoder,
    GlobalMVN,
    TransformerDecoder,
    TransformerEncoder,
    UtteranceMVN,
)
from paredown.models.frontend import FrontendSettings, LogMelFrontend, read_frontend
from paredown.models.section import read_number, read_section

Task = Literal["st", "asr"]
ENCODERS = {"conformer": ConformerEncoder, "transformer": TransformerEncoder, "e_branchformer": EBranchformerEncoder}
INPUT_LAYERS = ("conv2d", "conv2d1", "conv2d2", "conv2d6", "conv2d8")
NORMALIZATIONS = ("global_mvn", "utterance_mvn", None)
_ABSENT = ("preencoder", "postencoder", "hier_encoder", "md_encoder", "extra_mt_encoder")


class Network(torch.nn.Module):
    """Frontend, normalisation, encoder, decoder and the CTC heads of one model, under the names of ESPnet's checkpoints."""

    def __init__(
        self,
        task: Task,
        frontend: LogMelFrontend,
        normalize: torch.nn.Module | None,
        encoder: torch.nn.Module,
        decoder: torch.nn.Module,
        ctc: CTC | None,
        st_ctc: CTC | None,
    ) -> None:
        super().__init__()
        self.task: Task = task
        self.frontend = frontend
        self.normalize: Any = normalize
        self.encoder: Any = encoder
        self.decoder: Any = decoder
        self.ctc = ctc
        self.st_ctc = st_ctc

    @property
    def output_ctc(self) -> CTC | None:
        """The CTC over the output text, for joint decoding; it takes part in inference. An ST model's source CTC is not it."""
        return self.st_ctc if self.task == "st" else self.ctc

    @property
    def output_ctc_name(self) -> Literal["ctc", "st_ctc"]:
        """The name that a CTC over the output text has in this network, where there is one."""
        return "st_ctc" if self.task == "st" else "ctc"

    @property
    def source_ctc(self) -> CTC | None:
        """The CTC over the source text of an ST model, which only training and the KL table use."""
        return self.ctc if self.task == "st" else None

    def normalized(self, features: Tensor, frames: Tensor) -> Tensor:
        """Features [utterances, frames, mels] after mean and variance normalisation; the given ones stay as they are."""
        if self.normalize is None:
            return features
        normalized: Tensor = self.normalize(features.clone(), frames)[0]
        return normalized

    def encode(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features [utterances, frames, mels] -> states [utterances, steps, width] and their lengths in steps."""
        states, steps, _ = self.encoder(features, frames)
        return states, steps


def build_network(config: Mapping[str, Any]) -> Network:
    """The network of an ESPnet config, weights at random; raises ModelError that names a part paredown does not support."""
    task = read_task(config)
    _reject_unsupported(config)
    frontend = read_frontend(config)
    encoder = _build_encoder(config, frontend)
    width = encoder.output_size()
    return Network(
        task,
        _construct("frontend_conf", LogMelFrontend, frontend),
        _build_normalization(config, frontend),
        encoder,
        _build_decoder(config, width),
        _build_ctc(config, task, width),
        _build_translation_ctc(config, task, width),
    )


def read_task(config: Mapping[str, Any]) -> Task:
    """Only the ST task of ESPnet writes a `src_token_list`."""
    return "st" if "src_token_list" in config else "asr"


def read_tokens(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A token list of the config; raises ModelError if it is no list of strings."""
    tokens = config.get(key)
    if not isinstance(tokens, list | tuple) or not tokens:
        raise ModelError(f"{key} must be a list of tokens, got {type(tokens).__name__}")
    return tuple(str(token) for token in tokens)


def has_source_ctc(config: Mapping[str, Any]) -> bool:
    """Whether an ST config trains a CTC on the source text."""
    return read_task(config) == "st" and _read_weight(config, "asr_weight") > 0 and _read_weight(config, "mtlalpha") > 0


def _read_weight(config: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    """The weight of one of training's losses, which says whether its part is there."""
    return read_number(f"model_conf.{key}", read_section(config, "model_conf").get(key, default))


def dropped_parts(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of the config that are left out because only training uses them."""
    parts = []
    if config.get("specaug"):
        parts.append("specaug")
    if read_task(config) == "st":
        if _read_weight(config, "asr_weight") > 0 and _read_weight(config, "mtlalpha") < 1.0 and config.get("extra_asr_decoder"):
            parts.append("extra_asr_decoder")
        if _read_weight(config, "mt_weight") > 0 and config.get("extra_mt_decoder"):
            parts.append("extra_mt_decoder")
        if has_source_ctc(config):
            parts.append("source_ctc")
    return tuple(parts)


def _reject_unsupported(config: Mapping[str, Any]) -> None:
    for key in _ABSENT:
        if config.get(key):
            raise ModelError(f"{key} must be absent, got {config[key]!r}")
    encoder, conf = config.get("encoder", "rnn"), read_section(config, "encoder_conf")
    if encoder not in tuple(ENCODERS):  # a list has no hash
        raise ModelError(f"encoder must be one of {', '.join(ENCODERS)}, got {encoder!r}")
    if conf.get("input_layer", "conv2d") not in INPUT_LAYERS:
        raise ModelError(f"encoder_conf.input_layer must be one of {', '.join(INPUT_LAYERS)}, got {conf.get('input_layer')!r}")
    if conf.get("interctc_use_conditioning") or conf.get("ctc_trim"):
        raise ModelError("encoder_conf must not feed CTC posteriors back (interctc_use_conditioning, ctc_trim), got true")
    decoder, decoder_conf = config.get("decoder", "rnn"), read_section(config, "decoder_conf")
    if decoder != "transformer":
        raise ModelError(f"decoder must be 'transformer', got {decoder!r}")
    if decoder_conf.get("input_layer", "embed") != "embed":
        raise ModelError(f"decoder_conf.input_layer must be 'embed', got {decoder_conf['input_layer']!r}")
    if config.get("normalize", "utterance_mvn") not in NORMALIZATIONS:
        raise ModelError(f"normalize must be one of global_mvn, utterance_mvn, null, got {config['normalize']!r}")


def _build_encoder(config: Mapping[str, Any], frontend: FrontendSettings) -> Any:
    encoder = config["encoder"]
    return _construct(f"encoder_conf of {encoder}", ENCODERS[encoder], frontend.n_mels, **read_section(config, "encoder_conf"))


def _build_decoder(config: Mapping[str, Any], width: int) -> TransformerDecoder:
    vocabulary = len(read_tokens(config, "token_list"))
    return _construct("decoder_conf of transformer", TransformerDecoder, vocabulary, width, **read_section(config, "decoder_conf"))


def _construct(what: str, kind: Callable[..., Any], *arguments: Any, **conf: Any) -> Any:
    """A module of the network; what its constructor refuses is the config's fault, whichever error ESPnet, torch or librosa raises."""
    try:
        return kind(*arguments, **conf)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{what} must fit {kind.__name__}, got: {reason}") from error


def _build_normalization(config: Mapping[str, Any], frontend: FrontendSettings) -> torch.nn.Module | None:
    kind = config.get("normalize", "utterance_mvn")
    conf = {key: value for key, value in read_section(config, "normalize_conf").items() if key != "stats_file"}
    if kind == "global_mvn":
        return _build_global_mvn(frontend.n_mels, conf)
    if kind is None:
        return None
    normalize: torch.nn.Module = _construct("normalize_conf of utterance_mvn", UtteranceMVN, **conf)
    return normalize


def _build_global_mvn(n_mels: int, conf: Mapping[str, Any]) -> torch.nn.Module:
    """ESPnet's module with mean 0 and deviation 1: the checkpoint's buffers replace them, so its stats file need not be at hand."""
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "stats.npz"
        np.savez(stats, count=np.float32(1), sum=np.zeros(n_mels, np.float32), sum_square=np.ones(n_mels, np.float32))
        normalize: torch.nn.Module = _construct("normalize_conf of global_mvn", GlobalMVN, stats, **conf)
        return normalize


def _build_ctc(config: Mapping[str, Any], task: Task, width: int) -> CTC | None:
    if task == "st":
        return _construct_ctc(config, "src_token_list", width) if has_source_ctc(config) else None
    return _construct_ctc(config, "token_list", width) if _has_output_ctc(config) else None


def _build_translation_ctc(config: Mapping[str, Any], task: Task, width: int) -> CTC | None:
    return _construct_ctc(config, "token_list", width) if task == "st" and _has_output_ctc(config) else None


def read_output_ctc_weight(config: Mapping[str, Any]) -> float:
    """The weight, in training, of the CTC over the output text beside the decoder's cross entropy; 0 where there is none."""
    key, default = ("st_mtlalpha", 0.0) if read_task(config) == "st" else ("ctc_weight", 0.5)
    return _read_weight(config, key, default)


def _has_output_ctc(config: Mapping[str, Any]) -> bool:
    return read_output_ctc_weight(config) > 0


def _construct_ctc(config: Mapping[str, Any], tokens: str, width: int) -> CTC:
    """Without the loss flavour, which inference does not use and which may need packages that are not here."""
    known = ("dropout_rate", "reduce", "ignore_nan_grad")
    conf = {key: value for key, value in read_section(config, "ctc_conf").items() if key in known}
    ctc: CTC = _construct("ctc_conf", CTC, len(read_tokens(config, tokens)), width, **conf)
    return ctc
