"""The neighbours of a configuration in the resolved space: one step of one thing, everything else as it was.

Knobs move many layers at once, by rules that take layers to be independent of each other. Around a good configuration this finds what the
rules miss: one layer's bits, one feed-forward's units, one matrix's rank, one group's share, one head, one block, one step of how it
hears or decodes. Only what an axis of the space varies is moved, to values that the axis knows, and never against its rules.

| axis | a step |
| --- | --- |
| bits | the next width to choose from, up or down, for a layer, or for all free layers of a block where they share one |
| width, rank | the next size that the family has for this path |
| sparsity | 0.05 of a group's weights |
| heads | of an attention the head that it misses least goes, or the one of those gone that it misses most comes back |
| layers | the next block of the order goes, or the last one that went comes back |
| decode, input | one value of a knob |
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.bit_rules import FULL_BITS
from paredown.space.axes.bits import BitsAxis, Table
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.heads import HeadsAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis, is_kept
from paredown.space.axes.members import Members
from paredown.space.axes.rank import RankAxis
from paredown.space.axes.share import STEP
from paredown.space.axes.sparsity import GlobalSparsityAxis, SparsityAxis
from paredown.space.axes.width import WidthAxis
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, block_of
from paredown.space.knobs import ChoiceKnob, IntKnob, Knob
from paredown.space.reduced import original_path, reduce_inventory

Value = TypeVar("Value")
_WHOLE = 2**62  # more units than any family has


@dataclass(frozen=True)
class Neighbour:
    """`kind`: axis and direction ("bits down"). `promise`: the higher comes first among those of a kind; it means nothing across kinds.

    `knob`: name and value of the knob that says this step, or says it nearly, for a configuration that has knob values.
    """

    kind: str
    configuration: Configuration
    promise: float = 0.0
    knob: tuple[str, float] | None = None


def neighbours(space: SearchSpace, configuration: Configuration) -> Iterator[Neighbour]:
    """All neighbours, axis by axis; none of a configuration that is not of this space (uncompressed, another scheme)."""
    if not is_of(space, configuration):
        return
    for axis in space.axes:
        match axis:
            case BitsAxis():
                yield from _bits(axis, configuration)
            case WidthAxis():
                yield from _widths(space, axis, configuration)
            case RankAxis():
                yield from _ranks(axis, configuration)
            case SparsityAxis() | GlobalSparsityAxis():
                yield from _shares(axis, configuration)
            case HeadsAxis():
                yield from _heads(axis, configuration)
            case LayersAxis():
                yield from _blocks(space, axis, configuration)
            case DecodeAxis():
                now = {knob.name: float(getattr(configuration.decode, knob.name.partition(".")[2])) for knob in axis.knobs}
                yield from _by_knobs(axis, now, configuration)
            case InputAxis():
                yield from _by_knobs(axis, _heard(axis, configuration), configuration)
            case _:
                pass


def is_of(space: SearchSpace, configuration: Configuration) -> bool:
    """Whether a configuration has the base's scheme, the space's supernet and for every kept layer bits that this space can give it."""
    supernet = next((axis.supernet for axis in space.axes if isinstance(axis, WidthAxis)), space.base.supernet)
    if configuration.scheme != space.base.scheme or configuration.is_recovered or configuration.supernet != supernet:
        return False
    bits, base = configuration.bits_of, space.base.bits_of
    axis = bits_axis_of(space)
    for path, usual in base.items():
        if not is_kept(path, configuration):
            continue
        allowed = _allowed(axis, path, usual)
        if bits.get(path, FULL_BITS) not in allowed:
            return False
    return all(path in base for path in bits)


def bits_axis_of(space: SearchSpace) -> BitsAxis | None:
    """The axis of bits, if the space has it."""
    return next((axis for axis in space.axes if isinstance(axis, BitsAxis)), None)


def average_of(axis: BitsAxis, configuration: Configuration) -> float:
    """Mean bit-width over the weights that are kept and whose width is free."""
    bits, weights = configuration.bits_of, _weights(axis.inventory, configuration)
    free = [layer.path for layer in axis.layers if layer.path in weights]
    return sum(bits[path] * weights[path] for path in free) / max(1, sum(weights[path] for path in free))


def _allowed(axis: BitsAxis | None, path: str, usual: int) -> Sequence[int]:
    if axis is None:
        return (usual,)
    if path in axis.fixed:
        return (axis.fixed[path],)
    layer = axis.inventory.by_path.get(path)
    if layer is None or layer not in axis.layers:
        return (usual,)
    return [bits for bits in axis.choices if bits >= axis.rules.least_of(layer)]


def _bits(axis: BitsAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """Down: least sensitivity lost for a byte; up: most gained for a byte."""
    weights, bits, average = _weights(axis.inventory, configuration), configuration.bits_of, average_of(axis, configuration)
    whole = sum(weights.get(layer.path, 0) for layer in axis.layers)
    table = _table(axis, average)
    shared: dict[object, list[int]] = {}
    for row, layer in enumerate(axis.layers):
        if layer.path in weights:
            shared.setdefault(axis.rules.share_of(layer), []).append(row)
    knob = axis.knobs[0]
    for rows in shared.values():
        least = max(axis.rules.least_of(axis.layers[row]) for row in rows)
        choices = [width for width in axis.choices if width >= least]
        width = bits[axis.layers[rows[0]].path]
        if any(bits[axis.layers[row].path] != width for row in rows) or width not in choices:
            continue  # a block of several widths, where blocks share one: made by another rule
        size = sum(weights[axis.layers[row].path] for row in rows)
        for kind, place in (("bits down", choices.index(width) - 1), ("bits up", choices.index(width) + 1)):
            if not 0 <= place < len(choices):
                continue
            before, after = axis.choices.index(width), axis.choices.index(choices[place])
            lost = float((table[rows, after] - table[rows, before]).sum()) / (size * abs(choices[place] - width))
            moved = bits | {axis.layers[row].path: choices[place] for row in rows}
            near = min(max(average + (choices[place] - width) * size / whole, knob.low), knob.high)
            yield Neighbour(kind, replace(configuration, bits=tuple(moved.items())), -lost, (knob.name, near))


def _table(axis: BitsAxis, average: float) -> Table:
    if not axis.corrected:
        return axis.sensitivity
    return axis.corrected[min(axis.corrected, key=lambda anchor: (abs(anchor - average), anchor))]


def _widths(space: SearchSpace, axis: WidthAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """Units of one feed-forward."""
    named = axis.resolve({axis.knobs[0].name: axis.members.etas[0]}, Configuration()).width_of
    for path, sizes in _sizes(axis.members).items():
        if not is_kept(path, configuration):
            continue
        # What is not named at the smallest eta is whole there; what is, never is by the family, but may be: a block that came back.
        whole = _WHOLE if path in named else max(sizes)
        for kind, size in _steps("width", sizes, configuration.width_of.get(path, whole)):
            widths = {other: units for other, units in configuration.width if other != path}
            if size != whole:
                widths[path] = size
            yield Neighbour(kind, _mended(space, replace(configuration, width=tuple(widths.items()))))


def _ranks(axis: RankAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """The rank of one matrix; a layer that would not shrink stays whole."""
    shapes = {layer.path: layer.shape for layer in reduce_inventory(axis.inventory, replace(configuration, rank=())).layers}
    for path, sizes in _sizes(axis.members).items():
        if path not in shapes:
            continue
        rows, columns = shapes[path]
        saving = sorted({rank for rank in sizes if rank <= min(rows, columns) and rank * (rows + columns) < rows * columns})
        whole = min(rows, columns) + 1
        for kind, rank in _steps("rank", [*saving, whole], configuration.rank_of.get(path, whole)):
            ranks = {other: found for other, found in configuration.rank if other != path}
            if rank != whole:
                ranks[path] = rank
            yield Neighbour(kind, replace(configuration, rank=tuple(ranks.items())))


def _shares(axis: SparsityAxis | GlobalSparsityAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """A group's share, between nothing and the axis's largest."""
    groups = axis.groups if isinstance(axis, SparsityAxis) else tuple(axis.parameters)
    highest = float(axis.knobs[0].high)
    for group in groups:
        now = configuration.sparsity_of.get(group, 0.0)
        for kind, share in (("sparsity down", now - STEP), ("sparsity up", now + STEP)):
            moved = round(min(max(share, 0.0), max(highest, now)), 10)
            if moved == now:
                continue
            shares = {other: found for other, found in configuration.sparsity if other != group}
            if moved > 0:
                shares[group] = moved
            knob = (f"{axis.name}.{group}", moved) if isinstance(axis, SparsityAxis) else None
            yield Neighbour(kind, replace(configuration, sparsity=tuple(shares.items())), 0.0, knob)


def _heads(axis: HeadsAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """One head of an attention, as long as no more go in all than the axis lets go."""
    kept = {path: found for path, found in axis.divergences.items() if is_kept(path, configuration)}
    left = {path: configuration.heads_of.get(path, tuple(range(len(found)))) for path, found in kept.items()}
    gone = sum(len(found) - len(left[path]) for path, found in kept.items())
    most = round(float(axis.knobs[0].high) * sum(map(len, kept.values())))
    for path, found in kept.items():
        others = [pair for pair in configuration.heads if pair[0] != path]
        if len(left[path]) > 1 and gone < most:
            worst = min(left[path], key=lambda head: (found[head], head))
            fewer = (path, tuple(head for head in left[path] if head != worst))
            yield Neighbour("heads down", replace(configuration, heads=(*others, fewer)), -found[worst])
        missing = [head for head in range(len(found)) if head not in left[path]]
        if missing:
            best = max(missing, key=lambda head: (found[head], -head))
            more = tuple(sorted((*left[path], best)))
            back = [] if len(more) == len(found) else [(path, more)]
            yield Neighbour("heads up", replace(configuration, heads=(*others, *back)), found[best])


def _blocks(space: SearchSpace, axis: LayersAxis, configuration: Configuration) -> Iterator[Neighbour]:
    """One block of a stack; what comes back takes the width that most layers of its role have elsewhere, and is whole."""
    kept = configuration.keep_of.get(axis.stack, tuple(range(axis.blocks)))
    knob = axis.knobs[0]
    order = [block for block in axis.order if block in kept]
    others = {stack: indices for stack, indices in configuration.keep if stack != axis.stack}
    if order and len(kept) > knob.low:
        fewer = {**others, axis.stack: tuple(block for block in kept if block != order[0])}
        yield Neighbour("layers down", _without(replace(configuration, keep=tuple(fewer.items()))), 0.0, (knob.name, len(kept) - 1))
    missing = [block for block in axis.order if block not in kept]
    if missing and len(kept) < knob.high:
        more = tuple(sorted((*kept, missing[-1])))
        keep = others if len(more) == axis.blocks else {**others, axis.stack: more}
        deeper = _with_bits(space, replace(configuration, keep=tuple(keep.items())))
        yield Neighbour("layers up", deeper, 0.0, (knob.name, len(kept) + 1))


def _without(configuration: Configuration) -> Configuration:
    """The configuration with nothing said of blocks that it drops."""

    def left(pairs: tuple[tuple[str, Value], ...]) -> tuple[tuple[str, Value], ...]:
        return tuple(pair for pair in pairs if is_kept(pair[0], configuration))

    return replace(
        configuration,
        kernels=left(configuration.kernels),
        bits=left(configuration.bits),
        width=left(configuration.width),
        heads=left(configuration.heads),
        rank=left(configuration.rank),
    )


def _with_bits(space: SearchSpace, configuration: Configuration) -> Configuration:
    """The configuration with bits for every layer of a block that came back."""
    bits, axis = configuration.bits_of, bits_axis_of(space)
    for path, usual in space.base.bits_of.items():
        if path in bits or not is_kept(path, configuration):
            continue
        allowed = _allowed(axis, path, usual)
        role = _alike(axis, path)
        votes = Counter(width for other, width in configuration.bits if role == _alike(axis, other) and width in allowed)
        chosen = max(allowed, key=lambda width: (votes[width], width))
        if chosen != FULL_BITS:
            bits[path] = chosen
    return replace(configuration, bits=tuple(bits.items()))


def _alike(axis: BitsAxis | None, path: str) -> tuple[str, ...]:
    """What layers of different blocks have in common: stack and role, or the stack alone where a block has one width."""
    block = block_of(path)
    if block is None:
        return (path,)
    return (block[0],) if axis is not None and axis.rules.same == "block" else (block[0], *path.split(".")[3:])


def _by_knobs(axis: DecodeAxis | InputAxis, now: Mapping[str, float], configuration: Configuration) -> Iterator[Neighbour]:
    """One value of one knob, by the axis's own rule."""
    for knob in axis.knobs:
        values = _values(knob)
        place = int(np.argmin([abs(value - now[knob.name]) for value in values]))
        for kind, other in ((f"{knob.name} down", place - 1), (f"{knob.name} up", place + 1)):
            if 0 <= other < len(values):
                chosen = {**now, knob.name: values[other]}
                checked = {one.name: one.checked(min(max(chosen[one.name], one.low), one.high)) for one in axis.knobs}
                yield Neighbour(kind, axis.resolve(checked, configuration), 0.0, (knob.name, float(values[other])))


