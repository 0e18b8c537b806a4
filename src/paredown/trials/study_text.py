"""A study file for a model and a machine, with a line of comment for every key: what `paredown init` writes."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.search.units import format_duration, format_size
from paredown.trials.found_splits import FoundData, FoundSplit

if TYPE_CHECKING:
    from paredown.models import Model

_COLUMN, _WIDTH = 40, 120  # where comments begin, and where lines end
_TRIALS = (20, 60)  # fewest and most of a first study
_LONGEST_S = 2 * 3600.0  # that its trials should take
_SHORTEST_S = 1800.0  # of the limit on time: analyses are inside
_PRUNED = ("encoder.feed_forward", "encoder.self_attn", "decoder.feed_forward")
_LEAST_BLOCKS = 4
_WIDE = 4  # hidden units of a feed-forward, in widths of the model, from which narrowing it is worth a search
_ROLES = {
    "analysis": "what each layer minds is measured on it",
    "search": "the quality of trials is measured on it",
    "test": "never chosen by: it scores what was chosen",
}


@dataclass(frozen=True)
class Machine:
    """What the doctor found. `energy`: whether the processor's can be counted, `energy_hint`: what it takes where not."""

    processor: str
    int8: str
    energy: bool
    energy_hint: str


@dataclass(frozen=True)
class Forecast:
    """Of a study before it begins: exact bytes of bundles at 32, 8 and 4 bits, and seconds as tried on `tried` utterances.

    `utterance_s`: of decoding one with the uncompressed model; `trial_s`: of a trial whose every utterance is decoded.
    """

    uncompressed_bytes: int
    bytes_at: tuple[tuple[int, int], ...]
    tried: int
    utterance_s: float
    trial_s: float

    @property
    def trials(self) -> int:
        """As many as two hours hold, within bounds."""
        return min(_TRIALS[1], max(_TRIALS[0], int(_LONGEST_S / self.trial_s)))

    @property
    def total_s(self) -> float:
        """Of all trials without the analyses, were none raced out."""
        return self.trials * self.trial_s

    @property
    def limit(self) -> str:
        """The time that the study may take, analyses inside: generous, in whole half hours."""
        half_hours = math.ceil(max(_SHORTEST_S, 3.0 * self.total_s) / 1800.0)
        return "30 min" if half_hours == 1 else f"{half_hours / 2:g} h"


