"""The plain numbers of an ESPnet model's structure, as the graph builders need them: no torch, no weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from paredown.errors import BadInput

EncoderKind = Literal["conformer", "transformer", "e_branchformer"]
Positions = Literal["absolute", "scaled_absolute", "relative", "relative_legacy"]
Activation = Literal["swish", "relu", "tanh", "selu", "hardtanh", "gelu", "identity"]

# Strides of the convolutions of every input layer (their kernels are read off the weights), and the fewest frames that
# ESPnet's check_short_utt lets through.
STRIDES: Mapping[str, tuple[int, ...]] = {"conv2d": (2, 2), "conv2d1": (1, 1), "conv2d2": (2, 1), "conv2d6": (2, 3), "conv2d8": (2, 2, 2)}
LEAST_FRAMES: Mapping[str, int] = {"conv2d": 7, "conv2d1": 5, "conv2d2": 7, "conv2d6": 11, "conv2d8": 15}
_ACTIVATIONS = ("swish", "relu", "tanh", "selu", "hardtanh")


@dataclass(frozen=True)
class EncoderArchitecture:
    """Structure of an encoder. Feed-forwards, convolution modules, `concat_linear` and biases are there where their weights are."""

    kind: EncoderKind
    blocks: int
    width: int
    heads: int
    input_layer: str
    positions: Positions
    activation: Activation
    normalize_before: bool = True
    zero_triu: bool = False
    gate_activation: Activation = "identity"
    max_positions: int = 5000

    @property
    def head_units(self) -> int:
        """Units of a head; an attention has as many heads as its queries have units for."""
        return self.width // self.heads

    @property
    def least_frames(self) -> int:
        """Fewest feature frames that the input layer takes."""
        return LEAST_FRAMES[self.input_layer]


@dataclass(frozen=True)
class DecoderArchitecture:
    """Structure of a transformer decoder; its cross-attention reads states of `width` too."""

    blocks: int
    width: int
    heads: int
    tokens: int
    normalize_before: bool = True

    @property
    def head_units(self) -> int:
        """Units of a head, as in the encoder."""
        return self.width // self.heads


@dataclass(frozen=True)
class Architecture:
    encoder: EncoderArchitecture
    decoder: DecoderArchitecture
    mels: int


def read_architecture(config: Mapping[str, Any], mels: int, tokens: int) -> Architecture:
    """The architecture of an ESPnet config, ESPnet's defaults filled in.

    Raises BadInput for a part that the graphs do not cover, naming the setting and its value.
    """
    kind = config.get("encoder")
    readers = {"conformer": _read_conformer, "transformer": _read_transformer, "e_branchformer": _read_e_branchformer}
    if kind not in readers:
        raise BadInput(f"a bundle's encoder must be one of {', '.join(readers)}, got {kind!r}")
    encoder_conf, decoder_conf = dict(config.get("encoder_conf") or {}), dict(config.get("decoder_conf") or {})
    for name, conf in (("encoder_conf", encoder_conf), ("decoder_conf", decoder_conf)):
        _require(name, conf, "qk_norm", False)
    _require("encoder_conf", encoder_conf, "positionwise_layer_type", "linear")
    _require("decoder_conf", decoder_conf, "use_output_layer", True)
    if encoder_conf.get("input_layer", "conv2d") not in STRIDES:
        raise BadInput(f"encoder_conf.input_layer must be one of {', '.join(STRIDES)} for a bundle, got {encoder_conf['input_layer']!r}")
    encoder = readers[kind](encoder_conf)
    decoder = DecoderArchitecture(
        blocks=decoder_conf.get("num_blocks", 6),
        width=encoder.width,
        heads=decoder_conf.get("attention_heads", 4),
        tokens=tokens,
        normalize_before=decoder_conf.get("normalize_before", True),
    )
    return Architecture(encoder, decoder, mels)


def _require(name: str, conf: Mapping[str, Any], key: str, only: object) -> None:
    if conf.get(key, only) != only:
        raise BadInput(f"{name}.{key} must be {only!r} for a bundle, got {conf[key]!r}")


def _read_conformer(conf: Mapping[str, Any]) -> EncoderArchitecture:
    positions = _read_positions(conf, conf.get("selfattention_layer_type", "rel_selfattn"), conf.get("rel_pos_type", "legacy"))
    return EncoderArchitecture(
        kind="conformer",
        blocks=conf.get("num_blocks", 6),
        width=conf.get("output_size", 256),
        heads=conf.get("attention_heads", 4),
        input_layer=conf.get("input_layer", "conv2d"),
        positions=positions,
        activation=_read_activation("activation_type", conf.get("activation_type", "swish")),
        normalize_before=conf.get("normalize_before", True),
        zero_triu=positions == "relative" and conf.get("zero_triu", False),
        max_positions=conf.get("max_pos_emb_len", 5000),
    )


def _read_transformer(conf: Mapping[str, Any]) -> EncoderArchitecture:
    return EncoderArchitecture(
        kind="transformer",
        blocks=conf.get("num_blocks", 6),
        width=conf.get("output_size", 256),
        heads=conf.get("attention_heads", 4),
        input_layer=conf.get("input_layer", "conv2d"),
        positions="absolute",  # its convolutional input layers always make their own PositionalEncoding
        activation="relu",
        normalize_before=conf.get("normalize_before", True),
    )


def _read_e_branchformer(conf: Mapping[str, Any]) -> EncoderArchitecture:
    positions = _read_positions(conf, conf.get("attention_layer_type", "rel_selfattn"), conf.get("rel_pos_type", "latest"))
    gate = conf.get("gate_activation", "identity")
    return EncoderArchitecture(
        kind="e_branchformer",
        blocks=conf.get("num_blocks", 12),
        width=conf.get("output_size", 256),
        heads=conf.get("attention_heads", 4),
        input_layer=conf.get("input_layer", "conv2d"),
        positions=positions,
        activation=_read_activation("ffn_activation_type", conf.get("ffn_activation_type", "swish")),
        zero_triu=positions == "relative" and conf.get("zero_triu", False),
        gate_activation="identity" if gate == "identity" else _read_activation("gate_activation", gate),
        max_positions=conf.get("max_pos_emb_len", 5000),
    )


def _read_positions(conf: Mapping[str, Any], attention: str, relative_type: str) -> Positions:
    kind = conf.get("pos_enc_layer_type", "rel_pos")
    known: dict[tuple[str, str], Positions] = {
        ("abs_pos", "selfattn"): "absolute",
        ("scaled_abs_pos", "selfattn"): "scaled_absolute",
        ("rel_pos", "rel_selfattn"): "relative" if relative_type == "latest" else "relative_legacy",
        ("legacy_rel_pos", "legacy_rel_selfattn"): "relative_legacy",
    }
    if (kind, attention) not in known:
        raise BadInput(f"positions and attention must be one of {', '.join(map('+'.join, known))} for a bundle, got {kind}+{attention}")
    return known[kind, attention]


def _read_activation(key: str, name: str) -> Activation:
    for known in _ACTIVATIONS:
        if name == known:
            return known  # type: ignore[return-value]  # the tuple holds only Activation literals
    raise BadInput(f"encoder_conf.{key} must be one of {', '.join(_ACTIVATIONS)}, got {name!r}")
