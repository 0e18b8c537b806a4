"""One trial as tables, or two beside each other: figures in human units, then what was done to which part, and a map of bits."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from paredown.profilers.measurement import Measurement
from paredown.report.bit_map import BitMap, StackMap, make_bit_map
from paredown.report.table import table
from paredown.report.trial_parts import differing, parts_of
from paredown.search.budget import METRICS
from paredown.search.outcome import Outcome
from paredown.space.configuration import Configuration

_SCALES = {"bytes": (1e6, "MB"), "MACs": (1e6, "M MACs"), "parameters": (1e6, "M parameters")}
_SIGNED = ("quality",)
_POINTS = tuple(METRICS.values())
_TEXT_COLUMNS = (1, 2)  # of a table of parts, aligned to the left


def figures_table(outcome: Outcome, title: str) -> Table:
    """A row for each measurement: value, unit, interval, samples, and whether an instrument measured it."""
    sure = all(figure.provenance == "measured" for _, figure in outcome.measurements)
    rows = [[name, *_figure(name, figure), str(figure.samples), *([] if sure else [_provenance(figure)])] for name, figure in
            outcome.measurements]  # fmt: skip
    result = table(title, ("", "value", "unit", "95 % interval", "n", *([] if sure else [""])), rows)
    result.columns[2].justify = "left"
    return result


def detail_lines(outcome: Outcome) -> list[str]:
    """What else belongs to a figure: per token, at a fixed number of tokens, how much it drifted."""
    lines = []
    for name, figure in outcome.measurements:
        if name == "size_bytes":  # its files: they are in JSON
            continue
        found = [f"{key} {value:.4g}" for key, value in figure.detail if isinstance(value, float)]
        found += [str(value) for key, value in figure.detail if key == "reason"]
        lines += [f"{name}: {', '.join(found)}"] if found else []
    return lines


def parts_table(configuration: Configuration) -> Table:
    """What is left of every part; bits are in the map."""
    result = table(f"configuration {configuration.digest[:12]}", ("part", "what is left of it"), parts_of(configuration))
    result.columns[1].justify = "left"
    return result


def compared_table(names: tuple[str, str], outcomes: tuple[Outcome, Outcome], title: str) -> Table:
    """The measurements of two trials side by side. Of quality the difference is told, of costs the second as a share of the first."""
    first, second = (outcome.measurement_of for outcome in outcomes)
    rows = []
    for name in dict.fromkeys([*first, *second]):
        one, other = first.get(name), second.get(name)
        known = one or other
        assert known is not None
        unit = _SCALES.get(known.unit, (1.0, known.unit))[1]
        rows.append((f"{name} {unit}" if unit not in ("MB", "ms") else _spoken(name, unit), _side(name, one), _side(name, other),
                     _change(name, one, other)))  # fmt: skip
    caption = "Last column: of scores the second less the first, of costs the second over the first. Brackets hold 95 % intervals."
    return table(title, ("", *names, "change"), rows, caption)


def differing_table(names: tuple[str, str], configurations: tuple[Configuration, Configuration]) -> Table | None:
    """Only the parts in which the two differ; None where there are none. "" leaves the part as the model has it."""
    rows = differing(*configurations)
    if not rows:
        return None
    result = table("what differs", ("part", *names), [(part, one or "as it is", other or "as it is") for part, one, other in rows])
    for column in _TEXT_COLUMNS:
        result.columns[column].justify = "left"
    return result


def map_lines(configuration: Configuration, width: int) -> Iterator[Text]:
    """Bits of every layer: a row for each part of a block, a column for each block; then the layers outside blocks."""
    found = make_bit_map(configuration)
    for stack in found.stacks:
        yield from _stack_lines(stack, _cells(stack), width)
    yield from _other_lines([(path, str(bits)) for path, bits in found.others])


def differing_map_lines(names: tuple[str, str], configurations: tuple[Configuration, Configuration], width: int) -> Iterator[Text]:
    """The same of two: "4>3" where the bits differ, "." where they agree; only rows in which something differs."""
    one, other = (make_bit_map(configuration) for configuration in configurations)
    told = f", {names[0]} > {names[1]}"
    for stack in ("encoder", "decoder"):
        pair = [_find(found, stack) for found in (one, other)]
        blocks = tuple(range(max(len(each.blocks) for each in pair)))
        parts = dict.fromkeys([*pair[0].parts, *pair[1].parts])
        mine, theirs = (_cells(each) for each in pair)
        cells: dict[tuple[str, int], str] = {}
        for part in parts:
            for block in blocks:
                left, right = mine.get((part, block), "32"), theirs.get((part, block), "32")
                cells[part, block] = "." if left == right else f"{left}>{right}"
        changed = tuple(part for part in parts if any(cells[part, block] != "." for block in blocks))
        if changed:
            yield from _stack_lines(StackMap(stack, blocks, frozenset(), changed, {}), cells, width, told)
    left_over, right_over = dict(one.others), dict(other.others)
    paths = dict.fromkeys([*left_over, *right_over])
    rows = [(path, left_over.get(path, 32), right_over.get(path, 32)) for path in paths]
    yield from _other_lines([(path, f"{left}>{right}") for path, left, right in rows if left != right], told)


def _find(found: BitMap, stack: str) -> StackMap:
    return next((each for each in found.stacks if each.stack == stack), StackMap(stack, (), frozenset(), (), {}))


def _cells(stack: StackMap) -> dict[tuple[str, int], str]:
    """ "-" where the block was removed, "32" where a layer has no bits."""
    return {
        (part, block): "-" if block in stack.gone else str(stack.bits.get((part, block), 32))
        for part in stack.parts
        for block in stack.blocks
    }


def _stack_lines(stack: StackMap, cells: dict[tuple[str, int], str], width: int, told: str = "") -> Iterator[Text]:
    """As many blocks side by side as there is room for, the others below them."""
    names = max(cell_len(part) for part in stack.parts) + 2
    across = max([2, *(cell_len(cells[part, block]) for part in stack.parts for block in stack.blocks)]) + 1
    room = max(1, (width - names) // across)
    for start in range(0, len(stack.blocks), room):
        blocks = stack.blocks[start : start + room]
        yield Text(f"bits of the {stack.stack}, by block{told}", "table.title")
        yield Text(" " * names + "".join(str(block).rjust(across) for block in blocks), "table.header")
        for part in stack.parts:
            yield Text(f"  {part}".ljust(names) + "".join(cells[part, block].rjust(across) for block in blocks))


def _other_lines(rows: Sequence[tuple[str, str]], told: str = "") -> Iterator[Text]:
    if rows:
        names = max(cell_len(path) for path, _ in rows) + 2
        across = max(cell_len(bits) for _, bits in rows) + 1
        yield Text(f"bits of layers outside blocks{told}", "table.title")
        for path, bits in rows:
            yield Text(f"  {path}".ljust(names) + bits.rjust(across))


def _figure(name: str, figure: Measurement) -> tuple[str, str, str]:
    """Value, unit and interval."""
    scale, unit = _SCALES.get(figure.unit, (1.0, figure.unit))
    if figure.provenance == "unavailable":
        return ("", unit, "")
    around = f"{_number(figure.ci95[0] / scale, unit)} to {_number(figure.ci95[1] / scale, unit)}" if figure.ci95 else ""
    value = _number(figure.value / scale, unit)
    return (f"+{value}" if name in _SIGNED and figure.value > 0 else value, unit, around)


def _provenance(figure: Measurement) -> str:
    return "" if figure.provenance == "measured" else figure.provenance.upper()


def _number(value: float, unit: str) -> str:
    """No exponent, and as many digits as mean something."""
    if value == 0.0 or abs(value) >= 1000:
        return f"{value:.0f}"
    if abs(value) >= (10 if unit in ("ms", "mJ") else 100):
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or unit in _POINTS else f"{value:.4f}"


def _spoken(name: str, unit: str) -> str:
    return f"{name.removesuffix('_bytes').replace('_ms', '')} {unit}"


def _side(name: str, figure: Measurement | None) -> str:
    if figure is None:
        return ""
    value, _, around = _figure(name, figure)
    interval = f" [{around.replace(' to ', ', ')}]" if around else ""
    label = _provenance(figure)
    return f"{value}{interval}{' ' + label if label else ''}".strip()


def _change(name: str, one: Measurement | None, other: Measurement | None) -> str:
    if one is None or other is None or "unavailable" in (one.provenance, other.provenance):
        return ""
    if name.partition("@")[0] in ("latency_ms", "energy_mj", "size_bytes", "macs", "params") and one.value > 0:
        return f"x {other.value / one.value:.3f}"
    return f"{other.value - one.value:+.3f}"