def _values(knob: Knob) -> Sequence[float]:
    if isinstance(knob, ChoiceKnob):
        return knob.choices
    if isinstance(knob, IntKnob):
        return range(knob.low, knob.high + 1)
    step = knob.step or STEP
    return [knob.checked(min(knob.low + place * step, knob.high)) for place in range(int((knob.high - knob.low) / step + 1e-9) + 1)]


def _heard(axis: InputAxis, configuration: Configuration) -> dict[str, float]:
    """The knob values of the axis that give this input."""
    found: dict[str, float] = {}
    for knob in axis.knobs:
        if knob.name.endswith(".hop_samples"):
            found[knob.name] = float(configuration.input.hop_samples or axis.own_hop)
        else:
            own = configuration.input.sample_rate_hz, configuration.input.variant
            rates = [(rate.sample_rate_hz, rate.variant) for rate in axis.rates]
            found[knob.name] = float(rates.index(own) if own in rates else 0)
    return found


def _steps(kind: str, sizes: Sequence[int], now: int) -> Iterator[tuple[str, int]]:
    """The next smaller and the next larger size."""
    ordered = sorted(set(sizes))
    smaller, larger = [size for size in ordered if size < now], [size for size in ordered if size > now]
    if smaller:
        yield f"{kind} down", smaller[-1]
    if larger:
        yield f"{kind} up", larger[0]


def _sizes(members: Members) -> dict[str, list[int]]:
    return {path: [row[place] for row in members.sizes] for place, path in enumerate(members.paths)}


def _mended(space: SearchSpace, configuration: Configuration) -> Configuration:
    """Ranks no larger than a matrix that got narrower has, and none that saves nothing there."""
    axis = next((one for one in space.axes if isinstance(one, RankAxis)), None)
    if axis is None or not configuration.rank:
        return configuration
    shapes = {layer.path: layer.shape for layer in reduce_inventory(axis.inventory, replace(configuration, rank=())).layers}
    ranks = ((path, min(rank, *shapes[path])) for path, rank in configuration.rank)
    saving = tuple((path, rank) for path, rank in ranks if rank * sum(shapes[path]) < shapes[path][0] * shapes[path][1])
    return replace(configuration, rank=saving)


def _weights(inventory: Inventory, configuration: Configuration) -> dict[str, int]:
    """Weights that are left of every layer, by its original path."""
    found: Counter[str] = Counter()
    for layer in reduce_inventory(inventory, configuration).layers:
        found[original_path(layer.path)] += layer.weights
    return dict(found)
