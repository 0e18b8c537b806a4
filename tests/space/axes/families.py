"""An inventory with feed-forwards, and families of sizes for it."""

from paredown.space.axes.members import Members
from paredown.space.inventory import Inventory, LayerInfo

UNITS, WIDTH = 48, 16
FEED_FORWARDS = tuple(f"encoder.encoders.{block}.feed_forward" for block in range(2)) + tuple(
    f"decoder.decoders.{block}.feed_forward" for block in range(3)
)
ETAS = (0.0, 0.1, 0.4)


def inventory() -> Inventory:
    """Two encoder and three decoder blocks, each a feed-forward and one other layer."""
    layers, vectors = [], []
    for path in FEED_FORWARDS:
        stack = path.partition(".")[0]
        block = path.rpartition(".")[0]
        other = "self_attn" if stack == "encoder" else "src_attn"
        group = "encoder.self_attn" if stack == "encoder" else "decoder.cross_attn"
        layers.append(LayerInfo(f"{block}.{other}.linear_q", group, (WIDTH, WIDTH), "linear"))
        layers.append(LayerInfo(f"{path}.w_1", f"{stack}.feed_forward", (UNITS, WIDTH), "linear"))
        layers.append(LayerInfo(f"{path}.w_2", f"{stack}.feed_forward", (WIDTH, UNITS), "linear"))
        vectors += [(f"{path}.w_1.bias", UNITS), (f"{path}.w_2.bias", WIDTH)]
    return Inventory(tuple(layers), tuple(vectors), (("encoder", 2), ("decoder", 3)))


def widths() -> Members:
    """Whole at eta 0; at 0.1 smaller by block, at 0.4 smaller still, one feed-forward whole at every eta."""
    return Members(FEED_FORWARDS, ETAS, ((48, 48, 48, 48, 48), (48, 24, 40, 8, 16), (48, 8, 16, 2, 4)))


def ranks() -> Members:
    """Of every matrix; 16 is the whole."""
    paths = tuple(f"{path}.{role}" for path in FEED_FORWARDS for role in ("w_1", "w_2"))
    return Members(paths, ETAS, ((16,) * 10, (8, 16) * 5, (4, 2) * 5))