def render_study(
    name: str, path: str, model: "Model", data: FoundData, files: dict[str, str | None], machine: Machine, forecast: Forecast, seed: int
) -> str:
    """The whole file. `path`: the model as the study names it; `files`: what each split is named by, None for one that comes with it."""
    parts = (
        _head(name, path, model),
        _data(data, files),
        _space(model),
        _objectives(model, machine),
        _budgets(forecast),
        _target(machine),
        _search(forecast, seed),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _line(entry: str, comment: str) -> str:
    """An entry with its comment behind it, or above where that would be too wide."""
    beside = f"{entry:<{_COLUMN}} {_comment(comment)}"
    return beside if len(beside) <= _WIDTH else f"{_comment(comment)}\n{entry}"


def _comment(text: str) -> str:
    """One comment on one line, whatever the names of files in it hold: a line break would end it, other controls TOML refuses."""
    return "# " + "".join(letter if letter.isprintable() else "?" for letter in text)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def describe_model(model: "Model") -> tuple[str, str]:
    """What the model is and what it spells with, a line each."""
    config, blocks = model.config, dict(model.inventory().blocks)
    task = "speech translation" if model.task == "st" else "speech recognition"
    network = f"{config.get('encoder')} encoder of {blocks['encoder']} blocks, transformer decoder of {blocks['decoder']}"
    size = f"width {model.network.encoder.output_size()}, {model.inference_parameters / 1e6:.3g}M parameters for inference"
    tokenizer = "" if model.bpe_model is None else f", tokenizer {model.bpe_model}"
    left_out = f"; left out, for training alone: {', '.join(model.dropped)}" if model.dropped else ""
    return (
        f"{task}: {network}, {size}",
        f"weights {model.weights.name}; {len(model.tokens)} tokens ({model.token_type}){tokenizer}{left_out}",
    )


def _head(name: str, path: str, model: "Model") -> Iterator[str]:
    for line in describe_model(model):
        yield _comment(line)
    yield "# Keys that are left out have the defaults that `paredown schema` tells."
    yield _line(f"name = {_text(name)}", f"trials are kept in runs/{name}")
    yield ""
    yield "[model]"
    yield _line(f"path = {_text(path)}", "a folder, a weights file, org/name@revision of the hub, or bundled:NAME")


def _data(data: FoundData, files: dict[str, str | None]) -> Iterator[str]:
    yield "[data]"
    for found in data.splits:
        file, said = files[found.name], f"{found.about}: {_ROLES[found.name]}"
        yield _comment(f"{found.name} comes with the model, {said}") if file is None else _line(f"{found.name} = {_text(file)}", said)
    test = data.of("test")
    if test is None:
        yield "# test = …  a split that nothing is chosen by; without it no figure is free of the winner's luck"
    elif test.divided:
        yield "# Its speakers and recordings are those of search: on other speech figures may be worse than test says."
        yield "# A test split of its own is better: `paredown init … --test DIR`."
    if data.train is not None:
        yield f"# train = {_text(str(data.train.absolute()))}   to win back by training what compression loses: a table [recovery]"


def _space(model: "Model") -> Iterator[str]:
    """The axes that the model has."""
    from paredown.models.groups import group_parameters

    inventory = model.inventory()
    yield "[space]"
    yield "# what may vary; an axis that is left out is off"
    yield _line("bits = { average = [3.0, 8.0] }", "mean bit-width; a solver gives each layer its own: bytes")
    blocks = dict(inventory.blocks)["decoder"]
    if blocks >= _LEAST_BLOCKS:
        yield _line(f"layers = {{ decoder = [{blocks // 2}, {blocks}] }}", f"decoder blocks that stay, of {blocks}: bytes and latency")
    groups = [group for group in _PRUNED if group in group_parameters(model.network)]
    if groups:
        yield "# the largest share of weights that each of these groups may lose: bytes alone"
        yield f"sparsity = {{ groups = {json.dumps(groups)}, max = 0.5 }}"
    if _is_wide(inventory.feed_forwards.values(), model.network.encoder.output_size()):
        yield "# Feed-forwards of at least four times the model's width may be narrowed; finding how is the longest of all analyses:"
        yield "# width = { eta = [0.0, 0.2] }"
    beams = min(10, len(model.tokens))
    yield _line(f"decode = {{ beam_size = [1, {beams}] }}", "hypotheses of the beam search: latency alone")


def _is_wide(hidden: Iterable[int], width: int) -> bool:
    return max(hidden, default=0) >= _WIDE * width


def _objectives(model: "Model", machine: Machine) -> Iterator[str]:
    metric = "wer" if model.task == "asr" else "chrf"
    yield "[objectives]"
    yield _line(f'quality = "{metric}"', "chrf or bleu for translations, wer for recognition")
    yield _line('latency = ["cpu"]', "measured on this machine, beside the uncompressed model")
    if machine.energy:
        yield _line('energy = ["cpu"]', "counted by the processor (RAPL)")
    else:
        yield _line("energy = []", f"not counted here: {machine.energy_hint}")
    yield _line("size = true", "bytes of the bundle on disk")


def _budgets(forecast: Forecast) -> Iterator[str]:
    figures = ", ".join(f"every layer at {bits} bits {format_size(size)}" for bits, size in forecast.bytes_at)
    smallest = min(size for _, size in forecast.bytes_at)
    reference_ms = 1000.0 * forecast.utterance_s
    yield "[budgets]"
    yield _line('quality = "-1.0"', "points that may be lost to the uncompressed model; the search prefers what keeps it")
    yield _line(f'# size = "{format_size(smallest)}"', f"exact: uncompressed {format_size(forecast.uncompressed_bytes)}, {figures}")
    about = f"uncompressed about {reference_ms:.3g} ms an utterance (estimated from {forecast.tried})"
    yield _line(f'# "latency@cpu" = "{reference_ms / 2:.3g} ms"', about)


def _target(machine: Machine) -> Iterator[str]:
    yield "[target]"
    yield _line("threads = 1", f"of the runtime. This machine: {machine.processor}; int8 products {machine.int8}")


def _search(forecast: Forecast, seed: int) -> Iterator[str]:
    each, whole = f"{forecast.trial_s:.2g} s", format_duration(forecast.total_s)
    yield "[search]"
    yield _line(f"trials = {forecast.trials}", f"a trial about {each}, all about {whole} (estimated); analyses come before them")
    yield _line(f'time = "{forecast.limit}"', "of the whole study, analyses inside; a study goes on where it stopped")
    yield _line(f"seed = {seed}", "equal seeds propose equal trials")


def manifest_lines(found: FoundSplit, copies: Path) -> tuple[bytes, dict[str, bytes]]:
    """A JSONL manifest of a split, and the files that it needs beside it: audio that was copied out of archives into `copies`."""
    rows, beside = [], {}
    for utterance in found.split.utterances:
        audio = utterance.audio.absolute()
        if audio.is_relative_to(copies):
            beside[audio.name] = audio.read_bytes()
            written = audio.name
        else:
            written = str(audio)
        row = {"id": utterance.id, "audio": written, "text": utterance.text, "translation": utterance.translation}
        rows.append(json.dumps({key: value for key, value in row.items() if value is not None}, ensure_ascii=False) + "\n")
    return "".join(rows).encode(), beside
