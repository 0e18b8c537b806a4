"""The command line that the three reproductions share: `python -m studies.NAME [TABLE ...]`."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from paredown import __version__
from paredown.commands.telling import Telling
from paredown.data import Split, load_split, open_data
from paredown.data.bundled import PREFIX
from paredown.errors import BadInput
from paredown.models import load_model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.recover.training_data import TrainingData
from paredown.trials.decoding import Decoder
from paredown.trials.recoveries import Recovery
from paredown.trials.workshop import Workshop
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result
from studies.reproduction.show import print_result, write_page

ROOT = Path(__file__).parent.parent
CACHE = ROOT / "bundled_model" / "cache"
TOY_UTTERANCES, TOY_SCALE = 6, 0.01
Make = Callable[[Bench], Result]


class Voice:
    """Tells of steps through whoever has the terminal now: between two tables it belongs to what is printed."""

    now: Telling

    def line(self, text: str) -> None:
        self.now.line(text)

    def progress(self, what: str, done: int, total: int) -> None:
        self.now.progress(what, done, total)


def reproduce(
    name: str,
    title: str,
    tables: Mapping[str, Make],
    model: str,
    train: str,
    arguments: Sequence[str] | None = None,
    utterances: int = 1000,
) -> int:
    """Makes the tables that were asked for, prints each, and writes them with the machine and the versions that made them.

    `name`: of the study's folder; `model`, `utterances`, `train`: defaults of `--model`, `--utterances`, `--train` (a folder in the cache
    of the bundled model).
    """
    options = _parse(name, title, tables, model, train, utterances, arguments)
    try:
        return _run(options, name, title, tables)
    except BadInput as error:
        print(f"studies.{name}: {error}", file=sys.stderr)
        return 2


def _parse(
    name: str, title: str, tables: Mapping[str, Make], model: str, train: str, utterances: int, arguments: Sequence[str] | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m studies.{name}", description=f"{title}: its tables and figures, made again.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"which (default all): {', '.join(tables)}")
    parser.add_argument("--model", default=model, help="a folder or bundled:NAME (default %(default)s)")
    parser.add_argument("--data", type=Path, help="a folder with the splits analysis and test; a bundled model has its own")
    parser.add_argument("--train", type=Path, default=CACHE / train, help="the train split, for rows that train")
    parser.add_argument("--other", type=Path, help="out-of-domain data to train on")
    parser.add_argument("--utterances", type=int, default=utterances, help="of test that are scored (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the runtime while it is timed (default %(default)s)")
    parser.add_argument("--toy", action="store_true", help="a few utterances and steps: says only that it runs")
    parser.add_argument("-o", "--output", type=Path, help="where results go (default: the study's results, with --toy build/)")
    options = parser.parse_args(arguments)
    unknown = [table for table in options.tables if table not in tables]
    if unknown:
        parser.error(f"a table is one of {', '.join(tables)}; got {', '.join(unknown)}")
    return options


def _run(options: argparse.Namespace, name: str, title: str, tables: Mapping[str, Make]) -> int:
    model = load_model(options.model)
    count = TOY_UTTERANCES if options.toy else options.utterances
    test, analysis = _split(options, "test").first(count), _split(options, "analysis")
    analysis = analysis.first(TOY_UTTERANCES) if options.toy else analysis
    data = _training(options)
    output = options.output or (ROOT.parent / "build" / name / "toy" if options.toy else ROOT / name / "results")
    kept = ROOT.parent / "build" / name / ("toy" if options.toy else "kept")
    voice = Voice()
    with Decoder() as decoder, Workshop(model, Recovery(data, voice)) as workshop:
        scale = TOY_SCALE if options.toy else 1.0
        bench = Bench(model, test, analysis, workshop, decoder, kept, output, voice, data, options.toy, options.threads, scale)
        for table in options.tables or tables:
            began = time.monotonic()
            with Telling() as voice.now:
                result = tables[table](bench)
            settings = {"model": options.model, "utterances of test": float(len(test)), **result.settings}
            settings = {key: f"{value:g}" if isinstance(value, float) else value for key, value in settings.items()}
            machine, versions = read_fingerprint(options.threads).describe(), f"paredown {__version__}"
            seconds = time.monotonic() - began
            result = replace(result, settings=settings, machine=machine, versions=versions, seconds=seconds)
            print_result(result)
            result.save(output)
    found = [Result.load(path) for path in (output / f"{table}.json" for table in tables) if path.exists()]
    write_page(title, f"python -m studies.{name}", found, output / "README.md")
    print(f"{output / 'README.md'}: {len(found)} of {len(tables)} tables and figures")
    return 0


def _split(options: argparse.Namespace, split: str) -> Split:
    if options.data is not None:
        return load_split(next(path for path in _places(options.data, split) if path.exists()))
    if not options.model.startswith(PREFIX):
        raise BadInput(f"--data must name a folder with the splits analysis and test of {options.model}, got none")
    return open_data(f"{options.model}/{split}")


def _places(folder: Path, split: str) -> list[Path]:
    places = [folder / split, folder / f"{split}.jsonl", folder / f"{split}.tsv"]
    if not any(place.exists() for place in places):
        raise BadInput(f"--data must be a folder with the splits analysis and test, {folder} has no {split}")
    return places


def _training(options: argparse.Namespace) -> TrainingData | None:
    """None where there is no train split: rows that train are then printed as not run."""
    if not (options.train / "manifest.jsonl").exists() and not options.train.is_file():
        return None
    return TrainingData(load_split(options.train), None if options.other is None else load_split(options.other))
