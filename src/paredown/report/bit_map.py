"""The bit-width of every layer as a map: blocks across, the parts of a block down, as the lossless 4-bit Conformer paper's Fig. 2."""

from collections.abc import Mapping
from dataclasses import dataclass

from paredown.space.configuration import Configuration
from paredown.space.inventory import block_of

FP32_BITS = 32
_ORDER = ("feed_forward_macaron", "self_attn", "attn", "src_attn", "cgmlp", "conv_module", "feed_forward")  # as signals run through a block
_STACKS = ("encoder", "decoder")


@dataclass(frozen=True)
class StackMap:
    """One stack.

    `blocks`: original indices from 0 to the last that is known; `gone`: those that were removed; `parts`: paths within a block.
    `bits`: by part and block; where a layer of a block that stays is missing, it is stored in fp32, or the block has no such layer.
    """

    stack: str
    blocks: tuple[int, ...]
    gone: frozenset[int]
    parts: tuple[str, ...]
    bits: Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class BitMap:
    """`stacks`: encoder and decoder, as far as layers of them are quantized; `others`: (path, bits) of layers outside blocks."""

    stacks: tuple[StackMap, ...]
    others: tuple[tuple[str, int], ...]


def make_bit_map(configuration: Configuration) -> BitMap:
    """The map of a configuration; empty where nothing is quantized."""
    placed: dict[str, dict[tuple[str, int], int]] = {stack: {} for stack in _STACKS}
    others = []
    for path, bits in configuration.bits:
        block = block_of(path)
        if block is None:
            others.append((path, bits))
        else:
            stack, index = block
            placed[stack][path.split(".", 3)[3], index] = bits
    stacks = [_stack(stack, found, configuration.keep_of.get(stack)) for stack, found in placed.items() if found]
    return BitMap(tuple(stacks), tuple(others))


def _stack(stack: str, bits: Mapping[tuple[str, int], int], kept: tuple[int, ...] | None) -> StackMap:
    last = max([block for _, block in bits] + list(kept or ()))
    gone = frozenset() if kept is None else frozenset(range(last + 1)) - frozenset(kept)
    parts = sorted({part for part, _ in bits}, key=_place)
    return StackMap(stack, tuple(range(last + 1)), gone, tuple(parts), bits)


def _place(part: str) -> tuple[int, str]:
    """Where a part stands in its block; what is not known comes last."""
    first = part.partition(".")[0]
    return (_ORDER.index(first) if first in _ORDER else len(_ORDER), part)
