"""The bit-width of every layer as a picture (the lossless 4-bit Conformer paper's Fig. 2): blocks across, parts down, a colour a width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paredown.errors import BadInput
from paredown.report.bit_map import FP32_BITS, BitMap, StackMap, make_bit_map
from paredown.report.figure_file import as_text
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16, FP32_BITS)  # each has its place on the scale of colours
_ROW, _COLUMN, _NAME = 0.24, 0.36, 2.6  # inches of a row, a block and the names beside them
_GONE = "0.88"


def draw_bit_map(configuration: Configuration, title: str) -> "Figure":
    """A panel for each stack, one for the layers outside blocks; a removed block is grey. Raises BadInput where nothing is quantized."""
    import matplotlib
    from matplotlib.figure import Figure

    found = make_bit_map(configuration)
    heights = [len(stack.parts) for stack in found.stacks] + ([len(found.others)] if found.others else [])
    if not heights:
        raise BadInput("a map of bit-widths needs quantized layers, this configuration has none")
    most = max((len(stack.blocks) for stack in found.stacks), default=1)
    size = (max(6.4, _NAME + _COLUMN * most), 1.2 + sum(_ROW * height + 0.65 for height in heights))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    colours = matplotlib.colormaps["viridis_r"].resampled(len(_WIDTHS))
    for axes, stack in zip(panels, found.stacks, strict=False):
        _draw_stack(axes, stack, colours)
    if found.others:
        _draw_others(panels[-1], found, colours)
    for axes in panels:
        axes.set_xlim(-0.5, most - 0.5)  # cells are as wide in every panel
    figure.suptitle(as_text(title), x=0.01, ha="left", fontsize=11)
    _add_legend(figure, _used(found), colours)
    return figure


def _used(found: BitMap) -> list[int]:
    """The widths that occur, fp32 among them where a layer of a block that stays has none."""
    used = {bits for stack in found.stacks for bits in stack.bits.values()} | {bits for _, bits in found.others}
    used |= {FP32_BITS for stack in found.stacks for row in _grid(stack) for cell in row if cell == FP32_BITS}
    return sorted(used)


def _grid(stack: StackMap) -> list[list[int | None]]:
    """Bits by part and block, None where the block was removed."""
    return [[None if block in stack.gone else stack.bits.get((part, block), FP32_BITS) for block in stack.blocks] for part in stack.parts]


def _draw_stack(axes: "Axes", stack: StackMap, colours: "Colormap") -> None:
    _draw_cells(axes, _grid(stack), colours)
    axes.set_xticks(range(len(stack.blocks)), [str(block) for block in stack.blocks], fontsize=8)
    axes.set_yticks(range(len(stack.parts)), stack.parts, fontsize=8)
    gone = f" ({len(stack.gone)} removed)" if stack.gone else ""
    axes.set_title(f"bits of the {stack.stack}, by block{gone}", fontsize=9, loc="left")


def _draw_others(axes: "Axes", found: BitMap, colours: "Colormap") -> None:
    _draw_cells(axes, [[bits] for _, bits in found.others], colours)
    axes.set_xticks([])
    axes.set_yticks(range(len(found.others)), [path for path, _ in found.others], fontsize=8)
    axes.set_title("outside blocks", fontsize=9, loc="left")


def _draw_cells(axes: "Axes", grid: Sequence[Sequence[int | None]], colours: "Colormap") -> None:
    """A coloured square with its number for each cell; row 0 on top."""
    from matplotlib.patches import Rectangle

    for row, cells in enumerate(grid):
        for column, bits in enumerate(cells):
            place = (column - 0.5, row - 0.5)
            if bits is None:
                axes.add_patch(Rectangle(place, 1, 1, facecolor=_GONE, edgecolor="white", hatch="///", linewidth=0.8))
                continue
            level = _WIDTHS.index(bits)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=colours(level), edgecolor="white", linewidth=0.8))
            ink = "white" if level >= len(_WIDTHS) // 2 else "black"
            axes.text(column, row, str(bits), ha="center", va="center", fontsize=7.5, color=ink)
    axes.set(xlim=(-0.5, max(len(cells) for cells in grid) - 0.5), ylim=(len(grid) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _add_legend(figure: "Figure", used: Sequence[int], colours: "Colormap") -> None:
    from matplotlib.patches import Patch

    words = {16: "16 (half)", FP32_BITS: "32 (fp32)"}
    handles = [Patch(facecolor=colours(_WIDTHS.index(bits)), label=words.get(bits, str(bits))) for bits in used]
    figure.legend(
        handles=handles, title="bits", loc="outside lower center", ncols=len(handles), fontsize=8, title_fontsize=8, frameon=False
    )
