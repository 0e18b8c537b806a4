"""Positions made in the graph against ESPnet's tables."""

import numpy as np
import pytest

from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.positions import (
    ascending_positions,
    encode_position,
    encode_positions,
    legacy_relative_positions,
    relative_positions,
)
from tests.bundle.sessions import run

torch = pytest.importorskip("torch")

from espnet.nets.pytorch_backend.transformer.embedding import (  # noqa: E402
    LegacyRelPositionalEncoding,
    PositionalEncoding,
    RelPositionalEncoding,
)

import paredown.models.espnet  # noqa: E402, F401  # quiet import of ESPnet

WIDTH = 48
# torch's exponential is one unit in the last place (6e-8) off in some wavelengths, and the angle is position times that.
TOLERANCE_PER_POSITION = 1.2e-7


def positions_graph(kind: str) -> Graph:
    builder = GraphBuilder("positions", WeightLayout({}))
    x = builder.input("x", ["rows", 1])
    makers = {
        "absolute": ascending_positions,
        "relative": relative_positions,
        "legacy": lambda b, rows: legacy_relative_positions(b, rows, 5000),
    }
    builder.output(encode_positions(builder, makers[kind](builder, x), WIDTH), "y", ["n", WIDTH])
    return builder.build()


@pytest.mark.parametrize("frames", [1, 2, 37, 400])
@pytest.mark.parametrize("kind", ["absolute", "relative", "legacy"])
def test_encodings_are_those_of_espnet(kind: str, frames: int) -> None:
    (encoded,) = run(positions_graph(kind), {}, {"x": np.zeros((frames, 1), np.float32)})
    zeros = torch.zeros(1, frames, WIDTH)
    if kind == "absolute":
        expected = PositionalEncoding(WIDTH, 0.0)(zeros)[0]
    else:
        expected = (RelPositionalEncoding if kind == "relative" else LegacyRelPositionalEncoding)(WIDTH, 0.0)(zeros)[1][0]
    furthest = 5000 if kind == "legacy" else frames
    np.testing.assert_allclose(encoded[-len(expected) :], expected.numpy(), atol=1e-6 + TOLERANCE_PER_POSITION * furthest)
    assert len(encoded) == len(expected) + (kind == "relative")


def test_one_position_is_the_row_of_the_table() -> None:
    builder = GraphBuilder("position", WeightLayout({}))
    position = builder.input("position", [1], 7)
    builder.output(encode_position(builder, position, WIDTH), "y", [WIDTH])
    table = PositionalEncoding(WIDTH, 0.0)(torch.zeros(1, 300, WIDTH))[0].numpy()
    for step in (0, 1, 7, 299):
        (encoded,) = run(builder.build(), {}, {"position": np.array([step])})
        np.testing.assert_allclose(encoded, table[step], atol=1e-6 + TOLERANCE_PER_POSITION * step)
