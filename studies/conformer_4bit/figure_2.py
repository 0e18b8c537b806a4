"""Figure 2: bit-widths by layer of the system of 4 bits on average, by sensitivity."""

from collections.abc import Mapping
from pathlib import Path

from paredown.space.inventory import Inventory
from studies.conformer_4bit.allocations import average_bits
from studies.conformer_4bit.paper import STUDY
from studies.conformer_4bit.quantized import ladder
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Result, Row, Verdict

FILE = "figure_2.png"
MODULES = {
    "feed_forward_macaron": "macaron FFN",
    "self_attn": "MHSA",
    "conv_module": "Conv",
    "feed_forward": "FFN",
}
WIDEST = 8


def make(bench: Bench) -> Result:
    """One row a sub-layer, one column a block, and the drawing."""
    inventory = bench.model.inventory()
    configuration = ladder(bench).ids[8]
    bits, blocks = configuration.bits_of, dict(inventory.blocks)["encoder"]
    grid = lay_out(inventory, bits)
    bench.output.mkdir(parents=True, exist_ok=True)
    draw(grid, blocks, bench.output / FILE)
    columns = tuple(Column(f"block {block + 1}", 0, ours_only=True) for block in range(blocks))
    rows = [Row(name, ours={f"block {block + 1}": float(value) for block, value in widths.items()}) for name, widths in grid.items()]
    average = average_bits(inventory, configuration, bits)
    outside = ", ".join(f"{path.removeprefix('encoder.')} {width}" for path, width in sorted(bits.items()) if ".encoders." not in path)
    notes = (
        "The paper's figure is a drawing without numbers: the widths here cannot be set against its own, only that they differ.",
        f"Outside the blocks: {outside or 'nothing'} bits.",
    )
    conclusion = (
        f"The paper's average 4-bit system has widths that differ from sub-layer to sub-layer; here, at {average:.2f} bits on average, "
        f"they run from {min(bits.values())} to {max(bits.values())}: {tell_modules(grid)}."
    )
    title = "bit-widths by layer of the average 4-bit system (ID 8)"
    return Result(STUDY, "Figure 2", title, columns, tuple(rows), judge(bits), conclusion, notes, figure=FILE)


def judge(bits: Mapping[str, int]) -> Verdict:
    """The figure shows uneven widths: it holds where there is more than one."""
    return "holds" if len(set(bits.values())) > 1 else "does not hold"


def lay_out(inventory: Inventory, bits: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Bit-widths by sub-layer ("MHSA linear_q") and block, sub-layers in the order of computation of their modules."""
    grid: dict[str, dict[int, int]] = {}
    for module, told in MODULES.items():
        for layer in inventory.layers:
            _, _, rest = layer.path.partition("encoder.encoders.")
            block, _, place = rest.partition(".")
            owner, _, role = place.partition(".")
            if layer.path in bits and owner == module:
                grid.setdefault(f"{told} {role}", {})[int(block)] = bits[layer.path]
    return grid


def tell_modules(grid: Mapping[str, Mapping[int, int]]) -> str:
    """The mean width of the sub-layers of every module."""
    found = []
    for told in MODULES.values():
        widths = [width for name, row in grid.items() if name.startswith(f"{told} ") for width in row.values()]
        found += [f"{told} {sum(widths) / len(widths):.1f}"] if widths else []
    return "layers have " + ", ".join(found) + " bits in the mean"


def draw(grid: Mapping[str, Mapping[int, int]], blocks: int, path: Path) -> None:
    """Blocks from left to right, a row for every sub-layer, its width written in its cell."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = np.full((len(grid), blocks), np.nan)
    for row, widths in enumerate(grid.values()):
        for block, width in widths.items():
            cells[row, block] = width
    figure = Figure(figsize=(2.2 + 0.55 * blocks, 0.8 + 0.3 * len(grid)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(cells, cmap="YlGnBu", vmin=2, vmax=WIDEST, aspect="auto")
    for row, block in zip(*np.nonzero(~np.isnan(cells)), strict=True):
        shade = "white" if cells[row, block] > 5 else "black"
        axes.text(block, row, f"{cells[row, block]:.0f}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_yticks(range(len(grid)), list(grid), fontsize=8)
    axes.set_xticks(range(blocks), [str(block + 1) for block in range(blocks)])
    axes.set_xlabel("encoder block")
    figure.colorbar(image, label="bits")
    figure.savefig(path, dpi=150)
