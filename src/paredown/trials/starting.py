"""From a model and data to a study file that runs: what `paredown init` does.

The model is loaded and tried on a few utterances, so that a study that is written is one that begins. Nothing is written before all was
found well: first the manifests, then the study file, each whole or not at all.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.bundle.folder import write_folder, writing
from paredown.data import PREFIX, open_data
from paredown.data.archive import archive_copies
from paredown.data.bundled import SPLITS
from paredown.doctor.processor import look_at_processor
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.models.hub import is_hub_tag, pinned
from paredown.profilers.energy.probe import find_sources
from paredown.quality.metrics import check_words, found_tokenizer
from paredown.report.output_file import check_output_file
from paredown.runtime import Translator
from paredown.search.spec import StudySpec
from paredown.search.study_file import parse_spec
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.found_splits import FoundData, FoundSplit, find_data, text_files
from paredown.trials.limits import check_space
from paredown.trials.space import uniform_bits
from paredown.trials.study_run import check_split
from paredown.trials.study_text import Forecast, Machine, describe_model, manifest_lines, render_study
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop
from paredown.whole_file import whole_file

_TRIED = 3  # utterances
_FORETOLD_BITS = (8, 4)


@dataclass(frozen=True)
class Request:
    """What the user asks for. `output`: the study file; `name`: of the study; `data` None takes the splits that come with the model."""

    model: str
    data: Path | None
    test: Path | None
    output: Path
    name: str
    seed: int = 0
    force: bool = False


@dataclass(frozen=True)
class Started:
    """A study that was written: its file, what the model is, its splits with the utterances of each, what it will cost."""

    study: Path
    spec: StudySpec
    about: tuple[str, str]
    splits: tuple[tuple[str, int], ...]
    forecast: Forecast


def start_study(request: Request, tell: Teller) -> Started:
    """Writes the study file and, where data is divided or Kaldi-style, manifests in a folder beside it.

    Raises BadInput, with nothing written, where the study file is there (unless `force`), where its data was written before with other
    utterances, and for whatever a run would refuse in model, data and space.
    """
    _check_output(request)
    model = load_model(request.model)
    tell.line(f"{request.model}: {model.inference_parameters / 1e6:.3g}M parameters, weights {model.weights.name}")
    data = _find(request, model)
    for found in data.splits:
        tell.line(f"{found.name}: {found.about}")
        found.split.references(model.task)
    _check_apart(data)
    forecast = _foretell(model, data, tell)
    path = pinned(request.model) if is_hub_tag(request.model) else request.model
    path = path if path.startswith(PREFIX) or is_hub_tag(path) else str(Path(path).absolute())
    folder = request.output.with_name(f"{request.output.stem}-data").absolute()
    files, manifests = _plan_manifests(data, folder)
    text = render_study(request.name, path, model, data, files, look_at_machine(), forecast, request.seed)
    spec = parse_spec(text, "the study")
    check_space(spec.space, model)
    _write_manifests(folder, manifests)
    _write_study(request.output, text)
    counted = tuple((found.name, len(found.split)) for found in data.splits)
    return Started(request.output, spec, describe_model(model), counted, forecast)


def look_at_machine() -> Machine:
    """The processor, its int8 products, and whether its energy can be counted."""
    found = {finding.subject: finding for finding in look_at_processor()}
    rapl = next(source for source in find_sources() if source.name == "rapl")
    return Machine(found["processor"].found, found["int8 products"].found, rapl.available, f"{rapl.reason}; {rapl.remedy}")


def _check_output(request: Request) -> None:
    if request.output.suffix != ".toml":
        raise BadInput(f"a study file ends in .toml, got {request.output}")
    check_output_file(request.output, "a study file")
    if request.output.exists() and not request.force:
        raise BadInput(f"a study file is replaced only where that is asked for (--force), got {request.output}, which is there")


def _find(request: Request, model: Model) -> FoundData:
    if request.data is not None:
        texts, prefer = text_files(model.config, model.task)
        return find_data(request.data, request.test, texts, prefer, request.seed)
    if not request.model.startswith(PREFIX):
        raise BadInput(f"--data is needed but with a bundled model, which brings its splits; got none with {request.model}")
    if request.test is not None:
        raise BadInput(f"--test goes with --data, got --test {request.test} alone")
    splits = [open_data(f"{request.model}/{name}") for name in SPLITS]
    named = zip(SPLITS, splits, strict=True)
    return FoundData(tuple(FoundSplit(name, split, Path(split.name), None, f"{len(split)} utterances") for name, split in named))


def _check_apart(data: FoundData) -> None:
    """Raises BadInput where one recording is in two splits."""
    seen: dict[Path, str] = {}
    for found in data.splits:
        for utterance in found.split.utterances:
            other = seen.setdefault(utterance.audio.resolve(), found.name)
            if other != found.name:
                raise BadInput(f"splits must share no recording, got {utterance.audio} in {other} and {found.name}")


def _foretell(model: Model, data: FoundData, tell: Teller) -> Forecast:
    """Exact bytes, and seconds from a few utterances. Raises BadInput for audio that a run would refuse."""
    analysis, search = data.of("analysis"), data.of("search")
    if analysis is None or search is None:
        raise BadInput("a study needs the splits analysis and search")
    check_words(("wer" if model.task == "asr" else "chrf",), found_tokenizer(search.split.references(model.task)))
    sample, cores = spread_by_length(search.split, _TRIED), len(os.sched_getaffinity(0))
    with Workshop(model) as workshop:
        whole, decode = uncompressed(model), uncompressed(model).decode
        tell.line("the audio is checked")
        for found in (analysis, search):
            check_split(found.split, workshop)
        tell.line(f"the model is tried on {len(sample)} utterances of {search.place}")
        began = time.monotonic()
        bundle = workshop.build(uniform_bits(model.inventory(), 8, decode))
        build_s = time.monotonic() - began
        utterance_s = _decode_s(workshop.build(whole), sample.utterances)
        sizes = tuple((bits, workshop.foretell(uniform_bits(model.inventory(), bits, decode)).size_bytes) for bits in _FORETOLD_BITS)
        trial_s = build_s + _decode_s(bundle, sample.utterances) * len(search.split) / cores
        return Forecast(workshop.foretell(whole).size_bytes, sizes, len(sample), utterance_s, trial_s)


def _decode_s(bundle: Path, utterances: Any) -> float:
    """Seconds an utterance, the first call apart, which loads and warms up."""
    translator = Translator.from_bundle(bundle, threads=1)
    translator.translate(utterances[0].audio)
    began = time.monotonic()
    for utterance in utterances:
        translator.translate(utterance.audio)
    return (time.monotonic() - began) / len(utterances)


def _plan_manifests(data: FoundData, folder: Path) -> tuple[dict[str, str | None], dict[str, bytes]]:
    """What the study names each split by, and the files to write into `folder`."""
    files: dict[str, str | None] = {}
    manifests: dict[str, bytes] = {}
    for found in data.splits:
        if found.file is not None:
            files[found.name] = str(found.file.absolute())
        elif str(found.place).startswith(PREFIX):
            files[found.name] = None
        else:
            manifest, beside = manifest_lines(found, archive_copies())
            files[found.name] = str(folder / f"{found.name}.jsonl")
            manifests |= {f"{found.name}.jsonl": manifest, **beside}
    for name, content in manifests.items():
        path = folder / name
        if path.exists() and path.read_bytes() != content:
            raise BadInput(f"data is never overwritten, got {path}, which is there with other utterances: choose another -o or remove it")
    return files, manifests


def _write_manifests(folder: Path, manifests: dict[str, bytes]) -> None:
    if not manifests or all((folder / name).is_file() for name in manifests):
        return
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"data is written into a new folder, got {folder}, which holds other files: choose another -o or remove it")
    write_folder(folder, manifests)


def _write_study(path: Path, text: str) -> None:
    with writing(str(path)), whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
