"""What the paper prints, digit for digit. BLEU is that of its first utterance (see `first_utterance`), latency in seconds, sizes in MiB.

It calls its sizes MB: 57,592,032 parameters of 4 bytes are 220 MiB.
"""

from dataclasses import dataclass

NAME = "On-device Speech Translation"
SAMPLE_RATE_HZ, HOP_SAMPLES = 16_000, 160

# Table 1: hop length in samples at 16 kHz.
TABLE_1 = {"original": 160, "input_size1": 200, "input_size2": 250, "input_size3": 300}


@dataclass(frozen=True)
class Printed:
    """Size, BLEU and latency of one row; None where the paper prints none."""

    bleu: float
    latency_s: float
    size_mib: float | None = None


ORIGINAL = Printed(56.6, 1.41, 220)

# Table 2: type of the weights -> input -> figures.
TABLE_2 = {
    "float32": {
        "original": ORIGINAL,
        "input_size1": Printed(31.5, 1.24, 220),
        "input_size2": Printed(43.5, 1.10, 220),
        "input_size3": Printed(42.7, 0.97, 220),
    },
    "qint8": {
        "original": Printed(35.8, 1.20, 70),
        "input_size1": Printed(35.8, 1.06, 70),
        "input_size2": Printed(43.5, 0.96, 70),
        "input_size3": Printed(37.2, 0.92, 70),
    },
    "float16": {
        "original": Printed(56.6, 2.05, 220),
        "input_size1": Printed(31.5, 1.76, 220),
        "input_size2": Printed(43.5, 1.53, 220),
        "input_size3": Printed(42.6, 1.40, 220),
    },
}

# 5.1, of the second method: "except input_size2, the BLEU scores for all other models drop to less than 10".
FIGURE_2 = {"original": "< 10", "input_size1": "< 10", "input_size3": "< 10"}

# Table 3: sparsity -> figures.
TABLE_3 = {
    0.0: Printed(56.59119, 1.406278, 220),
    0.1: Printed(56.59119, 1.392705, 842),
    0.2: Printed(56.59119, 1.324602, 753),
    0.33: Printed(29.50234, 1.43281, 639),
    0.4: Printed(26.2691, 0.81771, 577),
    0.5: Printed(3.379674, 6.36895, 490),
    0.6: Printed(2.747578, 6.283118, 402),
    0.7: Printed(1.349908, 6.568361, 314),
    0.8: Printed(0.679364, 6.227498, 226),
    0.9: Printed(0.0, 6.228, 138),
}

# 5.3.2: what is pruned on its own, and how much of it.
COMPONENTS = {
    "encoder ff": "encoder.feed_forward",
    "encoder conv": "encoder.conv",
    "encoder self_attn": "encoder.self_attn",
    "encoder norm": "encoder.norm",
    "encoder subsampling": "encoder.subsampling",
    "decoder ff": "decoder.feed_forward",
    "decoder self_attn": "decoder.self_attn",
    "decoder norm": "decoder.norm",
    "decoder cross attention": "decoder.cross_attn",
    "decoder embedding": "decoder.embed",
}
SHARES = (0.33, 0.5, 0.7, 0.9)
FIGURE_4_BLEU = {("encoder self_attn", 0.7): "> 20"}

# Table 4: component as printed -> group that is meant, sparsity. Its last three "Encoder" rows can only be the decoder's: the encoder has
# no embedding and no cross-attention, and its self-attention is the row before.
TABLE_4 = {
    "Encoder_subsampling": ("encoder.subsampling", 0.9),
    "Encoder_conv": ("encoder.conv", 0.7),
    "Encoder_ff": ("encoder.feed_forward", 0.5),
    "Encoder_attn": ("encoder.self_attn", 0.5),
    "Encoder_embed": ("decoder.embed", 0.5),
    "Encoder_self_attn": ("decoder.self_attn", 0.5),
    "Encoder_cross_attn": ("decoder.cross_attn", 0.33),
}
TABLE_4_BLEU = "about 42"

TABLE_5 = {"Original": ORIGINAL, "PTQ + Pruning + ONNX": Printed(42.7, 0.54)}

# Abstract and 5.4, in percent.
LATENCY_CHANGE, SIZE_CHANGE, BLEU_CHANGE = -62.0, -73.0, -25.0
# 5.5: iterations are counted until so much energy is spent.
FIGURE_6_WH = 10.0
