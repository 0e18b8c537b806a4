"""Sinusoidal positions, computed in the graph: a stored table would weigh more than some layers."""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from paredown.bundle.graphs.graph import GraphBuilder


def inverse_wavelengths(width: int) -> NDArray[np.float32]:
    """ESPnet's `div_term`, exp(-2i ln(10000) / width) [width / 2]: the exponent in float32 as there, its exponential rounded correctly.

    torch's own exponential is one unit in the last place off in about two entries of a hundred.
    """
    exponents = np.arange(0, width, 2, dtype=np.float32) * np.float32(-np.log(10000.0) / width)
    return np.exp(exponents.astype(np.float64)).astype(np.float32)


def encode_positions(builder: GraphBuilder, positions: str, width: int) -> str:
    """Positions int64 [n] -> float32 [n, width]: sines at even columns, cosines at odd ones."""
    column = builder.reshape(builder.node("Cast", [positions], to=TensorProto.FLOAT), -1, 1)
    angles = builder.node("Mul", [column, builder.constant(inverse_wavelengths(width)[None], np.float32)])
    last = builder.constant([2])
    pair = [builder.node("Unsqueeze", [builder.node(wave, [angles]), last]) for wave in ("Sin", "Cos")]
    return builder.reshape(builder.node("Concat", pair, axis=2), -1, width)


def encode_position(builder: GraphBuilder, position: str, width: int) -> str:
    """One position an utterance, int64 [utterances, 1, 1] -> float32 [utterances, 1, width].

    In fewer nodes than `encode_positions`: it runs at every decoder step.
    """
    both = builder.constant(np.repeat(inverse_wavelengths(width), 2), np.float32)
    angles = builder.node("Mul", [builder.node("Cast", [position], to=TensorProto.FLOAT), both])
    even = builder.constant(np.arange(width) % 2 == 0, np.bool_)
    return builder.node("Where", [even, builder.node("Sin", [angles]), builder.node("Cos", [angles])])


def count_rows(builder: GraphBuilder, x: str) -> str:
    """Rows of x as an int64 scalar."""
    return builder.node("Squeeze", [builder.node("Shape", [x], start=0, end=1)])


def ascending_positions(builder: GraphBuilder, x: str) -> str:
    """0, 1, ..., rows - 1."""
    return builder.node("Range", [builder.constant(0), count_rows(builder, x), builder.constant(1)])


def relative_positions(builder: GraphBuilder, x: str) -> str:
    """T, T - 1, ..., -(T - 1) for the T rows of x: ESPnet's 2T - 1 positions behind one that only aligns the shift of the scores."""
    rows = count_rows(builder, x)
    return builder.node("Range", [rows, builder.node("Neg", [rows]), builder.constant(-1)])


def legacy_relative_positions(builder: GraphBuilder, x: str, max_positions: int) -> str:
    """The first T entries of ESPnet's reversed table of `max_positions` entries: max - 1, max - 2, ... (the old encoding's quirk)."""
    rows = count_rows(builder, x)
    longest = builder.node("Max", [rows, builder.constant(max_positions)])
    first = builder.node("Sub", [longest, builder.constant(1)])
    return builder.node("Range", [first, builder.node("Sub", [first, rows]), builder.constant(-1)])
