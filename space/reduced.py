"""What a configuration leaves of a model: the inventory of the compressed model, from shapes alone.

- drop: layers and parameters of dropped blocks are gone;
- narrow: a feed-forward of `h` hidden units has `w_1` [h, in], `w_1.bias` [h] and `w_2` [out, h]; an attention with k heads of dk units
  has q, k, v and positions [k dk, in] with their biases, position biases [k, dk], and the output [out, k dk];
- factorize: a layer [out, in] of rank r becomes `path.down` [r, in] and behind it `path.up` [out, r]; its bias keeps its name.
"""

from collections.abc import Iterator
from dataclasses import replace

from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo

_BY_HEAD = ("linear_q", "linear_k", "linear_v", "linear_pos")
_POSITION_BIASES = ("pos_bias_u", "pos_bias_v")
FACTORS = ("down", "up")


def reduce_inventory(inventory: Inventory, configuration: Configuration) -> Inventory:
    """The inventory of what is left, in network order; raises ValueError like `check_reductions`."""
    check_reductions(inventory, configuration)
    layers = tuple(
        part for layer in inventory.layers if is_kept(layer.path, configuration) for part in _reduced(layer, inventory, configuration)
    )
    vectors = tuple(
        (name, _reduced_vector(name, size, inventory, configuration)) for name, size in inventory.vectors if is_kept(name, configuration)
    )
    kept = {path: len(heads) for path, heads in configuration.heads}
    heads = tuple((path, kept.get(path, count)) for path, count in inventory.heads if is_kept(path, configuration))
    blocks = tuple((stack, len(configuration.keep_of.get(stack, range(count)))) for stack, count in inventory.blocks)
    return Inventory(layers, vectors, blocks, heads)


def check_reductions(inventory: Inventory, configuration: Configuration) -> None:
    """Raises ValueError, naming rule and value, for widths, heads and ranks that this model cannot have, dropped blocks among them."""
    attentions = dict(inventory.heads)
    for what, mapping in (("widths", configuration.width), ("heads", configuration.heads), ("ranks", configuration.rank)):
        for path, _ in mapping:
            if not is_kept(path, configuration):
                raise ValueError(f"{what} must name parts of kept blocks, got {path!r}")
    for path, units in configuration.width:
        most = inventory.feed_forwards.get(path)
        if most is None:
            raise ValueError(f"widths must name feed-forwards of the model, got {path!r}")
        if units > most:
            raise ValueError(f"hidden units of {path} must lie in [1, {most}], got {units}")
    for path, heads in configuration.heads:
        if path not in attentions:
            raise ValueError(f"heads must name attentions of the model, got {path!r}")
        if heads[-1] >= attentions[path]:
            raise ValueError(f"kept heads of {path} must lie in [0, {attentions[path] - 1}], got {heads}")
    for path, rank in configuration.rank:
        if path.rpartition(".")[0] not in inventory.feed_forwards or not path.endswith((".w_1", ".w_2")):
            raise ValueError(f"ranks must name layers w_1 and w_2 of feed-forwards, got {path!r}")
        layer = _narrowed(inventory.by_path[path], inventory, configuration)
        if rank > min(layer.shape):
            raise ValueError(f"the rank of {path} must lie in [1, {min(layer.shape)}], got {rank}")


def original_path(path: str) -> str:
    """The layer of the model that a layer or factor of the compressed model comes from."""
    stem, _, last = path.rpartition(".")
    return stem if last in FACTORS and stem.endswith((".w_1", ".w_2")) else path


def parts_of(path: str, configuration: Configuration) -> tuple[str, ...]:
    """The layers of the compressed model that a layer of the model becomes: itself or its two factors; none in a dropped block."""
    if not is_kept(path, configuration):
        return ()
    return tuple(f"{path}.{factor}" for factor in FACTORS) if path in configuration.rank_of else (path,)


def bias_name(path: str) -> str:
    """The name that the bias of a layer of the compressed model has: behind two factors stands that of the layer they were made of."""
    original = original_path(path)
    return f"{original}.bias" if path == f"{original}.up" else f"{path}.bias"


def _reduced(layer: LayerInfo, inventory: Inventory, configuration: Configuration) -> Iterator[LayerInfo]:
    layer = _narrowed(layer, inventory, configuration)
    rank = configuration.rank_of.get(layer.path)
    if rank is None:
        yield layer
    else:
        yield replace(layer, path=f"{layer.path}.down", shape=(rank, layer.shape[1]))
        yield replace(layer, path=f"{layer.path}.up", shape=(layer.shape[0], rank))


def _narrowed(layer: LayerInfo, inventory: Inventory, configuration: Configuration) -> LayerInfo:
    module, _, role = layer.path.rpartition(".")
    rows, *columns = layer.shape
    if module in configuration.width_of and role in ("w_1", "w_2"):
        units = configuration.width_of[module]
        return replace(layer, shape=(units, *columns) if role == "w_1" else (rows, units))
    if module in configuration.heads_of and role in (*_BY_HEAD, "linear_out"):
        kept, heads = len(configuration.heads_of[module]), dict(inventory.heads)[module]
        return replace(layer, shape=(rows, columns[0] // heads * kept) if role == "linear_out" else (rows // heads * kept, *columns))
    return layer


def _reduced_vector(name: str, size: int, inventory: Inventory, configuration: Configuration) -> int:
    module, _, role = name.removesuffix(".bias").rpartition(".")
    if module in configuration.width_of and role == "w_1":
        return configuration.width_of[module]
    if module in configuration.heads_of and role in (*_BY_HEAD, *_POSITION_BIASES):
        return size // dict(inventory.heads)[module] * len(configuration.heads_of[module])
    return size
